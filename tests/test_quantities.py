"""Sizes, counts and times as people write them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from automl_tl.errors import OptionError
from automl_tl.quantities import parse_bytes, parse_count, parse_milliseconds


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_bytes, "4GB", 4 * 10**9),
        (parse_bytes, "500 MB", 5 * 10**8),
        (parse_bytes, " 1.5gib ", 3 * 2**29),
        (parse_bytes, "8G", 8 * 10**9),
        (parse_bytes, "4000000000", 4 * 10**9),
        (parse_bytes, "2e9", 2 * 10**9),
        (parse_count, "5M", 5 * 10**6),
        (parse_count, "2.5e6", 2_500_000),
        (parse_count, "2.5e+6", 2_500_000),
        (parse_count, "800k", 800_000),
        (parse_count, "1.2B", 1_200_000_000),
        (parse_count, "1", 1),
        (parse_milliseconds, "20", 20.0),
        (parse_milliseconds, "0.5 ms", 0.5),
        (parse_milliseconds, "0.5s", 500.0),
        (parse_milliseconds, "250us", 0.25),
    ],
)
def test_accepted(parse: Callable[[str], float], text: str, value: float) -> None:
    assert parse(text) == value
    assert type(parse(text)) is (float if parse is parse_milliseconds else int)


@pytest.mark.parametrize(
    ("parse", "text", "sentence"),
    [
        (parse_bytes, "", "'' is not an amount of memory; write bytes or a unit: 500MB, 4GB, 1.5GiB"),
        (parse_bytes, "much", "is not an amount of memory"),
        (parse_bytes, "-4GB", "is not an amount of memory"),
        (parse_bytes, "4 horses", "is not an amount of memory"),
        (parse_bytes, "0", "an amount of memory must be above zero, but got '0'"),
        (parse_bytes, "0.1", "'0.1' is less than one"),
        (parse_bytes, "1e99", "must be at most 1e+15, but got '1e99'"),
        (parse_bytes, "1e999", "must be at most"),
        (parse_bytes, "nan", "is not an amount of memory"),
        (parse_count, "5,000,000", "is not a number; write 5000000, 5M or 2.5e6"),
        (parse_count, "5MB", "is not a number"),
        (parse_count, "0.2", "is less than one"),
        (parse_milliseconds, "0ms", "a time must be above zero"),
        (parse_milliseconds, "fast", "is not a time; write milliseconds (20) or a unit (20ms, 0.5s)"),
    ],
)
def test_refused_with_a_sentence(parse: Callable[[str], float], text: str, sentence: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse(text)
    assert sentence in str(caught.value)
