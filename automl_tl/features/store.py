"""A content-addressed cache of features on disk, shared by runs and processes.

A *key* is everything that changes a feature but the picture itself; its hash names a folder. In it
lie immutable shards: safetensors files of some hundred pictures, written under a temporary name and
then renamed, so that a reader never sees half a file and two processes never hinder one another (at
worst both write the same rows). A shard's name ends in the CRC of its bytes; a damaged one is deleted,
and its pictures are computed again; one that cannot be read just now, or not by this user, stays as it is.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from automl_tl.errors import CacheError
from automl_tl.features.pins import Pin, pinned
from automl_tl.logs import LOGGER
from automl_tl.output import whole
from automl_tl.wording import clean

SCHEMA = 1
DEFAULT_MAX_BYTES = 8 * 1024**3
_IN_USE_SECONDS = 3600
_KEYS = "keys"


def digest(key: Mapping[str, Any]) -> str:
    """Return the sha256 of a JSON-able mapping, the same for any order of its keys."""
    text = json.dumps(key, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Slice:
    """Rows of one shard and where they go in a result."""

    shard: Path
    rows: np.ndarray
    """int (m,), rows inside the shard."""
    targets: np.ndarray
    """int (m,), rows of the result."""
    pin: Pin | None = field(default=None, repr=False, compare=False)
    """Keeps the shard on the disk while the slice is needed."""


class FeatureTable:
    """The shards of one key."""

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self.folder = folder / digest({**key, "schema": SCHEMA})[:32]
        self._key = json.dumps(key, indent=1, default=str).encode()
        self._pin = Pin(folder)
        self._where: dict[str, tuple[Path, int]] = {}
        for shard in sorted(self.folder.glob("*.safetensors")):
            self._index(shard)

    def __contains__(self, key: str) -> bool:
        return key in self._where

    def add(self, keys: Sequence[str], arrays: Mapping[str, np.ndarray]) -> None:
        """Write one shard: row i of every array belongs to the picture with sha256 `keys[i]`.

        Raises CacheError where the folder cannot be written.
        """
        index = np.frombuffer(bytes.fromhex("".join(keys)), np.uint8).reshape(len(keys), 32)
        content = save({_KEYS: index, **{k: np.ascontiguousarray(v) for k, v in arrays.items()}})
        name = f"{uuid.uuid4().hex}-{zlib.crc32(content):08x}.safetensors"
        self._pin.add([self.folder / name])
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self._where:
                self._write("key.json", self._key)
            self._write(name, content)
        except OSError as error:
            raise CacheError(
                f"new features cannot be kept in the cache folder '{self.folder}' ({error.strerror or error}); free "
                "some space, or name another one with --cache-dir"
            ) from error
        self._where.update({key: (self.folder / name, row) for row, key in enumerate(keys)})

    def hold(self, keys: Iterable[str]) -> None:
        """Keep the shards of those of `keys` that are here while this table, or a slice of it, is needed."""
        needed = {self._where[key][0] for key in keys if key in self._where}
        self._pin.add(needed)
        gone = {shard for shard in needed if not _touched(shard)}  # deleted before it was pinned
        self._where = {key: place for key, place in self._where.items() if place[0] not in gone}

    def forget_damaged(self, keys: Iterable[str]) -> None:
        """Delete the damaged ones of the shards that hold `keys`, which are then in the table no longer; say so."""
        shards = {self._where[key][0] for key in keys if key in self._where}
        damaged = {shard for shard in shards if not _is_sound(shard)}
        if damaged:
            self._where = {key: place for key, place in self._where.items() if place[0] not in damaged}
            _drop(damaged)

    def slices(self, keys: Sequence[str]) -> tuple[Slice, ...]:
        """Return where the rows of `keys` lie; every key must be in the table."""
        by_shard: dict[Path, list[tuple[int, int]]] = {}
        for target, key in enumerate(keys):
            shard, row = self._where[key]
            by_shard.setdefault(shard, []).append((row, target))
        self._pin.add(by_shard)
        for shard in by_shard:
            _touched(shard)
        places = {shard: np.array(pairs) for shard, pairs in by_shard.items()}
        return tuple(Slice(shard, rows[:, 0], rows[:, 1], self._pin) for shard, rows in places.items())

    def _index(self, shard: Path) -> None:
        try:
            with _opened(shard) as file:
                keys = file.get_tensor(_KEYS)
                fits = _has_rows_for(keys, file)
        except SafetensorError:
            fits = False
        except FileNotFoundError:  # another process trimmed it
            return
        except OSError as error:
            _say_once(f"'{clean(shard)}' in the cache cannot be read ({error.strerror or error}): it is computed again")
            return
        if not fits:
            _drop([shard])
            return
        self._where.update({key.tobytes().hex(): (shard, row) for row, key in enumerate(keys)})

    def _write(self, name: str, content: bytes) -> None:
        with whole(self.folder / name) as new:
            new.write_bytes(content)


class FeatureStore:
    """All tables below one folder, kept under a total size."""

    def __init__(self, folder: Path, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.folder = folder / "features"
        self.max_bytes = max_bytes

    def table(self, key: Mapping[str, Any]) -> FeatureTable:
        """Return the table of `key`, which may be empty."""
        return FeatureTable(self.folder, key)

    def trim(self) -> None:
        """Delete the shards that were used longest ago until the rest fits.

        The last hour's are spared, those that a running process needs, and those of another user.
        """
        shards = sorted(self._shards(), key=lambda entry: entry[1])
        excess = sum(size for _, _, size in shards) - self.max_bytes
        needed = pinned(self.folder) if excess > 0 else set()
        for path, used, size in shards:
            if excess <= 0:
                return
            if path in needed or abs(used - time.time()) < _IN_USE_SECONDS:  # a clock may have jumped back
                continue
            with suppress(OSError):
                if path.stat().st_mtime != used:  # since then a process has come to need it
                    continue
                path.unlink()
                excess -= size

    def _shards(self) -> Iterator[tuple[Path, float, int]]:
        for path in self.folder.glob("*/*.safetensors"):
            try:
                stat = path.stat()
            except OSError:  # another process trimmed it
                continue
            yield path, stat.st_mtime, stat.st_size


def read(slices: Sequence[Slice], name: str) -> np.ndarray:
    """Return array `name` of the rows of `slices` as float32 (n, d), reading one shard at a time.

    Raises CacheError where a shard cannot be read any more.
    """
    n = sum(len(part.targets) for part in slices)
    result: np.ndarray | None = None
    for part in slices:
        with _still(part.shard) as file:
            values = file.get_tensor(name)[part.rows]
        if result is None:
            result = np.empty((n, values.shape[1]), np.float32)
        result[part.targets] = values
    if result is None:
        raise ValueError(f"array {name!r} was asked of no picture at all")
    return result


def names(slices: Sequence[Slice]) -> frozenset[str]:
    """Return the names of the arrays that the shards hold; raises CacheError as `read` does."""
    with _still(slices[0].shard) as file:
        return frozenset(file.keys()) - {_KEYS}


def _has_rows_for(keys: np.ndarray, file: Any) -> bool:
    """Return whether keys are hashes, uint8 (n, 32), and every array of an opened shard has n rows."""
    if keys.dtype != np.uint8 or keys.ndim != 2 or keys.shape[1] != 32:
        return False
    shapes = [file.get_slice(name).get_shape() for name in set(file.keys()) - {_KEYS}]
    return all(len(shape) == 2 and shape[0] == len(keys) for shape in shapes)


@contextmanager
def _still(shard: Path) -> Iterator[Any]:
    """Open a shard that was there when the work began."""
    try:
        with _opened(shard) as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise CacheError(
            f"features that were kept in '{shard}' cannot be read any more "
            f"({getattr(error, 'strerror', None) or error}); run the command again: what is missing is computed"
        ) from error


@contextmanager
def _opened(shard: Path) -> Iterator[Any]:
    with shard.open("rb"):  # safetensors calls every failure to open a file "No such file"
        pass
    with safe_open(shard, "numpy") as file:
        yield file


@cache
def _is_sound(shard: Path) -> bool:
    """Return whether a shard's bytes are those that were written; one from before names had a CRC is believed."""
    _, dash, crc = shard.stem.partition("-")
    try:
        with shard.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return not dash or f"{zlib.crc32(content):08x}" == crc
    except (FileNotFoundError, ValueError):  # gone, or empty
        return False
    except OSError:  # not to be read just now, which is no damage
        return True


def _drop(shards: Iterable[Path]) -> None:
    for shard in shards:
        LOGGER.warning("'%s' in the cache is damaged; what it held is computed again", clean(shard))
        with suppress(OSError):  # of a read-only cache
            shard.unlink(missing_ok=True)


def _touched(path: Path) -> bool:
    """Take note that a shard is used now; return whether it is there."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError:  # a read-only cache still serves
        return True
    return True


@cache
def _say_once(sentence: str) -> None:
    LOGGER.warning("%s", sentence)
