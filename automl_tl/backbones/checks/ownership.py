"""Checks of who owns what: stages, builds and saved states share nothing and lose nothing."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import chain

import torch
from torch import Tensor, nn

from automl_tl.backbones.checks.result import CheckResult, verdict
from automl_tl.backbones.checks.shapes import SAME
from automl_tl.backbones.checks.subject import Subject, few, gap_text, relative_difference, tensor_names
from automl_tl.backbones.network import Network


def stages_own_their_parameters(subject: Subject) -> CheckResult:
    """No parameter belongs to two stages, and each one is the module's too, so that moving and saving reach it."""
    network = subject.network
    names = tensor_names(network.module)
    per_stage = [[id(p) for p in stage.parameters()] for stage in network.stages]
    seen: set[int] = set()
    shared = []
    for mine in per_stage:
        shared += [names.get(one, "a parameter outside the module") for one in set(mine) & seen]
        seen |= set(mine)
    n_outside = sum(one not in names for one in seen)
    return verdict(
        stages_own_their_parameters,
        not shared and not n_outside,
        expected="each parameter in one stage, and in the module that build() returns",
        actual=f"{len(seen)} parameters, {len(shared)} in two stages, {n_outside} outside the module"
        + (f" ({few(shared)})" if shared else ""),
        advice="put layers with common weights into one stage, and make stages out of parts of the module",
    )


def builds_share_nothing(subject: Subject) -> CheckResult:
    """Two calls of build() give networks without a common tensor: training one leaves the other alone."""
    first, second = (_memory(network) for network in (subject.network, subject.second))
    common = [first[place] for place in first.keys() & second.keys()]
    return verdict(
        builds_share_nothing,
        not common and subject.network.module is not subject.second.module,
        expected="no tensor of one build in the other",
        actual=f"{len(first)} tensors, {len(common)} in both" + (f" ({few(common)})" if common else ""),
        advice="let build() make a new module each time, and copy tensors that are kept between calls",
    )


def _memory(network: Network) -> dict[int, str]:
    """Return {address: name} of the memory behind every tensor that has any."""
    named: Iterable[tuple[str, Tensor]] = chain(network.module.named_parameters(), network.module.named_buffers())
    return {t.untyped_storage().data_ptr(): name for name, t in named if t.untyped_storage().data_ptr()}


def state_dict_round_trip(subject: Subject) -> CheckResult:
    """The stages' saved state, loaded into a build with random weights, gives the same outputs.

    So a saved model can be opened where the pretrained weights are not.
    """
    state = _saved_and_read(nn.ModuleList(subject.network.stages).state_dict())
    target = subject.fresh(random=True)
    try:
        nn.ModuleList(target.stages).load_state_dict(state, strict=True)
    except RuntimeError as error:
        gap, actual = float("inf"), " ".join(str(error).split())[:300]
    else:
        expected = subject.outputs(subject.x)[-1]
        gap = relative_difference(subject.outputs(subject.x, target)[-1], expected)
        actual = f"{len(state)} tensors, outputs differ by {gap_text(gap)}"
    return verdict(
        state_dict_round_trip,
        gap < SAME,
        expected="build(pretrained=False) takes the stages' state_dict whole and then gives the same outputs",
        actual=actual,
        advice="let build() make the same layers with and without pretrained weights, "
        "and keep what outputs depend on in parameters or persistent buffers",
    )


def _saved_and_read(state: dict[str, Tensor]) -> dict[str, Tensor]:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return dict(torch.load(buffer, weights_only=True))
