"""What is begun, shortened or left alone in the time that is left, and what ends a trial."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loops import FINAL_SECONDS, make_loop, seconds, trained
from optuna.trial import TrialState
from tasks import PRIORS, RIDGE, SOFTMAX, TUNED, bare_task, outcome, reference, retuned, space

from automl_tl.errors import AutomlTlError
from automl_tl.lab.calibration import GainPrior
from automl_tl.lab.lab import Lab
from automl_tl.learning.configuration import Configuration, Frozen
from automl_tl.learning.recipe import Recipe
from automl_tl.searcher.space.limits import Limits
from automl_tl.searcher.space.search_space import FEWEST_EPOCHS, parameters
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials import loop as module
from automl_tl.searcher.trials.allotment import ENOUGH, FROZEN_SECONDS, ROUNDS
from automl_tl.searcher.trials.allowance import UNBOUNDED, Allowance
from automl_tl.searcher.trials.loop import MOST_REFUSED, Loop, status
from automl_tl.searcher.trials.observer import NOBODY, Observer
from automl_tl.searcher.trials.outcome import Outcome

TEN = retuned(TUNED, epochs=10, unfrozen=2, label_smoothing=0.1)
LAYERED = retuned(TEN, layers="fully_connected", head_epochs=3)
SCRATCH = replace(retuned(TEN, unfrozen=3, lr_ratio=2.0, batchnorm="adapting"), training="pretrained_initialization")
N, FOLD = 40, 30
"""Pictures, and those of them that a trial learns from."""


def limited(loop: Loop) -> None:
    loop.session = replace(loop.session, limits=Limits({"tiny": 2}, {"tiny": "too slow"}))


def epochs_of(configuration: Configuration) -> int:
    assert isinstance(configuration.how, Recipe)
    return configuration.how.epochs


# --- seconds ----------------------------------------------------------------------------------------


def test_without_a_budget_everything_is_tried_as_it_is(tmp_path: Path) -> None:
    loop = make_loop(tmp_path, left=None)
    for configuration in (RIDGE, TEN, SCRATCH):
        assert loop.allotment.limit(configuration) == (configuration, None)


@pytest.mark.parametrize("configuration", [TEN, LAYERED, SCRATCH])
def test_the_whole_schedule_is_tried_where_it_fits_with_its_refit(tmp_path: Path, configuration: Configuration) -> None:
    loop = make_loop(tmp_path)
    trial, refit = seconds(loop, configuration, FOLD), seconds(loop, configuration, N)
    loop = make_loop(tmp_path, left=trial + refit + 0.1)
    same, limit = loop.allotment.limit(configuration)
    assert same == configuration
    assert limit == pytest.approx(trial + 0.1)  # the refit's time is not the trial's


def test_all_folds_and_the_refit_of_the_best_one_so_far_count(tmp_path: Path) -> None:
    task = bare_task(np.arange(N) % 2, n_scored=2)
    loop = make_loop(tmp_path, task)
    dear = retuned(TEN, epochs=30)
    frozen = outcome(task, 0.95, number=3, seconds=0.0)
    loop.candidates.outcomes = [trained(task, dear, 0.9, 1), trained(task, TEN, 0.8, 2), frozen]
    needed = 2 * seconds(loop, TEN, FOLD) + ROUNDS * seconds(loop, dear, N)
    for spare, fits in ((0.1, True), (-0.1, False)):
        loop.session.deadline.seconds = FINAL_SECONDS + needed + spare  # type: ignore[attr-defined]
        assert (loop.allotment.limit(TEN)[0] == TEN) == fits


def test_the_refit_on_the_test_part_counts_as_well(tmp_path: Path) -> None:
    plain, held = make_loop(tmp_path), make_loop(tmp_path, held_aside=10)
    assert held.allotment.refit_seconds(TEN) == pytest.approx(
        plain.allotment.refit_seconds(TEN) + seconds(plain, TEN, N + 10)
    )
    assert plain.allotment.refit_seconds(None) == held.allotment.refit_seconds(None) == 0  # nothing trained is known


def test_the_refit_of_the_smaller_samples_best_is_set_aside_until_there_is_a_trained_one(tmp_path: Path) -> None:
    loop = make_loop(tmp_path, left=100.0)
    loop.allotment = replace(loop.allotment, fallback_seconds=60.0)
    assert loop.allotment.refit_seconds(None) == 60.0
    _, most = loop.allotment.limit(RIDGE)
    assert most is not None
    assert most > 0
    loop.session.deadline.seconds = FINAL_SECONDS + 62.0  # type: ignore[attr-defined]
    assert loop.allotment.limit(RIDGE)[1] == 0
    loop.candidates.outcomes = [trained(loop.task, TEN)]
    assert loop.allotment.refit_seconds(None) == pytest.approx(ROUNDS * seconds(loop, TEN, N))


def test_no_time_is_set_aside_for_a_second_round_where_batchnorm_adapts(tmp_path: Path) -> None:
    loop = make_loop(tmp_path)
    loop.candidates.outcomes = [trained(loop.task, SCRATCH)]
    assert loop.allotment.refit_seconds(None) == pytest.approx(seconds(loop, SCRATCH, N))


@pytest.mark.parametrize("configuration", [TEN, LAYERED])
@pytest.mark.parametrize("epochs", [6, 5, FEWEST_EPOCHS])
def test_the_first_fine_tuning_is_shortened_so_that_its_refit_can_be_begun(
    tmp_path: Path, configuration: Configuration, epochs: int
) -> None:
    """As many epochs as there is time for, the head's own ones included."""
    head = configuration.how.head_epochs  # type: ignore[union-attr]

    def needed(some: int) -> tuple[float, float]:
        loop = make_loop(tmp_path)
        return seconds(loop, configuration, FOLD, some + head), ENOUGH * seconds(loop, configuration, N, some + head)

    for left in (sum(needed(epochs)) + 1e-6, sum(needed(epochs + 1)) - 1e-6):
        shorter, limit = make_loop(tmp_path, left=left).allotment.limit(configuration)
        assert shorter == retuned(configuration, epochs=epochs)
        assert limit == pytest.approx(left - needed(epochs)[1])


