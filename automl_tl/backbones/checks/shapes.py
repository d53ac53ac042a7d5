"""Checks of the contract's shapes: members, stages that compose, tokens, cuts, the source classifier."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from automl_tl.backbones import validation
from automl_tl.backbones.checks.result import CheckResult, skipped, verdict
from automl_tl.backbones.checks.subject import Subject, gap_text, relative_difference
from automl_tl.backbones.network import shown, tokens
from automl_tl.backbones.registry import weights_info
from automl_tl.backbones.stages import pool
from automl_tl.errors import BackboneError

SAME = 1e-5
"""Relative difference below which two runs of one computation count as equal in float32."""


def members_are_sane(subject: Subject) -> CheckResult:
    """`input_size`, `mean`, `std` and the other members are there and believable; `weights()` is as described."""
    fault = validation.backbone_fault(subject.backbone) or _weights_fault(subject)
    return verdict(
        members_are_sane,
        fault is None,
        expected="every member of automl_tl/backbones/contract.py in its form",
        actual=fault or _members(subject.backbone),
        advice="correct that member; mean and std are of pictures in [0, 1], input_size is in pixels",
    )


def _weights_fault(subject: Subject) -> str | None:
    try:
        weights_info(subject.name, subject.backbone)
    except BackboneError as error:
        return str(error)
    return None


def _members(backbone: Any) -> str:
    mean, std = (", ".join(f"{value:.3g}" for value in values) for values in (backbone.mean, backbone.std))
    return f"{backbone.input_size} pixels, mean ({mean}), std ({std}), pretrained on {backbone.pretrained_on}"


def builds(subject: Subject) -> CheckResult:
    """`build` and `stages` work, and one batch of two pictures goes through every stage."""
    fault = subject.fault
    return verdict(
        builds,
        not fault,
        expected="a network whose stages take one batch and return finite values",
        actual=fault or _built(subject),
        advice="correct this first: the other checks need a built network",
    )


def _built(subject: Subject) -> str:
    parameters = {id(p): p.numel() for p in subject.network.module.parameters()}
    with_weights = f"random weights ({subject.without_weights})" if subject.without_weights else "its own weights"
    return f"{subject.network.n_stages} stages, {sum(parameters.values()) / 1e6:.2f} M parameters, {with_weights}"


def stages_compose(subject: Subject) -> CheckResult:
    """Run in order the stages map pictures to the last output, and carry nothing over from run to run.

    A prefix is run once and kept; its suffix is run on the kept output later, after other pictures.
    """
    network = subject.network
    first = subject.outputs(subject.x)
    subject.outputs(subject.x.flip(0))
    with torch.no_grad():
        again = [nn.Sequential(*network.stages[k:])(first[k - 1]) for k in range(1, network.n_stages)]
    worst = max((relative_difference(one, first[-1]) for one in again), default=0.0)
    n_again = len(network.backbone.stages(network.module))
    same = worst < SAME and n_again == network.n_stages
    shapes = f"{network.n_stages} stages, {shown(subject.x)} to {shown(first[-1])}"
    actual = f"{shapes}, suffixes differ by {gap_text(worst)}"
    return verdict(
        stages_compose,
        same,
        expected=f"the same result from any stage on, later too (within {SAME:.0e}), from {network.n_stages} stages",
        actual=actual + (f", then {n_again} stages" if n_again != network.n_stages else ""),
        advice="let a stage use nothing but its input: no values kept from an earlier stage, "
        "and a connection that skips stages belongs into one stage",
    )


def tokens_have_shape_and_dtype(subject: Subject) -> CheckResult:
    """Each output reads as tokens (N, P, C) float32, the last as (N, D) where the backbone has `pooled`."""
    network, found = subject.network, []
    wrong: list[str] = []
    for number, output in enumerate(subject.outputs(subject.x), 1):
        if _has_channels_last(subject, output):
            wrong.append(f"stage {number}: {shown(output)} of square pictures is (N, H, W, C), not (N, C, H, W)")
            continue
        read = tokens(network, output)
        found.append(f"{read.shape[1]}x{read.shape[2]}" if read.ndim == 3 else shown(read))
        good = read.ndim == 3 and read.shape[::2] == (len(subject.x), network.channels[number - 1])
        if not good or read.dtype != torch.float32:
            wrong.append(f"stage {number}: {shown(read)} {read.dtype}")
    pooled = _pooled(subject, output)
    if pooled is not None and (pooled.ndim != 2 or len(pooled) != len(subject.x) or pooled.dtype != torch.float32):
        wrong.append(f"pooled: {shown(pooled)} {pooled.dtype}")
    return verdict(
        tokens_have_shape_and_dtype,
        not wrong,
        expected=f"({len(subject.x)}, P, C) float32 for every stage",
        actual="; ".join(wrong) or "positions x channels " + ", ".join(dict.fromkeys(found)),
        advice="give the backbone a tokens(output) that returns (N, P, C), and compute in the input's dtype",
    )


def _has_channels_last(subject: Subject, output: Tensor) -> bool:
    """Return whether an output of square pictures is read as a map, but only its first two sides are alike."""
    own: Any = subject.backbone
    return output.ndim == 4 and not hasattr(own, "tokens") and output.shape[1] == output.shape[2] != output.shape[3]


def _pooled(subject: Subject, output: Tensor) -> Tensor | None:
    own: Any = subject.backbone
    return own.pooled(output) if hasattr(own, "pooled") else None


def every_cut_is_finite(subject: Subject) -> CheckResult:
    """Cut after any stage, the pooled statistics are finite and tell pictures apart."""
    network = subject.network
    wrong, widths = [], []
    for number, output in enumerate(subject.outputs(subject.x), 1):
        pooled = pool(network, output, last=number == network.n_stages)
        values = torch.cat([part for part in (pooled.mean, pooled.std, pooled.grid) if part is not None], 1)
        widths.append(values.shape[1])
        if not torch.isfinite(values).all():
            wrong.append(f"stage {number}: not finite")
        elif relative_difference(values[1:], values[:1].expand_as(values[1:])) < 1e-6:
            wrong.append(f"stage {number}: the same for every picture")
    return verdict(
        every_cut_is_finite,
        not wrong,
        expected="finite statistics after every stage that differ between pictures",
        actual="; ".join(wrong) or f"{len(widths)} cuts, {min(widths)} to {max(widths)} values each",
        advice="look at that stage: a division by zero, a wrong scale of the inputs, or a dead layer",
    )


def classifier_fits_its_labels(subject: Subject) -> CheckResult:
    """The source task's own head, where there is one, takes the last vector and has one output per label."""
    own: Any = subject.backbone
    head = own.classifier(subject.network.module) if hasattr(own, "classifier") else None
    if head is None:
        return skipped(classifier_fits_its_labels, "it has no classifier, which is optional")
    vector = pool(subject.network, subject.outputs(subject.x)[-1], last=True).mean
    with torch.no_grad():
        scores = head(vector)
    labels = tuple(getattr(own, "labels", ()))
    fits = scores.ndim == 2 and len(scores) == len(vector) and (not labels or scores.shape[1] == len(labels))
    return verdict(
        classifier_fits_its_labels,
        fits and len(set(labels)) == len(labels),
        expected=f"({len(vector)}, {len(labels) or 'n_labels'}) from {shown(vector)}, and no label twice",
        actual=f"{shown(scores)}, {len(labels)} labels, {len(set(labels))} different ones",
        advice="let classifier(module) take the pooled vector of the last stage, and labels name each output once",
    )
