"""The one look-ahead: threads do work a little before its result is asked for, in order and in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from automl_tl.cores import default_threads

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    work: Callable[[Item], Result], items: Iterable[Item], *, most: int, threads: int | None = None
) -> Generator[Result, None, None]:
    """Yield `work(item)` of every item, in their order; what it raises is raised where its result would come.

    Nothing more is done once nobody listens any more.

    Args:
        work: called in several threads at once, for pictures: it reads, decodes and resizes outside Python's lock.
        items: taken in the caller's thread, when there is room for another result.
        most: results that are worked on, or wait, at a time: the bound of the memory.
        threads: default: `cores.default_threads`.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads or default_threads(), thread_name_prefix="ahead") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