def test_where_there_is_no_time_for_that_either_its_refit_is_given_up(tmp_path: Path) -> None:
    loop = make_loop(tmp_path)
    fewest, more = (seconds(loop, TEN, FOLD, FEWEST_EPOCHS + i) for i in (0, 1))
    begun = fewest + ENOUGH * seconds(loop, TEN, N, FEWEST_EPOCHS)
    assert fewest < more < begun
    for left, epochs in ((fewest + 1e-6, 4), (more - 1e-6, 4), (more + 1e-6, 5), (begun - 1e-6, 5), (begun + 1e-6, 4)):
        shorter, limit = make_loop(tmp_path, left=left).allotment.limit(TEN)
        assert shorter == retuned(TEN, epochs=epochs)
        assert limit == pytest.approx(left if left < begun else fewest)


def test_too_few_epochs_are_not_begun(tmp_path: Path) -> None:
    needed = seconds(make_loop(tmp_path), TEN, FOLD, FEWEST_EPOCHS)
    assert make_loop(tmp_path, left=needed - 1e-6).allotment.limit(TEN) == (TEN, 0.0)
    assert make_loop(tmp_path, left=-3.0).allotment.limit(TEN) == (TEN, 0.0)


def short(configuration: Configuration, share: float = 0.8, *, folds: int = 1) -> float:
    """Return seconds that are too few for a trial, but enough for a few epochs of it."""
    return share * folds * seconds(make_loop(Path()), configuration, FOLD)


def test_training_of_everything_is_never_shortened(tmp_path: Path) -> None:
    """It needs its whole schedule: it begins with a head that knows nothing."""
    assert make_loop(tmp_path, left=short(SCRATCH)).allotment.limit(SCRATCH) == (SCRATCH, 0.0)


