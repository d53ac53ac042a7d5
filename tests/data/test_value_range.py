"""One range of values for the pictures of more than 8 bits of a data set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.data.value_range import EIGHT_BITS, Extent, ValueRange, common_range


@pytest.mark.parametrize(
    ("largest", "white"), [(255, 255), (256, 1023), (4095, 4095), (4096, 16383), (16384, 65535), (65535, 65535)]
)
def test_whole_numbers_have_a_depth(largest: int, white: int) -> None:
    assert common_range([Extent(3, 200, True), Extent(7, largest, True)]) == ValueRange(0, white)


@pytest.mark.parametrize(
    ("extents", "expected"),
    [
        ([Extent(-1024, 3071, True)], ValueRange(-1024, 3071)),
        ([Extent(0, 70_000, True), Extent(9, 9, True)], ValueRange(0, 70_000)),
        ([Extent(0, 1, False), Extent(0.25, 0.5, False)], ValueRange(0, 1)),
        ([Extent(7.5, 7.5, False)], ValueRange(7.5, 8.5)),
        ([], EIGHT_BITS),
    ],
)
def test_other_values_have_their_own_range(extents: list[Extent], expected: ValueRange) -> None:
    assert common_range(extents) == expected


def test_one_broken_picture_in_many_does_not_make_the_others_black() -> None:
    assert common_range([Extent(0, 1, False)] * 200 + [Extent(-1e30, 1e30, False)]) == ValueRange(0, 1)


def test_the_range_is_in_words() -> None:
    assert EIGHT_BITS.describe() == "8 bits (0 to 255)"
    assert ValueRange(-1000, 3000).describe() == "values from -1,000 to 3,000"


def test_what_lies_outside() -> None:
    twelve = ValueRange(0, 4095)
    assert twelve.fault(None) == twelve.fault(Extent(0, 4095, True)) == ""
    assert "values from 0 to 4,096, the training pictures 12 bits (0 to 4,095)" in twelve.fault(Extent(0, 4096, True))
    assert EIGHT_BITS.fault(None) == ""
    assert "the training pictures 8 bits" in EIGHT_BITS.fault(Extent(0, 200, True))


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=40), st.sampled_from([1023, 4095, 65535]))
def test_the_same_value_is_the_same_grey_in_every_picture(values: list[int], white: int) -> None:
    array = np.array(values)
    alone, together = (
        ValueRange(0, white).scale(some, Extent(float(some.min()), float(some.max()), True))
        for some in (array[:1], array)
    )
    assert alone[0] == together[0]
    assert (np.diff(together[np.argsort(array)].astype(int)) >= 0).all()
