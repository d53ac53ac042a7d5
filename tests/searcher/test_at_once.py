"""As many trials at once as there are workers: one thread asks and tells, nothing is tried twice, all end in time."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from loops import make_loop
from optuna.trial import TrialState
from tasks import TUNED, outcome, retuned

from automl_tl.errors import BackboneError
from automl_tl.learning.configuration import Configuration
from automl_tl.monitor import Epoch, Silent
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials import loop as module
from automl_tl.searcher.trials.allowance import Allowance
from automl_tl.searcher.trials.loop import Loop
from automl_tl.searcher.trials.running import Running

WORKERS = 3


class Pool:
    """Work in threads, which end when they are told to."""

    n_workers = per_machine = WORKERS

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(WORKERS)
        self.ended = threading.Event()

    def submit(self, work: Callable[..., Any], /, *args: Any, report: Any = None, **options: Any) -> Future[Any]:
        return self.threads.submit(work, *args, **options)

    def cancel(self) -> None:
        self.ended.set()


def at_once(loop: Loop, pool: Pool, monitor: Any = None) -> Loop:
    lab = replace(loop.lab, executor=pool, monitor=monitor or loop.lab.monitor)
    loop.session = replace(loop.session, lab=lab)
    loop.running = Running(pool)
    return loop


def scoring(monkeypatch: pytest.MonkeyPatch, during: Callable[[Configuration], None]) -> list[Configuration]:
    """Let every trial do no more than `during`; return a list that gets what was tried."""
    tried: list[Configuration] = []

    def score(task: Task, configuration: Configuration, *_: Any, **__: Any) -> Any:
        tried.append(configuration)
        during(configuration)
        rows = task.everything if configuration.training == "frozen" else task.held_out(0)
        epoch = Epoch(1, 1, 1.0, 0.5, 0.1, 1.0)
        found = outcome(task, 0.8, configuration=configuration, rows=rows, seed=len(tried), epochs=4, n_folds=1)
        return replace(found, history=(epoch,))

    monkeypatch.setattr(module, "score_trained", score)
    monkeypatch.setattr(module, "score_frozen", score)
    monkeypatch.setattr(module, "too_much", lambda *_: None)
    return tried


def test_there_are_as_many_at_once_as_workers_and_no_more_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(WORKERS)  # who comes alone waits for ever, and breaks it
    tried = scoring(monkeypatch, lambda _: together.wait(timeout=30) and None)
    loop = at_once(make_loop(tmp_path, left=None, trials=4 * WORKERS), Pool())
    assert loop.run() == f"all {4 * WORKERS} trials are done"
    assert len(tried) == len(set(tried)) == len(loop.study.finished) == 4 * WORKERS
    assert {trial.state for trial in loop.study.finished} == {TrialState.COMPLETE}
    kept = {one.number: one.configuration for one in loop.candidates.outcomes}
    for trial in loop.study.finished:
        assert Configuration.from_dict(trial.user_attrs["configuration"]) == kept[trial.number]


def test_a_trained_one_knows_how_many_share_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []

    def score(*_: Any, allowance: Allowance, **__: Any) -> None:
        told.append(allowance.at_once)
        raise BackboneError("tiny is broken")

    monkeypatch.setattr(module, "score_trained", score)
    loop = at_once(make_loop(tmp_path, left=None, trials=1), Pool())
    loop.study.enqueue(TUNED)
    loop.run()
    assert told == [WORKERS]


def test_one_that_fails_ends_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(configuration: Configuration) -> None:
        if configuration.backbone == "wide":
            raise BackboneError("wide is broken")

    scoring(monkeypatch, fail)
    loop = at_once(make_loop(tmp_path, left=None, trials=12), Pool())
    for backbone in ("wide", "tiny", "wide", "tiny"):
        loop.study.enqueue(replace(retuned(TUNED, epochs=6 + len(loop.study.trials)), backbone=backbone))
    assert loop.run() == "all 12 trials are done"
    assert loop.study.broken_backbones == {"wide"}
    states = [trial.state for trial in loop.study.finished]
    assert 2 <= states.count(TrialState.PRUNED) <= 1 + WORKERS  # those that ran when the second one failed
    assert states.count(TrialState.COMPLETE) == 12 - states.count(TrialState.PRUNED)


def test_what_is_overdue_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool()

    def too_long(_: Configuration) -> None:
        loop.session.deadline.seconds = 0.0  # type: ignore[attr-defined]
        loop.session.deadline.budget = 0.0
        assert pool.ended.wait(60)
        raise CancelledError

    scoring(monkeypatch, too_long)
    loop = at_once(make_loop(tmp_path), pool)
    began = time.monotonic()
    assert loop.run() == "the budget is used up"
    assert time.monotonic() - began < 30
    assert loop.candidates.outcomes == []
    assert loop.study.finished == []  # to be tried again by whoever resumes
    assert {trial.user_attrs["reason"] for trial in loop.study.trials} == {"there was no time left to end it"}


@pytest.mark.skipif(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="SIGINT is ignored here")
def test_an_interruption_ends_all_and_keeps_what_had_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, begun, once = Pool(), threading.Semaphore(0), threading.Lock()

    def first_alone(_: Configuration) -> None:
        if not loop.candidates.outcomes and not begun.acquire(blocking=False):
            begun.release()
            return
        if loop.candidates.outcomes and once.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGINT)
        assert pool.ended.wait(60)
        raise CancelledError

    scoring(monkeypatch, first_alone)
    loop = at_once(make_loop(tmp_path, left=None, trials=50), pool)
    assert loop.run() == "it was interrupted"
    assert loop.interrupted
    assert len(loop.candidates.outcomes) == len(loop.study.finished) >= 1
    assert not [trial for trial in loop.study.trials if trial.state == TrialState.RUNNING]
    interrupted = [t for t in loop.study.trials if t.user_attrs.get("reason") == "interrupted"]
    assert 1 <= len(interrupted) <= WORKERS


def test_one_that_cannot_be_kept_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All end at the same moment; one cannot be written down when the search is interrupted."""
    together = threading.Barrier(WORKERS)
    scoring(monkeypatch, lambda _: together.wait(timeout=30) and None)
    loop = at_once(make_loop(tmp_path, left=None, trials=WORKERS), Pool())
    keep, full = Loop._keep, [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EIO, "I/O error")]

    def interrupted(loop: Loop) -> None:
        raise KeyboardInterrupt

    def keep_one(loop: Loop, *what: Any) -> None:
        if full:
            raise full.pop(0)
        keep(loop, *what)

    monkeypatch.setattr(Loop, "_await_some", interrupted)
    monkeypatch.setattr(Loop, "_keep", keep_one)
    with pytest.raises(OSError, match="No space left"):
        loop.run()
    assert len(loop.candidates.outcomes) == WORKERS - 2
    assert not [trial for trial in loop.study.trials if trial.state == TrialState.RUNNING]