@pytest.mark.parametrize("n_scored", [1, 2])
@pytest.mark.parametrize("epochs", [9, 6, 5])
def test_a_further_trial_is_shortened_to_half_its_epochs_at_least(tmp_path: Path, n_scored: int, epochs: int) -> None:
    """As many as there is time for, its own refit or the best one's included, whichever is longer."""
    task = bare_task(np.arange(N) % 2, n_scored=n_scored)
    loop = make_loop(tmp_path, task)
    loop.candidates.outcomes = [trained(task, retuned(TEN, epochs=2), 0.9, 1)]
    each = [n_scored * seconds(loop, TEN, FOLD, e) + seconds(loop, TEN, N, e) for e in (epochs, epochs + 1)]
    for left in (each[0] + 1e-6, each[1] - 1e-6):
        loop.session.deadline.seconds = FINAL_SECONDS + left  # type: ignore[attr-defined]
        shorter, limit = loop.allotment.limit(TEN)
        assert shorter == retuned(TEN, epochs=epochs)
        assert limit == pytest.approx(left - seconds(loop, TEN, N, epochs))
    loop.session.deadline.seconds = FINAL_SECONDS + each[0] * 5 / epochs * 0.9  # type: ignore[attr-defined]
    assert loop.allotment.limit(TEN) == (TEN, 0.0)  # four epochs of ten say little


def test_a_further_trial_is_not_run_without_its_refit(tmp_path: Path) -> None:
    loop = make_loop(tmp_path, left=short(TEN))
    shorter, seconds = loop.allotment.limit(TEN)
    assert seconds
    assert 0 < seconds < short(TEN)
    loop.candidates.outcomes = [outcome(loop.task, 0.9, configuration=TEN, number=0)]
    assert loop.allotment.limit(TEN) == (shorter, seconds)  # of that one no weights are left
    loop.candidates.outcomes = [trained(loop.task, TEN)]
    assert loop.allotment.limit(TEN) == (TEN, 0.0)


def test_a_trained_trial_leaves_the_best_frozen_one_its_refit(tmp_path: Path) -> None:
    """The two may be delivered together."""
    loop = make_loop(tmp_path)
    loop.candidates.outcomes = [outcome(loop.task, 0.99, configuration=SOFTMAX, number=1, seconds=7.0)]
    needed = seconds(loop, TEN, FOLD) + seconds(loop, TEN, N) + 7.0
    for spare, fits in ((0.1, True), (-0.1, False)):
        loop.session.deadline.seconds = FINAL_SECONDS + needed + spare  # type: ignore[attr-defined]
        assert (loop.allotment.limit(TEN)[0] == TEN) == fits


def test_a_frozen_trial_leaves_the_refit_its_time(tmp_path: Path) -> None:
    loop = make_loop(tmp_path)
    loop.candidates.outcomes = [trained(loop.task, TEN)]
    needed = 2 * FROZEN_SECONDS + ROUNDS * seconds(loop, TEN, N)
    for spare, fits in ((0.1, True), (-0.1, False)):
        loop.session.deadline.seconds = FINAL_SECONDS + needed + spare  # type: ignore[attr-defined]
        assert (loop.allotment.limit(RIDGE)[1] > 0) == fits  # type: ignore[operator]


@pytest.fixture
def viewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """Return a loop whose pictures take half a second each in every view; they may be mirrored, not turned over."""
    monkeypatch.setattr(Lab, "picture_seconds", lambda *_: 0.5)
    loop = make_loop(tmp_path)
    loop = make_loop(tmp_path, replace(loop.task, allowed_views=frozenset({"hflip", "zoom"})))
    return loop


def seen_as(views: str) -> Configuration:
    return replace(RIDGE, how=Frozen("ridge", 1.0, views))


