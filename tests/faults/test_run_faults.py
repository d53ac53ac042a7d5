"""A run on a disk that fills up, or whose process is killed while it writes: it goes on, and nothing is lost."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from click.testing import CliRunner
from optuna.storages.journal import JournalFileBackend

import automl_tl
from automl_tl.cli import main
from automl_tl.lab import recommended
from automl_tl.model.bundle import load_bundle
from automl_tl.searcher.space import search_space
from automl_tl.searcher.trials import study as module
from automl_tl.searcher.trials.journal import open_storage
from automl_tl.searcher.trials.study import Study


def begun(path: Path, name: str = "x") -> optuna.Study:
    return optuna.create_study(storage=open_storage(path), study_name=name, load_if_exists=True, direction="maximize")


@pytest.mark.parametrize("written", [0, 1, 7, 10**6])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_leaves_no_half_line_and_the_run_goes_on(
    tmp_path: Path, written: int, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.journal"
    study = begun(path)
    for _ in range(3):
        study.tell(study.ask(), 1.0)
    before = path.read_bytes()

    def sync(number: int) -> None:
        os.truncate(path, min(len(before) + written, path.stat().st_size))
        raise error

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", sync)
        with pytest.raises(type(error)):
            study.ask()
    assert path.read_bytes() == before
    study.tell(study.ask(), 2.0)
    assert [trial.value for trial in begun(path).trials] == [1.0, 1.0, 1.0, 2.0]


def test_an_interruption_is_one_though_the_lock_was_not_yet_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optuna's lock then fails to release itself, with an error that would look like a bug of ours."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    study = begun(tmp_path / "study.journal")
    with monkeypatch.context() as stopped:
        stopped.setattr("optuna.storages.journal._file.os.open", interrupted)
        with pytest.raises(KeyboardInterrupt):
            study.ask()
    study.tell(study.ask(), 1.0)


@pytest.mark.parametrize("left", [1, 10, 40])
def test_a_kill_leaves_half_a_line_which_is_cut(tmp_path: Path, left: int) -> None:
    path = tmp_path / "study.journal"
    study = begun(path)
    study.tell(study.ask(), 1.0)
    (path.parent / "study.journal.lock").touch()
    with path.open("ab") as file:
        file.write(path.read_bytes().splitlines()[-1][:left])
    again = begun(path)
    again.tell(again.ask(), 2.0)
    assert [trial.value for trial in begun(path).trials] == [1.0, 2.0]


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float, after: int) -> list[None]:
    """Set the clock by so many seconds when so many trials have been asked for; return one entry for each of them."""
    ask, asked, now = Study.ask, list[None](), time.time

    def counted(self: Study, *args: Any) -> Any:
        asked.append(None)
        return ask(self, *args)

    monkeypatch.setattr(Study, "ask", counted)
    monkeypatch.setattr(time, "time", lambda: now() + (seconds if len(asked) > after else 0))
    return asked


def test_a_clock_that_is_set_ahead_does_not_end_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_pictures: Callable[..., Path]
) -> None:
    set_clock(monkeypatch, 3600, after=2)
    found = automl_tl.search(
        make_pictures(per_class=8), out=tmp_path / "run", backbones=["tiny"], device="cpu", budget=1800, trials=6,
        without=("trained",),
    )  # fmt: skip
    assert (found.table["kind"] == "trial").sum() == 6


def test_a_clock_that_is_set_back_does_not_prolong_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_pictures: Callable[..., Path]
) -> None:
    """A trial takes three seconds of the clock that cannot be set, and nothing else takes any."""
    asked = set_clock(monkeypatch, -3600, after=2)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0 + 3.0 * len(asked))
    monkeypatch.setattr(module, "PATIENCE", 10**6)
    found = automl_tl.search(
        make_pictures(per_class=8), out=tmp_path / "run", backbones=["tiny"], device="cpu", budget=60, trials=1000,
        without=("trained",),
    )  # fmt: skip
    assert 2 < (found.table["kind"] == "trial").sum() < 1000


@pytest.mark.slow
@pytest.mark.parametrize("call", [5, 30, 60])
def test_a_search_goes_on_after_room_is_made(
    tmp_path: Path, call: int, monkeypatch: pytest.MonkeyPatch, make_pictures: Callable[..., Path]
) -> None:
    words = ["search", str(make_pictures(per_class=8)), "--out", str(tmp_path / "run"), "--backbone", "tiny"]
    words += ["--device", "cpu", "--trials", "3", "--format", "json"]
    monkeypatch.setattr(recommended, "epochs_for", lambda n: 3)
    monkeypatch.setattr(search_space, "FEWEST_EPOCHS", 2)
    monkeypatch.setattr(search_space, "MOST_EPOCHS", 4)
    real, calls = JournalFileBackend.append_logs, []

    def append(self: JournalFileBackend, logs: list[dict[str, Any]]) -> None:
        calls.append(1)
        if len(calls) < call:
            real(self, logs)
            return
        with (tmp_path / "run" / "study.journal").open("a") as file:
            file.write('{"op_code": 5, "wor')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "run" / "study.journal"))

    with monkeypatch.context() as full:
        full.setattr(JournalFileBackend, "append_logs", append)
        ended = CliRunner().invoke(main, words)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "(No space left on device): free some space" in ended.stderr
    assert "--resume" in ended.stderr
    load_bundle(tmp_path / "run" / "bundle", "cpu")
    before = [t for t in begun(tmp_path / "run" / "study.journal", "automl-tl").trials if t.state.is_finished()]
    again = CliRunner().invoke(main, [*words, "--resume"])
    assert again.exit_code == 0, again.stderr
    after = {t.number: t.value for t in begun(tmp_path / "run" / "study.journal", "automl-tl").trials}
    assert before
    assert all(after[t.number] == t.value for t in before)
