"""What another process needs stays while that process lives, and not a moment longer."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from automl_tl.features.pins import Pin, pinned

HOLDER = """
import sys
from pathlib import Path
from automl_tl.features.pins import Pin
folder = Path(sys.argv[1])
pin = Pin(folder)
pin.add([folder / "table" / "a.safetensors"])
pin.add([folder / "table" / "b.safetensors"])
print("held", flush=True)
sys.stdin.read()
"""


def test_what_a_process_needs_stays_until_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert pinned(tmp_path) == {tmp_path / "table" / f"{name}.safetensors" for name in "ab"}
        process.kill()
        process.wait()
        assert list((tmp_path / "in-use").glob("*.txt")) != []
        assert pinned(tmp_path) == set()
    assert list((tmp_path / "in-use").iterdir()) == []


def test_nothing_is_left_of_a_pin_that_nobody_needs(tmp_path: Path) -> None:
    pin = Pin(tmp_path)
    assert list(tmp_path.iterdir()) == []
    pin.add([tmp_path / "t" / "a"])
    assert pinned(tmp_path) == {tmp_path / "t" / "a"}
    del pin
    assert pinned(tmp_path) == set()
    assert list((tmp_path / "in-use").iterdir()) == []


def test_caches_have_pins_of_their_own(tmp_path: Path) -> None:
    pin = Pin(tmp_path / "a")
    pin.add([tmp_path / "a" / "t" / "a"])
    assert pinned(tmp_path / "b") == set()


def test_a_copy_in_another_process_pins_nothing(tmp_path: Path) -> None:
    pin = Pin(tmp_path)
    pin.add([tmp_path / "t" / "a"])
    copy = pickle.loads(pickle.dumps(pin))
    del pin
    assert pinned(tmp_path) == set()
    copy.add([tmp_path / "t" / "b"])
    assert pinned(tmp_path) == {tmp_path / "t" / "b"}


def test_where_a_lock_is_impossible_only_this_process_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    pin = Pin(tmp_path)
    pin.add([tmp_path / "t" / "a"])
    assert pinned(tmp_path) == {tmp_path / "t" / "a"}
