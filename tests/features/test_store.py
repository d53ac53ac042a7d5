from __future__ import annotations

import errno
import hashlib
import os
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from automl_tl.errors import CacheError
from automl_tl.features import memo
from automl_tl.features import store as module
from automl_tl.features.memo import remember
from automl_tl.features.store import FeatureStore, digest, names, read

RECIPE = {"backbone": "tiny", "view": "plain"}


def keys(n: int, salt: str = "") -> list[str]:
    return [hashlib.sha256(f"{salt}{i}".encode()).hexdigest() for i in range(n)]


def values(n: int, start: int = 0) -> dict[str, np.ndarray]:
    return {"1/mean": np.arange(start, start + n * 2, dtype=np.float32).reshape(n, 2)}


def test_what_was_added_is_read_by_another_process_in_any_order(tmp_path: Path) -> None:
    table = FeatureStore(tmp_path).table(RECIPE)
    table.add(keys(3), values(3))
    table.add(keys(2, "b"), values(2, start=100))
    again = FeatureStore(tmp_path).table(RECIPE)
    wanted = [keys(2, "b")[1], keys(3)[2], keys(3)[0]]
    assert read(again.slices(wanted), "1/mean").tolist() == [[102, 103], [4, 5], [0, 1]]
    assert names(again.slices(wanted)) == {"1/mean"}


