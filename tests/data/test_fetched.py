"""Objects that are fetched once: within the room that there is, by several threads, whatever becomes of the file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from automl_tl.data.fetched import Fetched


class Store:
    """Objects whose content is their address, and what was fetched."""

    def __init__(self) -> None:
        self.fetched: list[str] = []

    def __call__(self, address: str) -> bytes:
        self.fetched.append(address)
        return address.encode() * 1000


def test_each_object_is_fetched_once(tmp_path: Path) -> None:
    store, kept = Store(), Fetched(tmp_path)
    for _ in range(2):
        for address in ("a", "bc", "a", "def"):
            assert kept.read(address, store) == address.encode() * 1000
    assert store.fetched == ["a", "bc", "def"]
    assert not list(tmp_path.iterdir())


def test_several_threads_get_what_they_ask_for(tmp_path: Path) -> None:
    store, kept = Store(), Fetched(tmp_path)
    addresses = [f"object {number}" for number in range(40)] * 10
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda address: kept.read(address, store), addresses))
    assert found == [address.encode() * 1000 for address in addresses]
    assert len(set(store.fetched)) == 40


def test_what_has_no_room_is_fetched_again(tmp_path: Path) -> None:
    store, kept = Store(), Fetched(tmp_path, max_bytes=1500)
    for address in ("a", "b", "a", "b"):
        assert kept.read(address, store) == address.encode() * 1000
    assert store.fetched == ["a", "b", "b"]


def test_without_a_folder_everything_is_fetched_again(tmp_path: Path) -> None:
    store, kept = Store(), Fetched(tmp_path / "none")
    assert [kept.read("a", store) for _ in range(2)] == [b"a" * 1000] * 2
    assert store.fetched == ["a", "a"]


def test_a_file_that_has_become_shorter_is_not_believed(tmp_path: Path) -> None:
    store, kept = Store(), Fetched(tmp_path)
    kept.read("a", store)
    assert kept._file is not None
    kept._file.truncate(10)
    assert kept.read("a", store) == b"a" * 1000
    assert store.fetched == ["a", "a"]


def test_what_fetching_raises_is_raised_and_nothing_is_kept(tmp_path: Path) -> None:
    def missing(address: str) -> bytes:
        raise FileNotFoundError(address)

    store, kept = Store(), Fetched(tmp_path)
    with pytest.raises(FileNotFoundError):
        kept.read("a", missing)
    assert kept.read("a", store) == b"a" * 1000