@pytest.mark.parametrize(("views", "missing"), [("plain", 0), ("flips", 1), ("flips+zoom", 2)])
def test_views_that_are_not_known_yet_take_their_time(viewed: Loop, views: str, missing: int) -> None:
    assert viewed.allotment._views_seconds(seen_as(views)) == missing * N * 0.5
    known: Any = viewed.task.computed.views
    known[("wide", "hflip")] = None  # another backbone's
    assert viewed.allotment._views_seconds(seen_as(views)) == missing * N * 0.5
    known[("tiny", "hflip")] = None
    assert viewed.allotment._views_seconds(seen_as(views)) == max(0, missing - 1) * N * 0.5


def test_views_that_take_too_long_are_not_begun(viewed: Loop) -> None:
    """They are solved twice, for the scores and on every picture."""
    viewed.session.deadline.seconds = FINAL_SECONDS + 2 * FROZEN_SECONDS + N * 0.5 + 1  # type: ignore[attr-defined]
    assert viewed.allotment.limit(seen_as("flips"))[1] == pytest.approx(2 * FROZEN_SECONDS + N * 0.5 + 1)
    assert viewed.allotment.limit(seen_as("flips+zoom"))[1] == 0.0


# --- the loop ---------------------------------------------------------------------------------------


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Configuration, float | None]]:
    """Let every trial end at once; return a list that gets what was tried, and within which seconds."""
    tried: list[tuple[Configuration, float | None]] = []

    def score(
        task: Task,
        configuration: Configuration,
        *_: Any,
        allowance: Allowance = UNBOUNDED,
        observer: Observer = NOBODY,
        **__: Any,
    ) -> Any:
        tried.append((configuration, allowance.seconds))
        if observer.report is not None:
            observer.report(1, 0.8)
        rows = task.everything if configuration.training == "frozen" else task.held_out(0)
        return outcome(task, 0.8, configuration=configuration, rows=rows, seed=len(tried), epochs=4, n_folds=1)

    monkeypatch.setattr(module, "score_trained", score)
    monkeypatch.setattr(module, "score_frozen", score)
    monkeypatch.setattr(module, "too_much", lambda *_: None)
    return tried


def reasons(loop: Loop) -> list[str]:
    return [trial.user_attrs.get("reason", "") for trial in loop.study.trials]


Scores = list[tuple[Configuration, float | None]]


def test_what_fits_is_tried_within_its_seconds(tmp_path: Path, scores: Scores) -> None:
    loop = make_loop(tmp_path, left=short(TEN), trials=1)
    loop.study.enqueue(TEN)
    allowed = loop.allotment.limit(TEN)
    assert loop.run() == "all 1 trials are done"
    ((tried, limit),) = scores
    assert FEWEST_EPOCHS <= epochs_of(tried) < 10
    assert (tried, limit) == allowed
    assert epochs_of(loop.candidates.outcomes[0].configuration) == epochs_of(tried)
    assert loop.candidates.outcomes[0].sample == loop.task.digest


def test_what_does_not_fit_is_left_for_another_session(tmp_path: Path, scores: Scores) -> None:
    loop = make_loop(tmp_path, left=2.5)
    loop.study.enqueue(SCRATCH)
    loop.study.enqueue(TEN)
    assert loop.run() == "nothing that is left to try fits the time that is left"
    assert scores == []
    assert loop.study.finished == []
    assert reasons(loop) == ["it did not fit the 2 s that were left"] * (2 + MOST_REFUSED)  # two were enqueued


def test_without_time_nothing_is_asked_for(tmp_path: Path, scores: Scores) -> None:
    loop = make_loop(tmp_path, left=0.0)
    assert loop.run() == "the budget is used up"
    assert loop.study.trials == []


