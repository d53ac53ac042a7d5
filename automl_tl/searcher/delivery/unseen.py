"""The one test of a model: on pictures that no decision has seen."""

from __future__ import annotations

import pandas as pd

from automl_tl.data.names import counted, printable
from automl_tl.data.source import sources_of
from automl_tl.errors import DataError
from automl_tl.lab.lab import Lab
from automl_tl.model.evaluate import Evaluation, evaluate_pictures
from automl_tl.model.model import Model


def unseen_pictures(lab: Lab) -> pd.DataFrame:
    """Return the rows of the test part; none where there is none."""
    frame: pd.DataFrame = lab.dataset.frame
    return frame[frame["split"] == "test"]


def tested(lab: Lab, model: Model) -> tuple[Evaluation | None, tuple[str, ...]]:
    """Return what a model is worth on the test part, None where there is none, and a note on what cannot be read."""
    frame = unseen_pictures(lab)
    frame = frame[frame["label"].isin(model.classes)]
    if frame.empty:
        return None, ()
    with lab.monitor.activity("Testing once on pictures that nothing has seen"):
        try:
            found = evaluate_pictures(model, sources_of(frame), frame["label"])
        except DataError as error:
            return None, (f"The model was not tested, since the test pictures cannot be read any more: {error}",)
    return found, _left_out(found, len(frame))


def _left_out(found: Evaluation, n: int) -> tuple[str, ...]:
    """Return a note on those of `n` test pictures that cannot be read any more, where there are any."""
    if not found.errors:
        return ()
    first, others = found.errors[0], ", and others" if len(found.errors) > 1 else ""
    how_many = f"{len(found.errors):,} of the {counted(n, 'test picture')}"
    named = f"'{printable(first.path)}' ({first.reason})"
    return (f"{how_many} cannot be read any more and did not count: {named}{others}.",)
