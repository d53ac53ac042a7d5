from __future__ import annotations

import math
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from tasks import RIDGE, SOFTMAX, TUNED, bare_task, outcome, retuned, rounded, space
from unprivileged import Restricted

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.errors import OptionError
from automl_tl.learning.configuration import Frozen
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.space.search_space import outside
from automl_tl.searcher.trials import study as module
from automl_tl.searcher.trials.journal import open_storage
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.study import LEAST_TRIALS, PATIENCE, Study

TASK = bare_task(np.arange(40) % 2)
OPENING = retuned(TUNED, label_smoothing=0.1)


def make_study(path: Path | None = None, **more: Any) -> Study:
    return Study(open_storage(path), more.pop("space", space()), more.pop("seed", 0), **more)


def scored(value: float, configuration: Any = RIDGE) -> Outcome:
    return outcome(TASK, 0.5, configuration=configuration, value=value)


def finish(study: Study, value: float) -> int:
    trial, configuration = study.ask()
    study.complete(trial, scored(value, configuration))
    return trial.number


SWEPT = [
    scored(0.70),
    scored(0.80, SOFTMAX),
    scored(0.75, replace(RIDGE, backbone="wide", n_stages=5, cuts=(2,), pooling="grid")),
]


def test_the_sweep_is_known_before_the_first_trial() -> None:
    study = make_study()
    assert not study.has_begun
    study.add_sweep(SWEPT)
    study.note_beginning()
    assert study.has_begun
    assert study.finished == []
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 3
    assert [t.value for t in study.trials] == [0.70, 0.80, 0.75]
    assert study.trials[1].params == {
        "training": "frozen", "backbone": "tiny", "depth": 1.0, "joined": 2, "classifier": "softmax", "l2": 0.1,
        "views": "plain",
    }  # fmt: skip
    finish(study, 0.9)
    assert [t.value for t in study.finished] == [0.9]


def test_what_is_enqueued_is_tried_in_its_order_and_once() -> None:
    study = make_study()
    wanted = [OPENING, replace(SOFTMAX, how=Frozen("softmax", 0.1, "flips")), OPENING]
    for configuration in wanted:
        study.enqueue(configuration)
    assert [rounded(study.ask()[1]) for _ in range(2)] == [rounded(c) for c in wanted[:2]]
    assert not any(t.state == TrialState.WAITING for t in study.trials)


@pytest.mark.filterwarnings("ignore:The value .* is out of the range:UserWarning")
@pytest.mark.parametrize(
    ("changes", "said"),
    [({"epochs": 500}, "epochs = 500"), ({"head_lr": 1.0}, "head_lr = 1.0"), ({"lr_ratio": 0.1}, "lr_ratio = 0.1")],
)
def test_what_lies_outside_the_space_is_refused(changes: dict[str, Any], said: str) -> None:
    study = make_study()
    with pytest.raises(OptionError, match=f"{said} lies outside the search space"):
        study.enqueue(retuned(OPENING, **changes))
    assert study.trials == []


def test_the_same_seed_asks_the_same(tmp_path: Path) -> None:
    def asked(seed: int) -> list[Any]:
        study = make_study(seed=seed)
        study.add_sweep(SWEPT)
        found = []
        for k in range(12):
            trial, configuration = study.ask()
            study.complete(trial, scored(0.5 + 0.3 * math.sin(k), configuration))
            found.append(configuration)
        return found

    assert asked(3) == asked(3)
    assert asked(3) != asked(4)


# --- a killed process -------------------------------------------------------------------------------


