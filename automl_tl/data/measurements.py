"""Every picture measured once, in threads, and kept on disk so that the next scan opens none.

A record has 1.3 KB, so of a million pictures nothing is held twice that need not be.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from automl_tl.cores import default_threads
from automl_tl.data.address import Root
from automl_tl.data.ahead import ahead
from automl_tl.data.decode import DECODER
from automl_tl.data.duplicates import COMPARISON, near_pairs
from automl_tl.data.kept import load_arrays, save_arrays
from automl_tl.data.listing import Skipped
from automl_tl.data.measure import MEASURED, MEASURES, measure
from automl_tl.data.source import Source, as_source
from automl_tl.errors import CacheError, PictureError

Progress = Callable[[int, int], None]
"""Called with the number of pictures done and their total."""

_AHEAD = 4  # pictures for each thread that are asked for before the first is done
_SPARE = 10_000  # measurements of other pictures that stay in the file before it is cleared of them


@dataclass(frozen=True)
class Measurements:
    """The pictures that could be read, and those that could not."""

    readable: np.ndarray
    """bool (n,), of the n pictures asked for."""
    records: np.ndarray
    """(number of readable ones,), dtype `MEASURED`, in the order of the pictures."""
    unreadable: tuple[Skipped, ...]


@dataclass(frozen=True)
class Known:
    """Measurements by the keys of their pictures."""

    rows: Mapping[bytes, int]
    """Positions in `records`."""
    records: np.ndarray
    """(n,), dtype `MEASURED`."""

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, keys: Sequence[bytes]) -> np.ndarray:
        """Return the records of keys; all of them, in their order, are no copy."""
        rows = np.array([self.rows[key] for key in keys], np.int64)
        everything = len(rows) == len(self.records) and bool((rows == np.arange(len(rows))).all())
        return self.records if everything else self.records[rows]


_NOTHING = Known({}, np.empty(0, MEASURED))


def measure_all(
    pictures: Sequence[Source | str],
    store: MeasurementStore | None,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Measurements:
    """Measure n pictures, sources or paths; what `store` knows of unchanged files is not measured again.

    Whatever stops it, what was measured so far is kept in `store`.
    """
    sources = [as_source(picture) for picture in pictures]
    report = progress or (lambda done, total: None)
    known = store.load() if store else _NOTHING
    keys = [_key(source) for source in sources]
    new = [source for source, key in zip(sources, keys, strict=True) if key not in known.rows]
    collected, done = _Collected(len(sources)), len(sources) - len(new)
    report(done, len(sources))
    try:
        for key, measured in zip(keys, _results(known, keys, new, threads or default_threads()), strict=True):
            collected.add(key, measured)
            if key not in known.rows:
                done += 1
                report(done, len(sources))
    finally:
        if store and new:
            store.save(known, collected.known, whole=len(collected.readable) == len(sources))
    unreadable = tuple(Skipped(sources[i].name, reason) for i, reason in collected.reasons.items())
    return Measurements(np.array(collected.readable, bool), collected.records[: collected.n], unreadable)


def _results(
    known: Known, keys: Sequence[bytes], new: Sequence[Source], threads: int
) -> Iterator[np.ndarray | np.void | str]:
    """Yield what is known, or measured, of each picture, or why it cannot be."""
    with closing(ahead(_try_to_measure, new, most=_AHEAD * threads, threads=threads)) as found:
        for key in keys:
            row = known.rows.get(key)
            yield next(found) if row is None else known.records[row]


class _Collected:
    """Results as they come: records in a row, one after the other, and the reasons why there are none."""

    def __init__(self, most: int) -> None:
        self.records = np.zeros(most, MEASURED)
        self.n = 0
        """Records so far."""
        self.readable: list[bool] = []
        self.reasons: dict[int, str] = {}
        """By the position of the picture."""
        self._rows: dict[bytes, int] = {}

    def add(self, key: bytes, result: np.ndarray | np.void | str) -> None:
        """Take the result of the next picture."""
        if isinstance(result, str):
            self.reasons[len(self.readable)] = result
        else:
            self.records[self.n] = result
            if key:
                self._rows[key] = self.n
            self.n += 1
        self.readable.append(not isinstance(result, str))

    @property
    def known(self) -> Known:
        """The records of pictures that have a key."""
        return Known(self._rows, self.records[: self.n])


def _try_to_measure(source: Source) -> np.ndarray | str:
    try:
        return measure(source)
    except PictureError as error:
        return str(error)


def _key(source: Source) -> bytes:
    """Return what identifies an unchanged picture: 16 bytes from its name and its file's version; else nothing."""
    if (version := source.version) is None:
        return b""
    return hashlib.blake2b(f"{source.name}\0{version}".encode(errors="surrogateescape"), digest_size=16).digest()