def test_an_interruption_between_asking_and_beginning_leaves_no_trial_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring(monkeypatch, lambda _: None)
    loop = at_once(make_loop(tmp_path, left=None, trials=50), Pool())

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "_show", interrupted)
    assert loop.run() == "it was interrupted"
    assert [trial.user_attrs["reason"] for trial in loop.study.trials] == ["interrupted"]
    assert [trial.state for trial in loop.study.trials] == [TrialState.FAIL]


def test_whoever_watches_hears_of_one_trial_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []

    class Watching(Silent):
        def learned(self, epoch: Epoch) -> None:
            assert threading.current_thread() is threading.main_thread()
            heard.append(epoch.number)

    tried = scoring(monkeypatch, lambda _: None)
    loop = at_once(make_loop(tmp_path, left=None, trials=8), Pool(), Watching())
    loop.run()
    assert len(heard) == sum(configuration.is_trained for configuration in tried) > 0


def test_workers_that_come_later_are_given_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, together = Pool(), threading.Barrier(2)  # who comes alone waits until it breaks
    pool.n_workers = 1
    began: list[Configuration] = []

    def during(configuration: Configuration) -> None:
        began.append(configuration)
        if len(began) == 1:
            pool.n_workers = 2
        else:
            together.wait(timeout=30)

    scoring(monkeypatch, during)
    loop = at_once(make_loop(tmp_path, left=None, trials=5), pool)
    assert loop.run() == "all 5 trials are done"
