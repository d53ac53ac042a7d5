"""Checks of what makes caching valid: equal inputs give equal outputs, whatever else is in the batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from automl_tl.backbones.checks.result import CheckResult, verdict
from automl_tl.backbones.checks.shapes import SAME
from automl_tl.backbones.checks.subject import Subject, gap_text, relative_difference
from automl_tl.devices import own_numbers

ALONE = 1e-3
"""Relative difference that other batch sizes, and so other kernels, may make in float32."""


def deterministic_in_eval(subject: Subject) -> CheckResult:
    """In eval mode the same pictures give the same outputs, wherever the random generator stands."""
    runs = []
    for seed in (1, 2):
        with own_numbers(seed):
            runs.append(subject.read(subject.x))
    gaps = _gaps(*runs)
    return verdict(
        deterministic_in_eval,
        max(gaps) < SAME,
        expected=f"two runs that differ by less than {SAME:.0e}",
        actual=f"they differ by {gap_text(max(gaps))}" + _from(gaps, SAME),
        advice="let dropout, noise and random depth act in training mode only (self.training)",
    )


def rows_are_independent(subject: Subject) -> CheckResult:
    """A picture's outputs do not depend on the others in its batch, nor on how many there are."""
    x = subject.x
    together, others = (_first(subject.read(some)) for some in (x, torch.cat([x[:1], 3 - 2 * x[1:]])))
    beside, single = _gaps(others, together), _gaps(subject.read(x[:1]), together)
    return verdict(
        rows_are_independent,
        max(beside) < SAME and max(single) < ALONE,
        expected=f"the same beside other pictures (below {SAME:.0e}) and alone (below {ALONE:.0e})",
        actual=f"beside others {gap_text(max(beside))}, alone {gap_text(max(single))}"
        + (_from(beside, SAME) or _from(single, ALONE)),
        advice="features are cached by picture, so nothing may look across the batch: "
        "BatchNorm must use its running statistics in eval mode",
    )


Read = Sequence[tuple[Tensor, Tensor]]
"""Of every stage its output, and the vectors that features are made of."""


def _first(read: Read) -> Read:
    """Return the same of the first picture alone."""
    return [(output[:1], vectors[:1]) for output, vectors in read]


def _gaps(read: Read, reference: Read) -> list[float]:
    """Return of every stage by how much output or vectors differ, whichever is more."""
    return [max(map(relative_difference, *both)) for both in zip(read, reference, strict=True)]


def _from(gaps: list[float], bound: float) -> str:
    first = next((number for number, gap in enumerate(gaps, 1) if gap >= bound), None)
    return f", from stage {first} on" if first is not None else ""
