from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_tl.errors import CacheError
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


def test_a_damaged_shard_is_left_out_and_its_pictures_are_missing(tmp_path: Path) -> None:
    table = FeatureStore(tmp_path).table(RECIPE)
    table.add(keys(2), values(2))
    table.add(keys(2, "b"), values(2))
    shard = sorted(table.folder.glob("*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:20])
    again = FeatureStore(tmp_path).table(RECIPE)
    assert sum(key in again for key in keys(2) + keys(2, "b")) == 2


def test_nothing_half_written_is_ever_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = FeatureStore(tmp_path).table(RECIPE)

    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        table.add(keys(1), values(1))
    monkeypatch.undo()
    assert keys(1)[0] not in FeatureStore(tmp_path).table(RECIPE)


def test_trimming_deletes_what_was_used_longest_ago_and_spares_the_last_hour(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, max_bytes=1)
    table = store.table(RECIPE)
    for name in ("old", "new"):
        table.add(keys(1, name), values(1))
    old = table.slices(keys(1, "old"))[0].shard
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
