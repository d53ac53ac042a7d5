"""Work done ahead: in order, in bounded memory, and none of it once nobody listens."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_tl.cores import default_threads
from automl_tl.data.ahead import ahead


@given(st.lists(st.integers(), max_size=40), st.integers(1, 50), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_every_result_comes_in_order_and_few_wait(items: list[int], most: int, threads: int) -> None:
    taken = []

    def watched() -> Iterator[int]:
        for item in items:
            taken.append(item)
            yield item

    came = []
    for result in ahead(lambda item: item + 1, watched(), most=most, threads=threads):
        came.append(result)
        assert len(taken) - len(came) < most
    assert came == [item + 1 for item in items]


def test_threads_work_while_nobody_asks() -> None:
    done = threading.Event()

    def work(item: int) -> int:
        if item == 2:
            done.set()
        return item

    results = ahead(work, range(9), most=3, threads=1)
    assert next(results) == 0
    assert done.wait(timeout=30)  # the third one, though only the first was asked for
    results.close()  # type: ignore[attr-defined]


def test_nothing_more_is_done_once_nobody_listens() -> None:
    done: list[int] = []
    results = ahead(lambda item: done.append(item), range(1000), most=5, threads=2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(done) <= 5


def test_an_error_comes_where_its_result_would_and_ends_the_work() -> None:
    done: list[int] = []

    def work(item: int) -> int:
        done.append(item)
        if item == 2:
            raise ValueError("the third")
        return item

    results = ahead(work, range(1000), most=4, threads=1)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(results)
    assert len(done) < 8


def test_threads() -> None:
    assert 2 <= default_threads() <= 8
