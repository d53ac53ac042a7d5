"""The one test of a model: on pictures that no decision has seen."""

from __future__ import annotations

import pandas as pd

from automl_tl.data.names import printable
from automl_tl.data.source import sources_of
from automl_tl.errors import DataError
from automl_tl.lab.lab import Lab
from automl_tl.model.evaluate import Enough, evaluate_pictures
from automl_tl.model.evaluation import Evaluation
from automl_tl.model.model import Model
from automl_tl.searcher.trials.deadline import EXPORT_SECONDS, Deadline
from automl_tl.wording import plural

LEAST_TESTED = 30
"""Pictures that a model is tested on though the budget is used up."""


def unseen_pictures(lab: Lab) -> pd.DataFrame:
    """Return the rows of the test part; none where there is none."""
    frame: pd.DataFrame = lab.dataset.frame
    return frame[frame["split"] == "test"]


def tested(lab: Lab, model: Model, enough: Enough) -> tuple[Evaluation | None, tuple[str, ...]]:
    """Return what a model is worth on the test part, None where there is none, and notes on what did not count.

    Args:
        lab: has the pictures.
        model: that is tested.
        enough: asked, with the number of pictures that count so far, whether the others may be left out; they are
            looked at in no order.
    """
    frame = unseen_pictures(lab)
    frame = frame[frame["label"].isin(model.classes)].sample(frac=1, random_state=lab.seed)
    if frame.empty:
        return None, ()
    with lab.monitor.activity("Testing once on pictures that nothing has seen"):
        try:
            found = evaluate_pictures(model, sources_of(frame), frame["label"], enough=enough)
        except DataError as error:
            return None, (f"The model was not tested, since the test pictures cannot be read any more: {error}",)
    return found, (*_left_out(found, len(frame)), *_no_time(found, len(frame)))


def in_time(deadline: Deadline) -> Enough:
    """Return what ends a test at the deadline, once LEAST_TESTED pictures count: without a test nothing is known."""
    return lambda n: n >= LEAST_TESTED and deadline.left < EXPORT_SECONDS


def _no_time(found: Evaluation, n: int) -> tuple[str, ...]:
    """Return a note where a test has ended before all `n` pictures were looked at."""
    seen = found.n + len(found.errors)
    if seen == n:
        return ()
    return (f"There was time to test the model on {seen:,} of the {n:,} test pictures, drawn at random.",)


def _left_out(found: Evaluation, n: int) -> tuple[str, ...]:
    """Return a note on those of `n` test pictures that cannot be read any more, where there are any."""
    if not found.errors:
        return ()
    first, others = found.errors[0], ", and others" if len(found.errors) > 1 else ""
    how_many = f"{len(found.errors):,} of the {plural(n, 'test picture')}"
    named = f"'{printable(first.path)}' ({first.reason})"
    return (f"{how_many} cannot be read any more and did not count: {named}{others}.",)