def test_a_trial_that_a_killed_process_left_is_tried_once_more(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    first = make_study(path)
    first.add_sweep(SWEPT)
    first.enqueue(OPENING)
    finish(first, 0.85)
    _, lost = first.ask()  # never told

    again = make_study(path)
    assert again.has_begun
    assert again.retry_lost() == 1
    assert [t.state for t in again.finished] == [TrialState.COMPLETE]
    trial, configuration = again.ask()
    assert rounded(configuration) == rounded(lost)
    again.complete(trial, scored(0.9, configuration))

    third = make_study(path)
    assert third.retry_lost() == 0
    assert [t.value for t in third.finished] == [0.85, 0.9]


def test_a_trial_that_was_kept_but_not_told_of_is_not_tried_again(tmp_path: Path) -> None:
    """The process was killed between the two."""
    before = Study(open_storage(tmp_path / "study.journal"), space(), 0)
    before.enqueue(RIDGE)
    trial, configuration = before.ask()
    kept = outcome(bare_task(np.arange(40) % 2), 0.8, configuration=configuration, number=trial.number)
    study = Study(open_storage(tmp_path / "study.journal"), space(), 0)
    assert study.begun == [trial.number]
    study.tell_kept([kept])
    assert study.retry_lost() == 0
    assert not study.has_waiting
    assert [(t.number, t.value) for t in study.finished] == [(trial.number, kept.value)]


def test_a_trial_that_kills_its_process_twice_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    make_study(path).ask()
    again = make_study(path)
    assert again.retry_lost() == 1
    again.ask()
    for _ in range(2):
        third = make_study(path)
        third.retry_lost()
        assert not any(t.state == TrialState.WAITING for t in third.trials)


@pytest.mark.parametrize("reason", ["interrupted", "it did not fit the 3 s that were left"])
def test_what_was_not_tried_to_its_end_is_tried_when_the_run_goes_on(tmp_path: Path, reason: str) -> None:
    """It is what the recommendation says first, and a run is resumed to give it the time."""
    path = tmp_path / "study.journal"
    first = make_study(path)
    first.enqueue(OPENING)
    first.abandon(first.ask()[0], reason)
    again = make_study(path)
    assert again.retry_lost() == 0  # nothing was lost
    trial, configuration = again.ask()
    assert rounded(configuration) == rounded(OPENING)
    again.complete(trial, scored(0.9, configuration))
    third = make_study(path)
    third.retry_lost()
    assert not any(t.state == TrialState.WAITING for t in third.trials)


def test_what_never_has_its_time_is_tried_in_every_session(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    first = make_study(path)
    first.enqueue(OPENING)
    first.abandon(first.ask()[0], "it did not fit the 3 s that were left")
    for _ in range(3):
        study = make_study(path)
        study.retry_lost()
        assert sum(t.state == TrialState.WAITING for t in study.trials) == 1
        trial, configuration = study.ask()
        assert rounded(configuration) == rounded(OPENING)
        study.abandon(trial, "it did not fit the 3 s that were left")


def test_a_kill_while_it_is_tried_again_counts_as_one_kill(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    first = make_study(path)
    first.enqueue(OPENING)
    first.abandon(first.ask()[0], "interrupted")
    for left, lost in ((1, 0), (1, 1), (0, 1)):
        study = make_study(path)
        assert study.retry_lost() == lost
        assert sum(t.state == TrialState.WAITING for t in study.trials) == left
        if left:
            study.ask()  # and the process is killed


@pytest.mark.parametrize("written", range(5))
def test_a_kill_before_the_first_trial_costs_nothing_of_what_is_known_or_tried_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    def begin(study: Study) -> None:
        study.add_sweep(SWEPT)
        for configuration in (OPENING, TUNED):
            study.enqueue(configuration)
        study.note_beginning()

    path, real, calls = tmp_path / "study.journal", optuna.Study.add_trial, iter(range(99))

    def add_trial(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if next(calls) == written:
            raise KeyboardInterrupt
        real(study, trial)

    with monkeypatch.context() as patched:
        patched.setattr(optuna.Study, "add_trial", add_trial)
        with pytest.raises(KeyboardInterrupt):
            begin(make_study(path))
    again, whole = make_study(path), make_study(tmp_path / "whole.journal")
    assert not again.has_begun
    begin(again)
    begin(whole)
    assert [(t.state, t.value, t.system_attrs.get("fixed_params")) for t in again.trials] == [
        (t.state, t.value, t.system_attrs.get("fixed_params")) for t in whole.trials
    ]
    assert make_study(path).has_begun


def test_what_was_enqueued_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    make_study(path).enqueue(OPENING)
    again = make_study(path)
    assert again.retry_lost() == 0
    assert rounded(again.ask()[1]) == rounded(OPENING)


@pytest.mark.parametrize("torn", [b'{"op_code": 8, "worker', b"\x00\x00", b'{"op_code"'])
def test_a_line_that_a_kill_tore_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "study.journal"
    finish(make_study(path), 0.6)
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    study = make_study(path)
    assert [t.value for t in study.finished] == [0.6]
    assert path.read_bytes().startswith(whole + b"{")  # and a line of its own
    finish(study, 0.7)
    assert [t.value for t in make_study(path).finished] == [0.6, 0.7]


def test_a_whole_journal_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    finish(make_study(path), 0.6)
    before = path.read_bytes()
    open_storage(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("link", [True, False])
def test_a_lock_that_a_killed_process_left_is_removed(tmp_path: Path, link: bool) -> None:
    path = tmp_path / "study.journal"
    finish(make_study(path), 0.6)
    lock = tmp_path / "study.journal.lock"
    if link:
        os.symlink(path, lock)
    else:
        lock.write_text("")
    study = make_study(path)
    finish(study, 0.7)
    assert not os.path.lexists(lock)
    assert len(study.finished) == 2


def _die_in_a_trial(path: Path) -> None:
    study = make_study(path)
    finish(study, 0.6)
    study.ask()
    os._exit(9)


def test_a_process_that_dies_in_a_trial_loses_that_trial_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    child = multiprocessing.get_context("fork").Process(target=_die_in_a_trial, args=(path,))
    child.start()
    child.join()
    assert child.exitcode == 9
    study = make_study(path)
    assert study.retry_lost() == 1
    assert [t.value for t in study.finished] == [0.6]


@pytest.mark.parametrize(
    ("today", "outer"),
    [
        ({"training": ("frozen",)}, lambda c: c.training != "frozen"),
        ({"backbones": {"tiny": 3}}, lambda c: c.backbone != "tiny"),
        ({"classifiers": ("ridge",)}, lambda c: c.training == "frozen" and c.how.classifier != "ridge"),
        ({"views": ("plain", "flips")}, lambda c: c.training == "frozen" and c.how.views == "flips+zoom"),
        ({"backbones": {"tiny": 3, "wide": 5, "new": 4}}, lambda c: False),
        ({"imbalanced": True, "many": True, "vflip": True}, lambda c: False),
    ],
)
def test_a_run_goes_on_with_the_space_that_it_began_with(
    tmp_path: Path, today: dict[str, Any], outer: Callable[[Any], bool]
) -> None:
    """Whatever another session has the time for: what it may not try has a reason, everything else has none."""
    folder, now = RunFolder(tmp_path), space(**today)
    first = make_study(folder.journal, space=folder.space(space()))
    first.add_sweep(SWEPT)
    for number in range(6):
        finish(first, 0.5 + 0.01 * number)
    study = make_study(folder.journal, space=RunFolder(tmp_path).space(now))
    assert study.space == space()
    for number in range(20):
        trial, configuration = study.ask()
        assert (outside(configuration, now) is not None) == outer(configuration)
        study.complete(trial, scored(0.5 + 0.01 * (number % 3), configuration))


# --- failures ---------------------------------------------------------------------------------------


def test_a_trial_that_is_given_up_says_why_and_counts() -> None:
    study = make_study()
    trial, _ = study.ask()
    study.give_up(trial, "it is too large", 1.25, worst=0.0)
    (kept,) = study.finished
    assert kept.state == TrialState.PRUNED
    assert kept.user_attrs["reason"] == "it is too large"
    assert kept.user_attrs["seconds"] == 1.25
    assert study.broken_backbones == frozenset()


def test_an_interrupted_trial_says_nothing_about_its_configuration() -> None:
    study = make_study()
    trial, _ = study.ask()
    study.abandon(trial, "interrupted")
    assert [(t.state, t.value, t.user_attrs["reason"]) for t in study.trials] == [
        (TrialState.FAIL, None, "interrupted")
    ]
    assert study.finished == []  # nor does it count as one of --trials


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("greater", [True, False])
def test_a_backbone_that_fails_twice_is_not_asked_for_again(seed: int, greater: bool) -> None:
    study = make_study(space=space({"one": 4, "bad": 4, "three": 4}), seed=seed, greater_is_better=greater)
    asked: list[str] = []
    for number in range(40):
        trial, configuration = study.ask()
        asked.append(configuration.backbone)
        if configuration.backbone == "bad":
            study.give_up(trial, "it raised", 0.1, worst=0.0 if greater else 10.0, blames="bad")
        else:
            study.complete(trial, scored(0.5 + 0.01 * (number % 7), configuration))
    assert Counter(asked)["bad"] <= 2 < 0.15 * 40
    assert {"one", "three"} <= set(asked)
    assert study.broken_backbones == ({"bad"} if Counter(asked)["bad"] == 2 else frozenset())


def test_other_reasons_blame_no_backbone() -> None:
    study = make_study(space=space({"one": 4}))
    for _ in range(3):
        study.give_up(study.ask()[0], "the loss became nan", 0.1, worst=0.0)
    assert study.broken_backbones == frozenset()


# --- when to stop -----------------------------------------------------------------------------------


@pytest.mark.parametrize("greater", [True, False])
def test_a_search_is_exhausted_when_nothing_better_came_for_long(greater: bool) -> None:
    study = make_study(greater_is_better=greater)
    study.add_sweep(SWEPT)
    sign = 1 if greater else -1
    for number in range(LEAST_TRIALS - PATIENCE):
        finish_trained(study, sign * (0.5 + 0.01 * number))
    best = 0.5 + 0.01 * (LEAST_TRIALS - PATIENCE - 1)
    for _ in range(PATIENCE - 1):
        finish_trained(study, sign * (best - 0.1))
        assert not study.exhausted()
    finish_trained(study, sign * best)  # as good is not better
    assert study.exhausted()


def finish_trained(study: Study, value: float) -> None:
    study._study.enqueue_trial({"training": "fine_tuning"})
    finish(study, value)


def test_frozen_trials_exhaust_a_search_only_where_nothing_is_trained() -> None:
    """A dozen of them take a second."""
    for training, exhausted in ((("frozen",), True), (("frozen", "fine_tuning"), False)):
        study = make_study(space=space(training=training))
        for _ in range(LEAST_TRIALS):
            study._study.enqueue_trial({"training": "frozen"})
            finish(study, 0.6)
        assert study.exhausted() == exhausted


def test_after_a_frozen_trial_comes_a_trained_one() -> None:
    """The sampler would go round the best of the sweep for ever."""
    study = make_study()
    study.add_sweep(SWEPT)
    kinds = []
    for _ in range(20):
        trial, configuration = study.ask()
        kinds.append(configuration.training)
        study.complete(trial, scored(0.9 if configuration.training == "frozen" else 0.2, configuration))
    assert "frozen" in kinds
    assert all("frozen" not in pair[1:] for pair in pairwise(kinds) if pair[0] == "frozen")


def test_a_better_trial_or_too_few_of_them_keep_the_search_going() -> None:
    study = make_study()
    for number in range(LEAST_TRIALS + 3):
        finish(study, 0.6 if number < LEAST_TRIALS else 0.7)
        assert not study.exhausted() or number >= LEAST_TRIALS - 1
    assert not study.exhausted()


def test_trials_that_said_nothing_do_not_exhaust_a_search() -> None:
    study = make_study()
    finish(study, 0.6)
    for _ in range(LEAST_TRIALS + PATIENCE):
        study.abandon(study.ask()[0], "it did not fit the time that was left")
    assert not study.exhausted()


def test_a_trial_that_failed_halfway_is_told_at_the_worst_value() -> None:
    """Whatever it reported before: so it neither brings hope nor draws the sampler."""
    study = make_study()
    for _ in range(2 * LEAST_TRIALS):  # not all of them train anything
        finish(study, 0.6)
    trial, _ = study.ask()
    study.should_prune(trial, 1, 0.99)
    study.give_up(trial, "the loss became nan", 0.1, worst=0.0)
    assert study.finished[-1].value == 0.0
    assert study.exhausted()


def test_a_trial_that_was_ended_early_keeps_the_value_that_it_had() -> None:
    study = make_study()
    trial, _ = study.ask()
    study.should_prune(trial, 1, 0.4)
    study.should_prune(trial, 2, 0.6)
    study.give_up(trial, "no better than the others so far", 0.1, worst=0.0, failed=False)
    assert (study.finished[-1].state, study.finished[-1].value) == (TrialState.PRUNED, 0.6)


def report_all(study: Study, values: list[float]) -> bool:
    """Return whether a trial with these intermediate values is ended early; else it is complete."""
    trial, configuration = study.ask()
    for step, value in enumerate(values, 1):
        if study.should_prune(trial, step, value):
            study.give_up(trial, "no better", 0.1, worst=0.0)
            return True
    study.complete(trial, scored(values[-1], configuration))
    return False


def test_a_trial_far_below_the_others_is_ended_early() -> None:
    study = make_study()
    for _ in range(6):
        assert not report_all(study, [0.7, 0.8, 0.9])
    assert report_all(study, [0.2, 0.2, 0.2])
    assert not report_all(study, [0.8, 0.85, 0.95])


def test_the_first_few_trained_trials_run_to_their_end() -> None:
    study = make_study()
    study.add_sweep(
        [*SWEPT, scored(0.71, replace(RIDGE, how=Frozen("ridge", 2.0))), scored(0.6, replace(RIDGE, cuts=(1,)))]
    )
    assert [report_all(study, values) for values in ([0.70, 0.80, 0.90], [0.69, 0.85, 0.95])] == [False, False]


def test_the_rate_of_trials_is_not_bound_by_the_journal(tmp_path: Path) -> None:
    """Parameters and reports of a trial are a few lines each: the journal stays small."""
    path = tmp_path / "study.journal"
    study = make_study(path)
    study.add_sweep(SWEPT)
    for _ in range(5):
        report_all(study, [0.5, 0.6])
    assert path.stat().st_size < 60_000
    assert module.NAME.encode() in path.read_bytes()


def test_a_configuration_without_augmentation_belongs_to_a_space_without(tmp_path: Path) -> None:
    plain = space(augmented=False, joined=False)
    study = make_study(space=plain)
    wanted = retuned(OPENING, policy=AugmentationPolicy())
    study.enqueue(wanted)
    assert study.ask()[1] == wanted


def test_what_runs_counts_as_bad_whatever_optuna_s_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several trials at once are not to be neighbours; Optuna 5 does that by itself, 4 does not."""
    given: dict[str, Any] = {}
    real = optuna.samplers.TPESampler

    def sampler(**options: Any) -> Any:
        given.update(options)
        return real(**options)

    monkeypatch.setattr(optuna.samplers, "TPESampler", sampler)
    make_study()
    assert given["constant_liar"] is True


def test_a_journal_that_may_only_be_read_is_read(tmp_path: Path, restricted: Restricted) -> None:
    """Of a run that was archived; its copy is repaired, which needs no permission of the original."""
    journal = tmp_path / "study.journal"
    journal.write_text('{"op_code": 0')
    journal.chmod(0o444)
    code = "import sys; from pathlib import Path; from automl_tl.searcher.trials.journal import read_trials; "
    read = restricted("-c", f"{code}print(len(read_trials(Path(sys.argv[1]))))", str(journal))
    assert (read.returncode, read.stdout) == (0, "0\n"), read.stderr


def test_what_is_drawn_is_told_from_what_was_enqueued(tmp_path: Path) -> None:
    """Also when it is tried once more, after a kill."""
    first = make_study(tmp_path / "journal")
    first.enqueue(OPENING)
    assert [first.is_drawn(first.ask()[0].number) for _ in range(2)] == [False, True]
    again = make_study(tmp_path / "journal")
    assert again.retry_lost() == 2
    assert [again.is_drawn(again.ask()[0].number) for _ in range(2)] == [False, True]
