"""What is said of the most similar data sets: a reason where they did better with the answer than with the cell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from automl_tl.lab.assessment import Assessment
from automl_tl.lab.neighbours import Neighbour
from automl_tl.recommender.reasons import neighbour_sentences
from automl_tl.strategies import Strategy

BETTER: dict[Strategy, float] = {"feature_extractor": 0.7, "fine_tuning": 0.8}
WORSE: dict[Strategy, float] = {"feature_extractor": 0.8, "fine_tuning": 0.7}
PARTLY: dict[Strategy, float] = {"feature_extractor": 0.9}


def found(near: list[dict[Strategy, float]], chosen: Strategy, cell: Strategy | None) -> Assessment:
    neighbours = tuple(Neighbour(f"set {number}", 40, 4, reached, 0.1) for number, reached in enumerate(near))
    parts: Any = {
        "neighbours": neighbours, "choice": SimpleNamespace(strategy=chosen), "matrix": SimpleNamespace(cell=cell),
    }  # fmt: skip
    return cast(Assessment, SimpleNamespace(**parts))


@pytest.mark.parametrize(
    ("near", "lead"),
    [
        ([BETTER, BETTER, WORSE], "On 2 of the 3 most similar data sets of the panel fine_tuning did better than feat"),
        ([BETTER, WORSE, WORSE], "Most like this data set on the panel: "),
        (
            [BETTER, PARTLY, PARTLY],
            "On 1 of the 1 most similar data sets",
        ),  # a run of the user's that tried one of them
        ([PARTLY], "Most like this data set on the panel: "),
    ],
)
def test_they_are_a_reason_where_more_than_half_say_so(near: list[dict[Strategy, float]], lead: str) -> None:
    (sentence,) = neighbour_sentences(found(near, "fine_tuning", "feature_extractor"))
    assert sentence.startswith(lead)
    assert "set 0 with 40 pictures of 4 classes, where" in sentence


def test_each_is_named_with_what_was_best_on_it() -> None:
    (sentence,) = neighbour_sentences(found([WORSE], "fine_tuning", "fine_tuning"))
    assert sentence == (
        "Most like this data set on the panel: set 0 with 40 pictures of 4 classes, where feature_extractor was best "
        "(80.0%)."
    )
    assert list(neighbour_sentences(found([], "fine_tuning", "feature_extractor"))) == []
