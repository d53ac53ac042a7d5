"""Checks of what makes caching valid: equal inputs give equal outputs, whatever else is in the batch."""

from __future__ import annotations

import torch

from automl_tl.backbones.checks.result import CheckResult, verdict
from automl_tl.backbones.checks.shapes import SAME
from automl_tl.backbones.checks.subject import Subject, gap_text, relative_difference

ALONE = 1e-3
"""Relative difference that other batch sizes, and so other kernels, may make in float32."""


def deterministic_in_eval(subject: Subject) -> CheckResult:
    """In eval mode the same pictures give the same outputs, wherever the random generator stands."""
    runs = []
    for seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            runs.append(subject.outputs(subject.x))
    gaps = [relative_difference(one, other) for one, other in zip(*runs, strict=True)]
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
    together = [output[:1] for output in subject.outputs(x)]
    others = [output[:1] for output in subject.outputs(torch.cat([x[:1], 3 - 2 * x[1:]]))]
    alone = subject.outputs(x[:1])
    beside = [relative_difference(one, other) for one, other in zip(others, together, strict=True)]
    single = [relative_difference(one, other) for one, other in zip(alone, together, strict=True)]
    return verdict(
        rows_are_independent,
        max(beside) < SAME and max(single) < ALONE,
        expected=f"the same beside other pictures (below {SAME:.0e}) and alone (below {ALONE:.0e})",
        actual=f"beside others {gap_text(max(beside))}, alone {gap_text(max(single))}"
        + (_from(beside, SAME) or _from(single, ALONE)),
        advice="features are cached by picture, so nothing may look across the batch: "
        "BatchNorm must use its running statistics in eval mode",
    )


def _from(gaps: list[float], bound: float) -> str:
    first = next((number for number, gap in enumerate(gaps, 1) if gap >= bound), None)
    return f", from stage {first} on" if first is not None else ""
