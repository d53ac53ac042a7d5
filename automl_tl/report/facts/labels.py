"""A report on labels in named facts."""

from __future__ import annotations

from collections.abc import Iterator

from automl_tl.reviewer.label_report import LabelReport
from automl_tl.wording import plural

LOOK = "Look before you change anything: a label is doubted because other pictures say otherwise, and may be right."


def about_labels(result: LabelReport) -> Iterator[tuple[str, str]]:
    """Yield what was judged, by whom, and what came of it."""
    judged = result.evaluation
    n_classes = sum(one.n > 0 for one in judged.per_class)
    yield "judged", f"{plural(judged.n, 'label')} of {plural(n_classes, 'class', 'classes')}"
    share = len(result.suspects) / judged.n
    yield "likely wrong", f"{len(result.suspects):,} ({share:.1%})" if result.suspects else "none"
    if conflicts := result.quality.conflicts:
        groups = plural(len(conflicts), "group")
        yield "in conflict", f"{groups} of copies with different labels; automl-tl inspect names them"
    yield "agreement", f"{judged.accuracy:.1%} of the labels are the most probable class"
    for number, voter in enumerate(result.voters):
        yield "" if number else "judged by", voter.describe()
    yield "", f"in {result.n_folds} folds, so that none judges what it has learned from"
