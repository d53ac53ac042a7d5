"""Full disks, kills, clocks, missing homes and vanished files: each ends in a clear sentence, and nothing is lost."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from generated_pictures import MakePictures, picture
from tiny_backbone import TinyBackbone, tiny_network
from tiny_models import register
from unprivileged import Restricted

import automl_tl
from automl_tl import cache_dir as places
from automl_tl.cli import main
from automl_tl.data.decode import Preprocessing
from automl_tl.errors import CacheError, DataError
from automl_tl.features.engine import Engine
from automl_tl.features.extract import Pass, extract
from automl_tl.features.memo import remember
from automl_tl.features.picture import Picture
from automl_tl.features.store import FeatureStore
from automl_tl.output import whole
from automl_tl.searcher.run_folder import RunFolder

posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")


@pytest.fixture
def some(tmp_path: Path) -> list[Picture]:
    """Twelve pictures on the disk."""
    found = []
    for n in range(12):
        path = tmp_path / f"{n}.png"
        picture(n % 3, n).save(path)
        found.append(Picture(str(path), f"{n:064x}"))
    return found


def features(pictures: list[Picture], folder: Path) -> np.ndarray:
    way = Pass(tiny_network(), Preprocessing(32), Engine("cpu", "float32"))
    return extract(way, pictures, FeatureStore(folder)).matrix((3,))


def shards(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


# --- the store --------------------------------------------------------------------------------------


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3] ^= 0x10
    file.write_bytes(content)


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def rubbish(file: Path) -> None:
    file.write_bytes(b"rubbish" * 100)


@pytest.mark.parametrize("damage", [flip, halve, empty, rubbish])
def test_a_damaged_entry_is_computed_again_and_said_once(
    some: list[Picture], tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    before = features(some, tmp_path / "cache")
    (shard,) = shards(tmp_path / "cache")
    damage(shard)
    for _ in range(2):
        np.testing.assert_allclose(features(some, tmp_path / "cache"), before, atol=1e-3)
    assert [record.getMessage() for record in caplog.records] == [
        f"'{shard}' in the cache is damaged; what it held is computed again"
    ]
    assert not shard.exists()


def test_entries_from_before_there_were_checksums_are_believed(some: list[Picture], tmp_path: Path) -> None:
    before = features(some, tmp_path / "cache")
    (shard,) = shards(tmp_path / "cache")
    shard.rename(shard.with_name("ab" * 16 + ".safetensors"))
    np.testing.assert_array_equal(features(some, tmp_path / "cache"), before)
    assert len(shards(tmp_path / "cache")) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_cache_that_cannot_be_written_is_named_and_filled_later(
    some: list[Picture], tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(file: Path, content: bytes) -> int:
        with open(file, "wb") as half:
            half.write(content[: len(content) // 2])
        raise OSError(number, os.strerror(number), str(file))

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", fail)
        with pytest.raises(CacheError, match=f"{os.strerror(number)}.*--cache-dir"):
            features(some, tmp_path / "cache")
    assert shards(tmp_path / "cache") == []
    assert not [one for one in (tmp_path / "cache").rglob("*") if one.is_file() and one.name != "key.json"]
    assert features(some, tmp_path / "cache").shape == (12, 16)


def test_a_clock_that_was_ahead_does_not_keep_the_cache_full(some: list[Picture], tmp_path: Path) -> None:
    features(some, tmp_path / "cache")
    (shard,) = shards(tmp_path / "cache")
    late = time.time() + 10 * 365 * 86400
    os.utime(shard, (late, late))
    FeatureStore(tmp_path / "cache", max_bytes=0).trim()
    assert shards(tmp_path / "cache") == []


# --- pictures ---------------------------------------------------------------------------------------


def vanish(path: Path) -> None:
    path.unlink()


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_text(path: Path) -> None:
    path.write_text("moved to the archive")


@pytest.mark.parametrize("change", [vanish, become_a_folder, become_text, empty])
def test_a_picture_that_vanishes_between_scan_and_read(
    some: list[Picture], tmp_path: Path, change: Callable[[Path], None]
) -> None:
    change(Path(some[7].path))
    with pytest.raises(DataError, match=rf"{some[7].path} changed while it was being read .*run the command again"):
        features(some, tmp_path / "cache")
    if Path(some[7].path).is_dir():
        Path(some[7].path).rmdir()
    picture(1, 7).save(some[7].path)
    assert features(some, tmp_path / "cache").shape == (12, 16)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_too_many_open_files_are_no_fault_of_the_pictures(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, make_pictures: Callable[..., Path]
) -> None:
    from automl_tl.data import source

    root, real = make_pictures(), source.File.open

    def fail(self: Any) -> Any:
        if self.name.endswith("3.png"):
            raise OSError(number, os.strerror(number), self.name)
        return real(self)

    with monkeypatch.context() as busy:
        busy.setattr(source.File, "open", fail)
        result = CliRunner().invoke(main, ["inspect", str(root)])
    assert result.exit_code == 2
    assert os.strerror(number) in result.stderr
    assert "close other programs" in result.stderr
    assert "18 in 3 classes" in CliRunner().invoke(main, ["inspect", str(root)]).stdout


@posix
def test_a_real_limit_of_open_files(make_pictures: Callable[..., Path]) -> None:
    path = next(make_pictures().rglob("*.png"))
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))\n"
        "from automl_tl.data.decode import read_rgb\n"
        f"held = [open('/dev/null') for _ in range(8)]; read_rgb({str(path)!r})"
    )
    result = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True)
    assert "OSError: [Errno 24] Too many open files" in result.stderr.splitlines()[-1]


# --- folders ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["a new one", "one that was begun"])
def test_a_read_only_run_folder_is_named(
    tmp_path: Path, make_pictures: Callable[..., Path], restricted: Restricted, kind: str
) -> None:
    (closed := tmp_path / "closed").mkdir()
    out, more = (closed / "run", []) if kind == "a new one" else (closed, ["--resume"])
    if more:
        RunFolder(closed).begin({"seed": 0}, {})
    closed.chmod(0o500)
    result = restricted("-m", "automl_tl", "search", str(make_pictures()), "--out", str(out), *more)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"the run folder '{out}' cannot be written (Permission denied); give another --out" in result.stderr
    assert [file.name for file in closed.iterdir()] == (["pictures.json", "run.json"] if more else [])


def test_without_a_home_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(places.ENVIRONMENT_VARIABLE)
    monkeypatch.setattr(places, "user_cache_dir", lambda *_, **__: "~/.cache/automl-tl")
    monkeypatch.setattr(os.path, "expanduser", os.fspath)
    with pytest.raises(CacheError, match=r"there is no home folder.*--cache-dir or \$AUTOML_TL_CACHE_DIR"):
        places.cache_dir()
    assert places.cache_dir(tmp_path / "named").is_dir()
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_small_result_that_cannot_be_kept_is_there(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_text", fail)
    assert remember(tmp_path, {"a": 1}, lambda: 1.5) == 1.5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), MemoryError()])
def test_a_file_that_is_replaced_is_the_old_one_or_the_new_one(tmp_path: Path, error: BaseException) -> None:
    file = tmp_path / "result.json"
    file.write_text("old")

    def half() -> None:
        with whole(file) as new:
            new.write_text("ne")
            raise error

    with pytest.raises(type(error)):
        half()
    assert [one.read_text() for one in tmp_path.iterdir()] == ["old"]


ON_A_SMALL_DISK = """
mount -t tmpfs -o size={size}k tmpfs "$1" || exit 77
shift
"$@" > first.txt 2>&1; echo $? > first.rc
mount -o remount,size=20m tmpfs {disk}
"$@" --resume > second.txt 2>&1; echo $? > second.rc
cp -r {disk}/run kept
"""
"""What a search does on a full disk, and after room is made; nobody else sees the disk."""


@pytest.mark.slow
@pytest.mark.parametrize("size", [60, 100, 160])
def test_a_disk_that_is_full_and_then_has_room(
    size: int, make_pictures: MakePictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, tests = tmp_path / "disk", Path(__file__).parents[1]
    disk.mkdir()
    script = ON_A_SMALL_DISK.format(size=size, disk=disk)
    words = ["search", make_pictures(per_class=12), "--backbone", "tiny", "--device", "cpu", "--trials", "8"]
    path = os.pathsep.join(map(str, (tests.parent, tests, tests / "fixtures" / "plugin")))
    command = ["unshare", "-rm", "sh", "-c", script, "sh", disk, sys.executable, "-m", "automl_tl", *words]
    try:
        ended = subprocess.run(
            [*map(str, command), "--out", str(disk / "run")], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("unshare(1) is missing")
    if not (tmp_path / "first.rc").exists():
        pytest.skip(f"no disk can be mounted here: {ended.stderr}")
    said = (tmp_path / "first.txt").read_text()
    assert (tmp_path / "first.rc").read_text() == "2\n", said
    sentence = rf"Error: .*'{disk}/run/.*No space left on device.*\): free some space, or give another"
    assert re.search(sentence, said), said
    assert "Traceback" not in said
    assert (tmp_path / "second.rc").read_text() == "0\n", (tmp_path / "second.txt").read_text()
    register(monkeypatch, TinyBackbone(widths=(6, 8, 10)))
    assert len(automl_tl.load(tmp_path / "kept" / "bundle").predict(tmp_path / "pictures")) == 36
    table = pd.read_csv(tmp_path / "kept" / "leaderboard.csv")
    ended = table[(table.kind == "trial") & table.state.isin(["complete", "pruned"])]
    assert (len(ended), ended.number.is_unique) == (8, True)
