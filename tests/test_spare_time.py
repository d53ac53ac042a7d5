from __future__ import annotations

import math
import time

import pytest

from automl_tl.spare_time import UNLIMITED, LateError, SpareTime, until


def over() -> SpareTime:
    return SpareTime(time.monotonic() - 1)


def test_time_that_never_ends_is_never_over() -> None:
    assert not UNLIMITED.is_over
    UNLIMITED.check()
    assert list(UNLIMITED.bounded("abc")) == ["a", "b", "c"]
    assert UNLIMITED.attempt("this", lambda: 1, lambda: 2) == 1
    assert UNLIMITED.note() == ()


def test_what_is_late_is_not_begun_and_is_said_once() -> None:
    spare = over()
    assert spare.attempt("this", lambda: pytest.fail("begun"), lambda: 2) == 2
    assert spare.attempt("that", lambda: 1, lambda: 3) == 3
    assert spare.attempt("this", lambda: 1, lambda: 4) == 4
    assert spare.note() == ("Left out, since there was no time for it on this machine: this; that.",)


def test_what_is_not_done_in_time_ends() -> None:
    """By a time that ends after the second of three."""
    done: list[int] = []

    class Ending(SpareTime):
        @property
        def is_over(self) -> bool:
            return len(done) >= 2

    def work() -> str:
        done.extend(Ending().bounded(range(3)))
        return "all"

    assert SpareTime().attempt("this", work, lambda: "some") == "some"
    assert done == [0, 1]


def test_progress_is_told_and_ends_unless_all_is_done() -> None:
    told: list[tuple[int, int]] = []
    counting = over().counting(lambda done, total: told.append((done, total)))
    counting(3, 3)
    with pytest.raises(LateError):
        counting(1, 3)
    assert told == [(3, 3), (1, 3)]


def test_a_part_of_the_time_ends_sooner_and_misses_for_the_whole() -> None:
    spare = SpareTime(time.monotonic() + 100)
    assert time.monotonic() + 20 < spare.part(0.25).ends < time.monotonic() + 30
    assert spare.part(0.0).attempt("this", lambda: "all", lambda: "some") == "some"
    assert spare.missed == ["this"]
    assert over().part(0.5).is_over
    assert not UNLIMITED.part(0.5).is_over


def test_one_item_is_had_in_any_case() -> None:
    assert list(until(-math.inf, "abc")) == ["a"]
    assert list(until(math.inf, "abc")) == ["a", "b", "c"]
    assert list(until(-math.inf, "")) == []