def test_another_recipe_is_another_table(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.table(RECIPE).add(keys(1), values(1))
    assert keys(1)[0] in store.table(RECIPE)
    assert keys(1)[0] not in store.table({**RECIPE, "view": "hflip"})


def test_a_damaged_shard_is_deleted_its_pictures_are_missing_and_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = FeatureStore(tmp_path).table(RECIPE)
    table.add(keys(2), values(2))
    table.add(keys(2, "b"), values(2))
    shard = sorted(table.folder.glob("*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:20])
    for _ in range(2):
        again = FeatureStore(tmp_path).table(RECIPE)
        assert sum(key in again for key in keys(2) + keys(2, "b")) == 2
    assert not shard.exists()
    assert caplog.messages == [f"'{shard}' in the cache is damaged; what it held is computed again"]


@pytest.mark.parametrize(
    "shard",
    [
        {"keys": np.zeros((), np.uint8), **values(2)},
        {"keys": np.zeros(64, np.uint8), **values(2)},
        {"keys": np.zeros((2, 31), np.uint8), **values(2)},
        {"keys": np.zeros((2, 32), np.float32), **values(2)},
        {"keys": np.zeros((3, 32), np.uint8), **values(2)},
        {"keys": np.zeros((2, 32), np.uint8), "1/mean": np.zeros(2, np.float32)},
        values(2),
    ],
)
def test_a_whole_file_that_is_no_shard_is_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, shard: dict[str, np.ndarray]
) -> None:
    table, content = FeatureStore(tmp_path).table(RECIPE), save(shard)
    table.add(keys(2), values(2))
    file = table.folder / f"{'0' * 32}-{zlib.crc32(content):08x}.safetensors"
    file.write_bytes(content)
    again = FeatureStore(tmp_path).table(RECIPE)
    assert read(again.slices(keys(2)), "1/mean").tolist() == [[0, 1], [2, 3]]
    assert "00" * 32 not in again
    assert not file.exists()
    assert "damaged" in caplog.text


FAULTS = {
    errno.EMFILE: "Too many open files",
    errno.ESTALE: "Stale file handle",
    errno.EACCES: "Permission denied",
    errno.EIO: "Input/output error",
}


@pytest.mark.parametrize("number", FAULTS)
def test_what_cannot_be_read_just_now_stays_and_is_read_later(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    FeatureStore(tmp_path).table(RECIPE).add(keys(3), values(3))
    before = sorted(path for path in tmp_path.rglob("*.safetensors"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, FAULTS[number])

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert keys(3)[0] not in FeatureStore(tmp_path).table(RECIPE)
    assert FAULTS[number] in caplog.text
    assert sorted(path for path in tmp_path.rglob("*.safetensors")) == before
    assert keys(3)[0] in FeatureStore(tmp_path).table(RECIPE)


def test_what_vanishes_while_it_is_needed_is_a_sentence(tmp_path: Path) -> None:
    table = FeatureStore(tmp_path).table(RECIPE)
    table.add(keys(3), values(3))
    slices = table.slices(keys(3))
    slices[0].shard.unlink()
    for ask in (lambda: read(slices, "1/mean"), lambda: names(slices)):
        with pytest.raises(CacheError, match=r"cannot be read any more \(No such file.*run the command again"):
            ask()


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = FeatureStore(tmp_path).table(RECIPE)
    table.add(keys(1), values(1))
    before = {path for path in table.folder.iterdir()}
    whole = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        whole(self, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CacheError, match=r"cannot be kept in .*No space left on device.*--cache-dir"):
        table.add(keys(1, "new"), values(1))
    assert {path for path in table.folder.iterdir()} == before
    assert keys(1, "new")[0] not in table
    assert keys(1)[0] in FeatureStore(tmp_path).table(RECIPE)


def test_nothing_half_written_is_ever_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = FeatureStore(tmp_path).table(RECIPE)

    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        table.add(keys(1), values(1))
    monkeypatch.undo()
    assert keys(1)[0] not in FeatureStore(tmp_path).table(RECIPE)


def long_unused(folder: Path) -> list[Path]:
    """Return the shards below a folder, all last used two hours ago."""
    shards, long_ago = sorted(folder.rglob("*.safetensors")), time.time() - 7200
    for shard in shards:
        os.utime(shard, (long_ago, long_ago))
    return shards


def test_what_is_needed_here_is_never_trimmed(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, max_bytes=1)
    table = store.table(RECIPE)
    for name in ("old", "needed"):
        table.add(keys(1, name), values(1))
    del table  # what it wrote is needed as long as it lives
    table = store.table(RECIPE)
    slices = table.slices(keys(1, "needed"))
    del table
    long_unused(tmp_path)
    store.trim()
    assert sorted(tmp_path.rglob("*.safetensors")) == [slices[0].shard]
    read(slices, "1/mean")
    del slices
    long_unused(tmp_path)
    store.trim()
    assert sorted(tmp_path.rglob("*.safetensors")) == []


def test_what_is_needed_stays_while_the_rest_is_computed(tmp_path: Path) -> None:
    FeatureStore(tmp_path).table(RECIPE).add(keys(2), values(2))
    table = FeatureStore(tmp_path).table(RECIPE)
    table.hold([*keys(1), *keys(1, "missing")])
    long_unused(tmp_path)
    FeatureStore(tmp_path, max_bytes=1).trim()
    table.add(keys(1, "missing"), values(1))
    assert read(table.slices([*keys(1), *keys(1, "missing")]), "1/mean").shape == (2, 2)


def test_what_comes_to_be_needed_while_others_are_trimmed_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FeatureStore(tmp_path).table(RECIPE).add(keys(2), values(2))
    [shard] = long_unused(tmp_path)

    def in_between(folder: Path) -> set[Path]:
        os.utime(shard)  # as another process does once it has pinned it
        return set()

    monkeypatch.setattr(module, "pinned", in_between)
    FeatureStore(tmp_path, max_bytes=1).trim()
    assert shard.exists()


def test_what_was_deleted_before_it_was_held_is_missing(tmp_path: Path) -> None:
    FeatureStore(tmp_path).table(RECIPE).add(keys(2), values(2))
    table = FeatureStore(tmp_path).table(RECIPE)
    for shard in tmp_path.rglob("*.safetensors"):
        shard.unlink()
    table.hold(keys(1))
    assert keys(1)[0] not in table


def test_a_shard_of_another_user_is_not_trimmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FeatureStore(tmp_path).table(RECIPE).add(keys(1), values(1))
    shards = long_unused(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    FeatureStore(tmp_path, max_bytes=1).trim()
    assert all(shard.exists() for shard in shards)


def test_trimming_deletes_what_was_used_longest_ago_and_spares_the_last_hour(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, max_bytes=1)
    table = store.table(RECIPE)
    for name in ("old", "new"):
        table.add(keys(1, name), values(1))
    old = table.slices(keys(1, "old"))[0].shard
    del table
    long_ago = time.time() - 7200
    os.utime(old, (long_ago, long_ago))
    store.trim()
    again = store.table(RECIPE)
    assert keys(1, "old")[0] not in again
    assert keys(1, "new")[0] in again


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
@settings(max_examples=30)
def test_the_digest_does_not_depend_on_the_order(recipe: dict[str, object]) -> None:
    assert digest(recipe) == digest(dict(reversed(recipe.items())))


def test_a_result_is_computed_once_and_again_if_damaged(tmp_path: Path) -> None:
    calls = []

    def compute() -> list[int]:
        calls.append(1)
        return [1, 2]

    for _ in range(2):
        assert remember(tmp_path, {"a": 1}, compute) == [1, 2]
    assert len(calls) == 1
    next(tmp_path.glob("*.json")).write_text("{")
    assert remember(tmp_path, {"a": 1}, compute) == [1, 2]
    assert remember(tmp_path, {"a": 2}, compute) == [1, 2]
    assert len(calls) == 3


def test_what_is_too_large_to_be_read_again_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(memo, "LARGEST_JSON", 1000)
    for _ in range(2):
        assert len(remember(tmp_path, {"a": 1}, lambda: "x" * 1000)) == 1000
    assert (list(tmp_path.iterdir()), caplog.messages) == ([], [])


def test_what_is_known_needs_no_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FeatureStore(tmp_path).table(RECIPE).add(keys(3), values(3))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    for name in ("mkdir", "write_bytes", "replace", "unlink"):
        monkeypatch.setattr(Path, name, refuse)
    table = FeatureStore(tmp_path).table(RECIPE)
    np.testing.assert_array_equal(read(table.slices(keys(3)), "1/mean"), values(3)["1/mean"])
    assert keys(1)[0] not in FeatureStore(tmp_path).table({**RECIPE, "view": "hflip"})
    with pytest.raises(CacheError, match=r"cannot be kept in .*Read-only file system.*--cache-dir"):
        table.add(keys(1, "new"), values(1))


def test_a_small_result_that_cannot_be_kept_is_there_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert remember(tmp_path / "file", {"a": 1}, lambda: [1, 2]) == [1, 2]