def test_what_is_enqueued_of_a_broken_backbone_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = make_loop(tmp_path, left=None, trials=5)
    for epochs in range(5, 10):
        loop.study.enqueue(retuned(TEN, epochs=epochs))
    tried: list[Configuration] = []

    def fail(task: Task, configuration: Configuration, *_: Any, **__: Any) -> Any:
        tried.append(configuration)
        raise RuntimeError("no gradient today")

    monkeypatch.setattr(module, "score_trained", fail)
    assert loop.run() == "every backbone has failed"
    assert [configuration.backbone for configuration in tried] == ["tiny", "tiny", "wide", "wide"]
    assert [reason for reason in reasons(loop) if "today" not in reason] == ["tiny has failed before"] * 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda loop: setattr(loop, "today", space({"wide": 5})), "tiny is not used in this session"),
        (lambda loop: setattr(loop, "today", space(training=("frozen",))), "fine_tuning is not asked for"),
        (limited, "too slow"),
    ],
    ids=["backbone", "training", "limit"],
)
def test_what_this_session_may_not_try_is_refused_and_counts_for_nothing(
    tmp_path: Path, scores: Scores, change: Callable[[Loop], None], reason: str
) -> None:
    loop = make_loop(tmp_path, left=None, trials=1)
    change(loop)
    loop.study.enqueue(TEN)
    loop.run()
    assert reasons(loop)[0] == reason
    assert TEN not in [configuration for configuration, _ in scores]
    refused = [t for t in loop.study.trials if t.user_attrs.get("refused")]
    assert refused
    assert not {t.number for t in refused} & {t.number for t in loop.study.finished}


def test_what_would_take_too_much_to_solve_is_refused(
    tmp_path: Path, scores: Scores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "too_much", lambda task, configuration: "much" if configuration == RIDGE else None)
    loop = make_loop(tmp_path, left=None, trials=1)
    loop.study.enqueue(RIDGE)
    loop.run()
    assert reasons(loop)[0] == "much"
    assert RIDGE not in [configuration for configuration, _ in scores]
    assert len(loop.study.finished) == 1


# --- memory -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("configuration", [TEN, SOFTMAX], ids=["trained", "frozen"])
def test_a_trial_knows_how_much_memory_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configuration: Configuration
) -> None:
    """Where it ends for having taken more, no backbone is to blame."""
    allowed: list[int | None] = []

    def score(*_: Any, allowance: Allowance = UNBOUNDED, max_memory: int | None = None, **__: Any) -> Any:
        allowed.append(allowance.memory or max_memory)
        raise AutomlTlError("it used 3.0 GB of memory, more than the 2.5 GB allowed")

    kind = "score_trained" if configuration.is_trained else "score_frozen"
    monkeypatch.setattr(module, kind, score)
    monkeypatch.setattr(module, "too_much", lambda *_: None)
    loop = make_loop(tmp_path, left=None, trials=1, max_memory=2_500_000_000)
    loop.study.enqueue(configuration)
    loop.run()
    assert allowed == [2_500_000_000]
    assert reasons(loop) == ["it used 3.0 GB of memory, more than the 2.5 GB allowed"]
    assert loop.study.broken_backbones == frozenset()


def test_scores_of_trials_do_not_pile_up_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: Scores
) -> None:
    monkeypatch.setattr("automl_tl.features.scratch.SMALL", 0)
    loop = make_loop(tmp_path, left=None, trials=2)
    loop.study.enqueue(SOFTMAX)
    loop.study.enqueue(replace(SOFTMAX, cuts=(2,)))
    loop.run()
    held = loop.candidates.outcomes
    assert len(held) == len(scores) == 2
    assert all(isinstance(one.scores, np.memmap) for one in held)
    again = loop.session.folder.load([one.number for one in held])
    assert all(isinstance(one.scores, np.memmap) for one in again)
    for one, other in zip(held, again, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("not enough memory: you tried to allocate 8 bytes")])
