"""The malloc tuning is made on Linux with glibc and does nothing elsewhere; memory is measured where it can be."""

from __future__ import annotations

import ctypes
import mmap
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from automl_tl import memory
from automl_tl.errors import AutomlTlError
from automl_tl.memory import held_memory, tune_malloc

GLIBC = platform.libc_ver()[0] == "glibc"

FAULTS = """
import resource, sys
import numpy as np
from automl_tl.memory import tune_malloc
if sys.argv[1] == "tuned":
    assert tune_malloc()
for _ in range(3):
    np.ones(8_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(8_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

GIVEN_BACK = """
import numpy as np
from automl_tl.memory import give_back_freed, held_memory, tune_malloc
assert tune_malloc()
kept = [np.ones(1_000_000) for _ in range(25)]
last = np.ones(1_000_000)  # above the others: glibc gives back by itself what is the topmost
most = held_memory()
del kept
freed = held_memory()
assert give_back_freed()
print(most - freed, most - held_memory())
"""


@pytest.mark.skipif(not GLIBC, reason="glibc only")
def test_big_blocks_are_not_faulted_in_again() -> None:
    def faults(how: str) -> int:
        command = [sys.executable, "-c", FAULTS, how]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert faults("tuned") < faults("default") / 5


@pytest.mark.skipif(not GLIBC, reason="glibc only")
def test_what_was_freed_is_kept_until_it_is_given_back() -> None:
    """In a process of its own: in this one other tests' arrays come and go."""
    told = subprocess.run([sys.executable, "-c", GIVEN_BACK], capture_output=True, text=True, check=True).stdout
    kept, given_back = (int(word) for word in told.split())
    assert kept < 20_000_000
    assert given_back > 180_000_000


@pytest.mark.skipif(not GLIBC, reason="glibc only")
def test_it_says_that_it_was_made() -> None:
    command = [
        sys.executable,
        "-c",
        "from automl_tl.memory import tune_malloc; print(tune_malloc(), tune_malloc())",
    ]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True True\n"


@pytest.mark.parametrize("error", [OSError, AttributeError, TypeError])
def test_elsewhere_it_is_silent(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def no_libc(name: str | None) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", no_libc)
    tune_malloc.cache_clear()
    try:
        assert tune_malloc() is False
    finally:
        tune_malloc.cache_clear()


@pytest.mark.parametrize("proc", [True, False])
def test_memory_is_that_of_this_process(proc: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not proc:
        monkeypatch.setattr(memory, "Path", lambda _: tmp_path / "nothing")
    # Pages of its own: what malloc had freed may serve an array again.
    region = mmap.mmap(-1, 320_000_000, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    before = held_memory()
    assert before is not None
    assert 1e7 < before < 1e11
    region.write(b"x" * 320_000_000)
    held = held_memory()
    assert held is not None
    assert held - before > (200e6 if proc else -1)  # others may give back some meanwhile
    region.close()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux only")
def test_files_that_are_mapped_do_not_count(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"x" * 100_000_000)
    before = held_memory()
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert mapped[::4096].count(b"x") > 20_000  # every page was read
        held = held_memory()
    assert before is not None
    assert held is not None
    assert held - before < 50e6


def test_what_is_held_and_what_would_be_is_compared_with_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "held_memory", lambda: 2_000_000_000)
    memory.check_memory(None, 1e12)
    memory.check_memory(2_000_000_000)
    with pytest.raises(AutomlTlError, match=r"it used 2\.0 GB of memory, more than the 1\.5 GB allowed"):
        memory.check_memory(1_500_000_000)
    with pytest.raises(AutomlTlError, match=r"it would use 3\.0 GB of memory, more than the 2\.5 GB allowed"):
        memory.check_memory(2_500_000_000, 1e9)


def test_without_either_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert held_memory() is None
