"""Optuna's journal of a run: lines of JSON that survive a kill and a full disk; half a line never stays."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial

from automl_tl.errors import OptionError
from automl_tl.foreign import JSON_IN_MEMORY, fault
from automl_tl.memory import check_readable
from automl_tl.output import name_file
from automl_tl.searcher.trials.checking import check_storage
from automl_tl.wording import clean

LARGEST = 1024**3
"""Bytes of a journal: a hundred thousand trials have about half of them."""


def open_storage(path: Path | None) -> BaseStorage:
    """Return the journal at `path`, repaired where a kill tore its last line, or memory for None.

    A journal takes 27 ms per trial of 12 parameters and 8 reports, SQLite 166 (measured), and adding 40 finished
    trials 0.03 s against 0.7. Its weaknesses do not matter where one process at a time owns the folder: the caller
    holds a lock, so a lock of the journal's own that a killed process left behind can go.

    Raises:
        OptionError: it is damaged before its last line, says what no search writes, is no file, or larger than LARGEST.
        OSError: it cannot be read or written.
    """
    if path is None:
        return InMemoryStorage()
    _check(path)
    for stale in path.parent.glob(f"{path.name}.lock*"):
        stale.unlink(missing_ok=True)
    _cut_torn_line(path)
    return _opened(path, path)


def read_trials(path: Path) -> list[FrozenTrial]:
    """Return the trials of the journal at `path`, none where there is no such file.

    Where the sample grew, the study of the larger one holds those of the smaller one too.

    A copy is read: what a search that runs at the moment writes is neither repaired nor locked.

    Raises:
        OptionError: see `open_storage`.
    """
    if not path.exists():
        return []
    _check(path)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copyfile(path, Path(folder, path.name)))  # without its mode: it may be read-only
        _cut_torn_line(copy)
        storage = _opened(copy, path)
        studies = [storage.get_all_trials(study._study_id) for study in storage.get_all_studies()]
        return max(studies, key=len, default=[])


def _check(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise OptionError(f"the journal '{clean(path)}' is no file: begin another run with another --out")
    if path.exists() and path.stat().st_size > LARGEST:
        raise OptionError(
            f"the journal '{clean(path)}' has {path.stat().st_size:,} bytes, more than the {LARGEST:,} that are read: "
            "begin another run with another --out"
        )
    if path.exists():
        check_readable(path, JSON_IN_MEMORY * path.stat().st_size)


def damaged(path: Path, error: Exception) -> OptionError:
    """Return the error that says what is wrong with a journal."""
    return OptionError(
        f"the journal '{clean(path)}' is damaged ({clean(fault(error))}); the run's model stays as it is: begin "
        "another run with another --out"
    )


def _opened(path: Path, named: Path) -> BaseStorage:
    """Return the storage in a file, of which an error names another one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            storage = JournalStorage(_Journal(str(path)))  # it reads the whole file
            check_storage(storage)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # a line that is no JSON, or says what neither Optuna nor a search would
            raise damaged(named, error) from error
    return storage


class _Journal(JournalFileBackend):
    """Takes back what was written of lines that could not be written whole: the next ones would be joined to it."""

    def __init__(self, path: str) -> None:
        # Optuna's own choice of lock makes symbolic links, which Windows may refuse.
        super().__init__(path, lock_obj=JournalFileOpenLock(path))
        self._path = Path(path)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        before = self._path.stat().st_size
        try:
            super().append_logs(logs)
        except BaseException as error:  # a full disk, an interruption
            os.truncate(self._path, before)
            name_file(error, self._path)
            if isinstance(error, RuntimeError) and (stopped := _interruption(error)) is not None:
                raise stopped from None  # Optuna has failed to release a lock that it did not have yet
            raise


def _interruption(error: BaseException) -> KeyboardInterrupt | None:
    """Return the interruption that was handled when an error came up, or None."""
    before: BaseException | None = error
    while before is not None and not isinstance(before, KeyboardInterrupt):
        before = before.__context__
    return before


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with open(path, "rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
            os.fsync(file.fileno())
