"""The feature store at its worst moments: its writer is killed at every one of them, two processes write at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_tl.features.store import FeatureStore, FeatureTable, read

posix = pytest.mark.skipif(os.name != "posix", reason="needs processes that fork")
pytestmark = posix
WRITES = {"open", "os.mkdir", "os.rename", "os.remove", "os.truncate", "os.utime"}
"""Of Python's audit events, those before something on the disk may change."""
KEY = {"a": 1}
OLD, NEW = [f"{n:064x}" for n in range(3)], [f"{n:064x}" for n in range(3, 6)]
STORES: dict[str, list[str]] = {"an empty store": [], "a filled one": OLD}
SECONDS = 60.0


def table_in(folder: Path) -> FeatureTable:
    return FeatureStore(folder).table(KEY)


def add(folder: Path, keys: list[str]) -> None:
    """Add a shard, large enough that no buffer holds it; every row says of which picture it is."""
    rows = np.array([int(key, 16) for key in keys], np.float32)
    table_in(folder).add(keys, {"1/mean": np.repeat(rows[:, None], 5000, axis=1)})


def found_in(folder: Path) -> list[str]:
    """Return which pictures the store knows; nothing in it is damaged, and the rows of a picture are its own."""
    for shard in folder.rglob("*.safetensors"):
        assert shard.stem.endswith(f"-{zlib.crc32(shard.read_bytes()):08x}")
    for file in folder.rglob("key.json"):
        assert json.loads(file.read_text()) == KEY
    table = table_in(folder)
    known = [key for key in (*OLD, *NEW) if key in table]
    if known:
        rows = read(table.slices(known), "1/mean")
        assert rows[:, [0, -1]].tolist() == [[int(key, 16)] * 2 for key in known]
    return known


def forked(work: Callable[..., None], *args: Any) -> int | None:
    """Do the work in a process of its own; return how that has ended."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    process.join(SECONDS)
    return process.exitcode


def add_until_killed(folder: Path, event: int) -> None:
    """Add a shard, and be killed before the `event`-th time that something on the disk may change."""
    left = iter(range(event))

    def kill(name: str, values: tuple[object, ...]) -> None:
        if name in WRITES and str(folder) in str(values[0]) and next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(kill)
    add(folder, NEW)


@pytest.mark.parametrize("before", STORES.values(), ids=STORES)
def test_a_kill_before_any_change_of_the_disk_leaves_whole_entries(tmp_path: Path, before: list[str]) -> None:
    ended, moments = None, 0
    while ended != 0:
        place = tmp_path / str(moments)
        if before:
            add(place, before)
        ended = forked(add_until_killed, place, moments)
        assert ended in (0, -signal.SIGKILL)
        assert found_in(place) in (before, before + NEW)
        add(place, NEW)  # whoever comes next
        assert found_in(place) == before + NEW
        moments += 1
    assert moments > 6


def add_until_full(folder: Path, most: int) -> None:
    """Add a shard, and be ended by the system within the byte after `most` of a file."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    add(folder, NEW)


@pytest.mark.parametrize("written", [0, 8, 200, 5000, 60_000, 60_239])
@pytest.mark.parametrize("before", STORES.values(), ids=STORES)
def test_an_end_in_the_middle_of_a_file_leaves_whole_entries(tmp_path: Path, before: list[str], written: int) -> None:
    if before:
        add(tmp_path, before)
    assert forked(add_until_full, tmp_path, written) == -signal.SIGXFSZ
    assert found_in(tmp_path) == before
    add(tmp_path, NEW)
    assert found_in(tmp_path) == before + NEW


@contextmanager
def stopping_in_every_file(half: Callable[[], object]) -> Iterator[None]:
    """Call `half` whenever half of a file is written."""
    whole = Path.write_bytes

    def write(self: Path, content: bytes) -> int:
        whole(self, content[: len(content) // 2])
        half()
        with self.open("ab") as file:
            file.write(content[len(content) // 2 :])
        half()
        return len(content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_bytes", write)
        yield


def add_in_step(folder: Path, step: Barrier) -> None:
    with stopping_in_every_file(lambda: [step.wait(SECONDS), step.wait(SECONDS)]):
        add(folder, NEW)


def test_two_processes_fill_one_entry_at_once_and_a_third_one_reads(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    step = fork.Barrier(3)
    both = [fork.Process(target=add_in_step, args=(tmp_path, step)) for _ in range(2)]
    for one in both:
        one.start()
    for _ in ("half of key.json", "all of it", "half of the shard", "all of it"):
        step.wait(SECONDS)  # both are there
        assert found_in(tmp_path) == []
        step.wait(SECONDS)
    for one in both:
        one.join(SECONDS)
    assert [one.exitcode for one in both] == [0, 0]
    assert found_in(tmp_path) == NEW
    assert not [file for file in tmp_path.rglob("*.tmp")]
