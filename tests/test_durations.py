"""Durations are read as people write them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.durations import UNITS, format_duration, parse_duration
from automl_tl.errors import OptionError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("1.5", 1.5),
        ("10m", 600),
        ("2min", 120),
        ("1h30m", 5400),
        ("1h 30 min", 5400),
        (" 1 H ", 3600),
        ("2 minutes", 120),
        ("1.5h", 5400),
        ("1d2h3m4s", 93784),
        ("0h5m", 300),
    ],
)
def test_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "soon",
        "m",
        "10x",
        "1h30",
        "30m1h",
        "1m1m",
        "-5",
        "-5m",
        "1e3",
        "nan",
        "inf",
        "1:30",
        "1,5h",
        "٣m",
        "5 5",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"is no duration; write seconds \(90\)"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0", "0s", "0h0m", "0.0"])
def test_zero(text: str) -> None:
    with pytest.raises(OptionError, match="longer than zero"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["367d", "9" * 400, "9" * 400 + "h"])
def test_too_long(text: str) -> None:
    with pytest.raises(OptionError, match="at most 366 days"):
        parse_duration(text)


@given(st.text(max_size=12))
def test_anything_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(OptionError):
        assert parse_duration(text) > 0


@given(st.integers(1, 10_000), st.sampled_from(sorted(UNITS)))
def test_one_number_with_a_unit(number: int, unit: str) -> None:
    if number * UNITS[unit] <= 366 * 86400:
        assert parse_duration(f"{number}{unit}") == number * UNITS[unit]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (8.3, "8 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (5400, "1 h 30 min"),
        (3600, "1 h"),
        (3601, "1 h"),
        (86400 * 3 + 4 * 3600, "3 d 4 h"),
    ],
)
def test_written(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(1, 100 * 86400))
def test_what_is_written_can_be_read(seconds: int) -> None:
    assert abs(parse_duration(format_duration(seconds)) - seconds) <= max(1, seconds * 0.04)
