"""Every picture measured once, in threads, and kept on disk so that the next scan opens none."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from automl_tl.data.address import Root
from automl_tl.data.ahead import ahead, default_threads
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
    results: list[np.ndarray | str] = [""] * len(sources)
    report = progress or (lambda done, total: None)
    known = store.load() if store else {}
    keys = [_key(source) for source in sources]
    new = [i for i, key in enumerate(keys) if key not in known]
    report(len(sources) - len(new), len(sources))
    for i in set(range(len(sources))).difference(new):
        results[i] = known[keys[i]]
    try:
        threads = threads or default_threads()
        found = ahead(_try_to_measure, (sources[i] for i in new), most=_AHEAD * threads, threads=threads)
        for done, (i, result) in enumerate(zip(new, found, strict=True), start=1):
            results[i] = result
            report(len(sources) - len(new) + done, len(sources))
    finally:
        if store and new:
            store.save(known, {k: r for k, r in zip(keys, results, strict=True) if k and not isinstance(r, str)})
    return _collected(sources, results)


def _collected(sources: Sequence[Source], results: Sequence[np.ndarray | str]) -> Measurements:
    unreadable = tuple(Skipped(s.name, r) for s, r in zip(sources, results, strict=True) if isinstance(r, str))
    records = [result for result in results if not isinstance(result, str)]
    readable = np.array([not isinstance(result, str) for result in results], bool)
    return Measurements(readable, np.array(records, MEASURED), unreadable)


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

    def load(self) -> dict[bytes, np.ndarray]:
        """Return the measurements by key; of a missing, damaged or outdated file none."""
        arrays = self._known(self._file, _version()) or {}
        try:
            if arrays["records"].dtype == MEASURED:
                pairs = zip(arrays["keys"], arrays["records"], strict=True)
                return {key.tobytes(): record for key, record in pairs}
        except Exception:  # whatever is in the file, the pictures are still there
            return {}
        return {}

    def save(self, before: dict[bytes, np.ndarray], now: dict[bytes, np.ndarray]) -> None:
        """Keep the measurements of this scan and, while they are few, those of other pictures before it."""
        everything = before | now if self.of_sample or len(before) <= 2 * len(now) + _SPARE else now
        keys = np.frombuffer(b"".join(everything), np.uint8).reshape(-1, 16)
        self._keep(self._file, _version(), keys=keys, records=np.array(list(everything.values()), MEASURED))

    def near_pairs(self, measured: np.ndarray) -> tuple[np.ndarray, bool]:
        """Return what `duplicates.near_pairs` does, from disk where the same records were compared before."""
        file = self._file.with_suffix(".sample.npz" if self.of_sample else ".pairs.npz")
        version = f"{COMPARISON} {hashlib.blake2b(measured.tobytes(), digest_size=16).hexdigest()}"
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