@dataclass
class MeasurementStore:
    """What was measured of each data set, and which of its pictures are near-duplicates: a file for each."""

    folder: Path
    name: str
    of_sample: bool = False
    """Whether only a sample of the data set is looked at: what is known of the others then stays."""
    failure: str = field(default="", init=False)
    """Why something could not be kept, or empty."""

    @classmethod
    def of(cls, root: Root, cache_dir: Path, *, of_sample: bool = False) -> MeasurementStore:
        """Return the store of the data set `root`; raises `CacheError` where its folder cannot be made."""
        folder = cache_dir / "scan"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheError(
                f"The cache folder '{folder}' cannot be made ({error.strerror}): choose another with --cache-dir."
            ) from error
        return cls(folder, hashlib.blake2b(os.fsencode(root), digest_size=12).hexdigest() + ".npz", of_sample)

    def load(self) -> Known:
        """Return the measurements by key; of a missing, damaged or outdated file none."""
        arrays = self._known(self._file, _version()) or {}
        try:
            keys, records = arrays["keys"], arrays["records"]
            if records.dtype == MEASURED and keys.dtype == np.uint8 and keys.shape == (len(records), 16):
                return Known({key.tobytes(): row for row, key in enumerate(keys)}, records)
        except Exception:  # whatever is in the file, the pictures are still there
            return _NOTHING
        return _NOTHING

    def save(self, before: Known, now: Known, *, whole: bool = True) -> None:
        """Keep the measurements of this scan and those of other pictures before it.

        The others only while they are few, where all that is looked for was looked at (`whole`).
        """
        stay = self.of_sample or not whole or len(before) <= 2 * len(now) + _SPARE
        others = [key for key in before.rows if key not in now.rows] if stay else []
        keys, records = [*now.rows, *others], now.of(list(now.rows))
        if others:
            records = np.concatenate([records, before.of(others)])
        self._keep(
            self._file, _version(), keys=np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 16), records=records
        )

    def near_pairs(self, measured: np.ndarray) -> tuple[np.ndarray, bool]:
        """Return what `duplicates.near_pairs` does, from disk where the same records were compared before."""
        file = self._file.with_suffix(".sample.npz" if self.of_sample else ".pairs.npz")
        content = np.ascontiguousarray(measured).view(np.uint8).data
        version = f"{COMPARISON} {hashlib.blake2b(content, digest_size=16).hexdigest()}"
        known = self._known(file, version) or {}
        if known.keys() >= {"pairs", "complete"} and _are_pairs(known["pairs"], len(measured)):
            return known["pairs"], bool(known["complete"].all())
        pairs, complete = near_pairs(measured)
        self._keep(file, version, pairs=pairs, complete=np.array(complete))
        return pairs, complete

    def _known(self, file: Path, version: str) -> dict[str, np.ndarray] | None:
        try:
            return load_arrays(file, version)
        except OSError as error:
            self.failure = error.strerror or str(error)
            return None

    def _keep(self, file: Path, version: str, **arrays: np.ndarray) -> None:
        """Write a file; not after a failure, which may have hidden what is in it."""
        if self.failure:
            return
        try:
            save_arrays(file, version, **arrays)
        except OSError as error:
            self.failure = error.strerror or str(error)

    @property
    def _file(self) -> Path:
        return self.folder / self.name


def _are_pairs(pairs: np.ndarray, n: int) -> bool:
    """Return whether an array from a file, which anybody may have written, holds pairs of n pictures."""
    inside = pairs.dtype == np.int64 and pairs.ndim == 2 and pairs.shape[1] == 2
    return inside and bool(((pairs >= 0) & (pairs < n)).all())


def _version() -> str:
    return f"{DECODER} {MEASURES}"