def test_a_lack_of_memory_blames_no_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def score(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(module, "score_trained", score)
    loop = make_loop(tmp_path, left=None, trials=2)
    loop.study.enqueue(TEN)
    loop.study.enqueue(SCRATCH)
    loop.run()
    assert len(reasons(loop)) == 2
    assert loop.study.broken_backbones == frozenset()


def test_what_was_tried_already_is_not_tried_again(tmp_path: Path, scores: Scores) -> None:
    """A variation that is shortened to what there is time for may be one that is done."""
    loop = make_loop(tmp_path, trials=2)
    for _ in range(2):
        loop.study._study.enqueue_trial(parameters(TEN, loop.study.space))
    loop.study.enqueue(SCRATCH)
    loop.run()
    assert [configuration for configuration, _ in scores] == [TEN, SCRATCH]
    assert reasons(loop)[1] == "the same has been tried already"
    assert len(loop.study.finished) == 2


@pytest.mark.parametrize("kills", [1, 2])
def test_what_a_killed_process_left_running_counts_for_nothing(tmp_path: Path, scores: Scores, kills: int) -> None:
    """Of three trials that were asked for three end by themselves, the one that was lost among them while it may be."""
    loop = make_loop(tmp_path, left=None, trials=3)
    loop.study.enqueue(TEN)
    for _ in range(kills):
        loop.study.ask()  # and the process is killed
        assert loop.study.retry_lost() == 1
    assert loop.study.retry_lost() == 0
    assert loop.run() == "all 3 trials are done"
    complete = [trial for trial in loop.study.trials if trial.state == TrialState.COMPLETE]
    assert loop.study.finished == complete
    assert len(complete) == len({configuration for configuration, _ in scores}) == 3
    assert (TEN in [configuration for configuration, _ in scores]) == (kills == 1)


def test_where_no_training_fits_frozen_trials_go_on(tmp_path: Path, scores: Scores) -> None:
    loop = make_loop(tmp_path, left=20.0)
    loop.prepared.costs._ratios[:] = [("frozen", 1e6), ("adapting", 1e6)]
    assert loop.run() == "the last trials brought nothing better, and more would hardly pay"
    assert not loop.study.trains
    assert {configuration.training for configuration, _ in scores} == {"frozen"}


@pytest.mark.parametrize(
    ("n", "right", "options", "ends"),
    [
        (320, 1.0, {}, True),
        (320, 0.98, {}, False),
        (280, 1.0, {}, False),  # too few to tell
        (320, 1.0, {"strategies": ("fine_tuning",)}, False),  # the sweep's best is not what was asked for
        (320, 1.0, {"trials": 1}, False),
    ],
)
def test_where_nothing_is_wrong_any_more_nothing_is_tried(
    tmp_path: Path, scores: Scores, n: int, right: float, options: dict[str, Any], ends: bool
) -> None:
    task = bare_task(np.arange(n) % 2)
    loop = make_loop(tmp_path, task, **options)
    loop.candidates.reference = reference(task, right)  # type: ignore[misc]
    assert (loop.run().startswith("no picture of the validation part is wrong")) == ends
    assert (scores == []) == ends


def test_a_candidate_s_scores_are_read_once_to_see_whether_it_is_flawless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They lie on the disk once a trial has ended, and every further trial asks."""
    monkeypatch.setattr(module, "FLAWLESS", 4)
    loop = make_loop(tmp_path, left=None, trials=None)
    loop.candidates.outcomes = [trained(loop.task, TEN, 0.8, number) for number in (1, 2)]
    read: list[int] = []
    scores = type(loop.candidates.outcomes[0]).predictions.fget
    monkeypatch.setattr(Outcome, "predictions", property(lambda self: read.append(self.number) or scores(self)))
    assert not loop._perfect()
    assert not loop._perfect()
    assert sorted(read) == sorted(set(read))


def test_of_the_best_so_far_is_told_what_is_expected(tmp_path: Path) -> None:
    """A trained candidate may be the best that scored less on the few pictures of its fold."""
    loop = make_loop(tmp_path, metric="accuracy")
    before = status(loop, "")
    assert before.value == pytest.approx(loop.prepared.assessment.expectations.estimates["feature_extractor"].accuracy)
    loop.candidates = replace(loop.candidates, priors=dict.fromkeys(PRIORS, GainPrior(0.2, 0.01)))
    loop.candidates.outcomes = [trained(loop.task, TEN, value=0.6)]
    after = status(loop, "")
    assert after.best.startswith("fine_tuning")
    assert before.value is not None
    assert after.value is not None
    assert before.value < after.value
    assert after.interval is not None
    assert after.interval[0] < after.value < after.interval[1]
