"""The constant answer is named where classes are not balanced."""

from __future__ import annotations

import pytest

from automl_tl.data.majority import Majority, majority


@pytest.mark.parametrize("counts", [{}, {"a": 5}, {"a": 5, "b": 5}, {"a": 14, "b": 10}, {"a": 5, "b": 0}])
def test_balanced_classes_have_none(counts: dict[str, int]) -> None:
    assert majority(counts) is None


def test_the_largest_class_is_the_answer() -> None:
    assert majority({"b": 1, "a": 3, "c": 0}) == Majority("a", 0.75)
