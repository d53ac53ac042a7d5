from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from generated_pictures import MakePictures
from tasks import TUNED, bare_task, best_frozen, outcome, reference, retuned, tiny_task

from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.errors import AutomlTlError
from automl_tl.learning import retreat
from automl_tl.learning import trainer as module
from automl_tl.learning.activations import ActivationCache
from automl_tl.learning.callbacks import Deadline
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.finetune import Trained, TrainingError
from automl_tl.learning.trainer import Start, make_cache, train
from automl_tl.model.forward import forward
from automl_tl.model.member import Member
from automl_tl.monitor import Epoch
from automl_tl.searcher.delivery import members
from automl_tl.searcher.delivery.members import kept_member, refitted, rescaled, with_second_round
from automl_tl.searcher.delivery.place import Place
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials import foresight
from automl_tl.searcher.trials.allowance import Allowance
from automl_tl.searcher.trials.observer import QUARTERS, Observer
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.reference import Reference, estimated
from automl_tl.searcher.trials.trained import learn, score_trained
from automl_tl.work import ThisProcess

HERE = ThisProcess()
JOINED = replace(TUNED, cuts=(2, 3), pooling="mean+std")
SCRATCH = replace(retuned(TUNED, unfrozen=3, batchnorm="adapting"), training="pretrained_initialization")
LAYERED = retuned(JOINED, unfrozen=1, layers="convolution", head_epochs=1)
ALL = [TUNED, JOINED, SCRATCH, LAYERED]


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch, make_pictures: MakePictures, tmp_path: Path) -> Task:
    return tiny_task(monkeypatch, make_pictures(per_class=(8, 7, 6)), tmp_path / "scratch", n_folds=2)


# --- the estimate -----------------------------------------------------------------------------------

METRICS = ["accuracy", "balanced_accuracy", "macro_f1", "log_loss"]


@pytest.mark.parametrize("metric", METRICS)
def test_the_reference_s_own_scores_are_worth_what_it_is_worth(metric: str) -> None:
    task = bare_task(np.arange(60) % 3, metric=metric)
    ours = reference(task)
    for rows in (np.arange(60), np.arange(7), np.array([5, 3, 59])):
        assert estimated(task, ours, rows, ours.outcome.on(rows)) == ours.outcome.value


def test_easy_pictures_flatter_nobody() -> None:
    """Of candidates that were scored on other folds the better one is told to be better."""
    task = bare_task(np.arange(200) % 2)
    ours = reference(task, 0.7)
    right = ours.outcome.predictions == task.y
    easy, hard = np.flatnonzero(right)[:80], np.flatnonzero(~right)[:50]
    perfect, poor = outcome(task, 1.0), outcome(task, 0.9, rows=easy)
    assert estimated(task, ours, hard, perfect.on(hard)) > estimated(task, ours, easy, poor.scores)
    assert estimated(task, ours, easy, perfect.on(easy)) == ours.outcome.value


def test_on_all_pictures_the_estimate_is_the_metric() -> None:
    task = bare_task(np.arange(60) % 3, metric="macro_f1")
    theirs = outcome(task, 0.85, seed=3)
    assert estimated(task, reference(task), task.everything, theirs.scores) == pytest.approx(theirs.value)


# --- scoring ----------------------------------------------------------------------------------------


class Watched:
    """What was learned from, scored and solved, in the order in which it happened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.learned: list[np.ndarray] = []
        self.scored: list[np.ndarray] = []
        self.solved: list[int] = []
        finetune, starting_head, watched = module.finetune, module.starting_head, self

        def record_finetune(tunable: Any, y: Any, rows: np.ndarray, *a: Any, **kw: Any) -> Any:
            self.learned.append(rows)
            return finetune(tunable, y, rows, *a, **kw)

        class Tunable(module.Tunable):
            def scores(self, rows: np.ndarray) -> np.ndarray:
                watched.scored.append(rows)
                return super().scores(rows)

        def record_solved(X: Any, y: np.ndarray, *a: Any, **kw: Any) -> Any:
            self.solved.append(len(y))
            return starting_head(X, y, *a, **kw)

        monkeypatch.setattr(module, "finetune", record_finetune)
        monkeypatch.setattr(module, "Tunable", Tunable)
        monkeypatch.setattr(module, "starting_head", record_solved)


@pytest.mark.parametrize("configuration", ALL)
def test_no_picture_is_scored_by_what_learned_from_it(
    task: Task, monkeypatch: pytest.MonkeyPatch, configuration: Configuration
) -> None:
    watched = Watched(monkeypatch)
    found = score_trained(task, configuration, best_frozen(task), HERE)
    assert len(watched.learned) == len(watched.scored) == 2
    for fold, (learned, scored) in enumerate(zip(watched.learned, watched.scored, strict=True)):
        np.testing.assert_array_equal(scored, np.flatnonzero(task.sample.folds == fold))
        assert not set(learned) & set(scored)
        assert len(learned) + len(scored) == task.sample.n
    assert watched.solved == [] if configuration is SCRATCH else [len(rows) for rows in watched.learned]
    np.testing.assert_array_equal(np.sort(found.rows), np.flatnonzero(task.sample.folds < task.n_folds))
    assert found.scores.shape == (len(found.rows), 3)
    assert (found.epochs, found.n_folds) == (2 * (5 + (configuration is LAYERED)), 2)


def test_labels_of_a_fold_do_not_reach_its_own_scores(task: Task) -> None:
    """The whole way: other labels on the pictures of fold 0 leave what is said about them as it was."""
    task = replace(task, n_folds=1)
    ours = best_frozen(task)
    before = score_trained(task, JOINED, ours, HERE)
    held = task.sample.folds == 0
    task = replace(task, sample=replace(task.sample, y=np.where(held, (task.y + 1) % 3, task.y)))
    after = score_trained(task, JOINED, ours, HERE)
    np.testing.assert_array_equal(before.scores, after.scores)


def test_training_learns_what_is_there(task: Task) -> None:
    found = score_trained(task, retuned(JOINED, epochs=10, head_lr=1e-2), best_frozen(task), HERE)
    assert task.metric.function(task.y[found.rows], found.scores) > 0.6


@pytest.mark.parametrize("n_folds", [1, 2])
def test_reports_come_by_the_quarter_then_by_the_fold(task: Task, n_folds: int) -> None:
    task = replace(task, n_folds=n_folds)
    reports: list[tuple[int, float]] = []
    found = score_trained(
        task,
        retuned(TUNED, epochs=8),
        best_frozen(task),
        HERE,
        observer=Observer(report=lambda step, value: reports.append((step, value))),
    )
    assert [step for step, _ in reports] == [1, 2, 3, *range(QUARTERS, QUARTERS + n_folds)]
    assert reports[-1][1] == found.value
    assert all(np.isfinite(value) for _, value in reports)


@pytest.mark.parametrize("configuration", [TUNED, LAYERED])
def test_reports_change_nothing(task: Task, configuration: Configuration) -> None:
    ours = best_frozen(task)
    silent = score_trained(task, configuration, ours, HERE)
    watched = score_trained(task, configuration, ours, HERE, observer=Observer(report=lambda step, value: None))
    np.testing.assert_array_equal(silent.scores, watched.scores)


def test_what_a_report_raises_ends_the_trial(task: Task) -> None:
    def report(step: int, value: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_trained(task, TUNED, best_frozen(task), HERE, observer=Observer(report=report))


def test_folds_share_what_the_frozen_stages_put_out(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    real = ActivationCache._run

    def run(self: ActivationCache, variation: Any, some: np.ndarray) -> Any:
        rows.append(len(some))
        return real(self, variation, some)

    monkeypatch.setattr(ActivationCache, "_run", run)
    score_trained(task, retuned(TUNED, policy=AugmentationPolicy(hflip=0.5)), best_frozen(task), HERE)
    assert sum(rows) <= task.sample.n * (module.n_variants(5) + 1) + 1


def test_the_original_network_stays_as_it_is(task: Task) -> None:
    before = {name: value.clone() for name, value in task.networks.network("tiny").module.state_dict().items()}
    score_trained(task, SCRATCH, best_frozen(task), HERE)
    after = task.networks.network("tiny").module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize("configuration", ALL)
def test_the_same_task_gives_the_same_outcome(task: Task, configuration: Configuration) -> None:
    ours = best_frozen(task)
    first = score_trained(task, configuration, ours, HERE)
    torch.rand(3)  # what was drawn in between does not matter
    again = score_trained(task, configuration, ours, HERE)
    np.testing.assert_array_equal(first.scores, again.scores)
    assert first.value == again.value


def test_balanced_training_differs(task: Task) -> None:
    ours = best_frozen(task)
    plain, balanced = (score_trained(task, replace(TUNED, balanced=b), ours, HERE).scores for b in (False, True))
    assert not np.allclose(plain, balanced, atol=1e-4)


def test_a_network_that_breaks_in_training_ends_with_a_sentence(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retreat, "MOST", 0)
    with pytest.raises(TrainingError, match="the loss became nan"):
        score_trained(task, retuned(TUNED, head_lr=1e20), best_frozen(task), HERE)


def test_every_epoch_is_told_and_kept(task: Task) -> None:
    """Of every fold; the history is the first one's, with its scores by the quarter and at the end."""
    told: list[Epoch] = []
    found = score_trained(task, retuned(TUNED, epochs=8), best_frozen(task), HERE, observer=Observer(told.append))
    assert [one.number for one in told] == [*range(1, 9), *range(1, 9)]
    assert [one.number for one in found.history] == list(range(1, 9))
    assert [one.number for one in found.history if one.score is not None] == [2, 4, 6, 8]
    assert found.trainer == module.TRAINER_VERSION


def test_a_trial_that_takes_too_much_memory_ends_with_a_sentence(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automl_tl.memory.held_memory", lambda: 3_000_000_000)
    monkeypatch.setattr("automl_tl.searcher.trials.trained.check_room", lambda *_: None)  # what was not foreseen
    with pytest.raises(AutomlTlError, match=r"it used 3\.0 GB of memory, more than the 2\.5 GB allowed"):
        score_trained(task, TUNED, best_frozen(task), HERE, allowance=Allowance(memory=2_500_000_000))
    score_trained(task, TUNED, best_frozen(task), HERE, allowance=Allowance(memory=3_000_000_000))


@pytest.mark.parametrize("words", ["DefaultCPUAllocator: can't allocate memory", "not enough memory: 8 bytes"])
def test_a_trial_halves_its_batches_where_memory_is_short(
    task: Task, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    whole = score_trained(task, TUNED, best_frozen(task), HERE)
    real = ActivationCache.batch

    def batch(self: ActivationCache, variant: int, rows: np.ndarray) -> Any:
        if len(rows) > 3:
            raise RuntimeError(words)
        return real(self, variant, rows)

    monkeypatch.setattr(ActivationCache, "batch", batch)
    found = score_trained(task, TUNED, best_frozen(task), HERE)
    np.testing.assert_allclose(found.scores, whole.scores, rtol=1e-2, atol=1e-2)


# --- what a trial leaves ----------------------------------------------------------------------------


@pytest.fixture(params=range(len(ALL)), ids=["tuned", "joined", "scratch", "layered"])
def done(request: pytest.FixtureRequest, task: Task) -> tuple[Task, Reference, Outcome]:
    ours = best_frozen(task)
    return task, ours, score_trained(task, ALL[request.param], ours, HERE)


def pixels(task: Task, rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(task.pixels("tiny")[rows])


def scores_of(member: Member, pictures: torch.Tensor) -> torch.Tensor:
    return forward([member], {member.preprocessing: pictures})[0][0]


def test_a_trial_s_weights_give_its_scores(done: tuple[Task, Reference, Outcome]) -> None:
    """As a member of a model, on decoded pictures: what is delivered is what was scored."""
    task, _, found = done
    rows = task.held_out(0)
    member = kept_member(task, found.configuration, found.state)
    scores = scores_of(member, pixels(task, rows)).numpy()
    np.testing.assert_allclose(scores, found.on(rows), rtol=2e-2, atol=2e-2)


def test_a_refit_learns_from_every_picture(
    done: tuple[Task, Reference, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, ours, found = done
    watched = Watched(monkeypatch)
    refit = refitted(task, found, ours.l2, Place(HERE))
    np.testing.assert_array_equal(watched.learned[0], task.everything)
    assert (refit.n, refit.note) == (task.sample.n, "")
    assert refit.member.cuts == found.configuration.cuts


@pytest.mark.parametrize("epochs", [None, 2])
def test_training_goes_on_from_a_trial_s_weights(
    task: Task, monkeypatch: pytest.MonkeyPatch, epochs: int | None
) -> None:
    """For its schedule, or at a smaller rate for as many epochs as there is time for; the head has had its own."""
    ours = best_frozen(task)
    found = score_trained(task, JOINED, ours, HERE)
    recipes: list[Any] = []
    real = module.finetune

    def finetune(tunable: Any, y: Any, rows: Any, recipe: Any, *a: Any, **kw: Any) -> Any:
        recipes.append(recipe)
        learned = module.learned_state(JOINED, tunable)
        assert all(torch.equal(value, found.state[name]) for name, value in learned.items())
        return real(tunable, y, rows, recipe, *a, **kw)

    monkeypatch.setattr(module, "finetune", finetune)
    refit = refitted(task, found, ours.l2, Place(HERE), state=found.state, allowance=Allowance(epochs=epochs))
    assert (recipes[0].epochs, recipes[0].head_epochs) == (epochs or JOINED.tuned.epochs, 0)
    assert (recipes[0].head_lr < JOINED.tuned.head_lr) == (epochs is not None)
    assert (refit.n, refit.share) == (task.sample.n, 1.0)
    assert refit.state is not None
    assert refit.state.keys() == found.state.keys()
    assert not all(torch.equal(value, found.state[name]) for name, value in refit.state.items())


def epoch(number: int, loss: float) -> Epoch:
    return Epoch(number, 3, number / 3, loss, rate=1e-3, seconds=1.0)


def test_a_refit_that_diverges_is_not_delivered(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = best_frozen(task)
    found = score_trained(task, TUNED, ours, HERE)

    def diverging(*args: Any, **kwargs: Any) -> Any:
        return Trained(tuple(epoch(number, loss) for number, loss in enumerate((0.4, 0.9, 3.0), 1)), shortened=False)

    monkeypatch.setattr(module, "finetune", diverging)
    refit = refitted(task, found, ours.l2, Place(HERE))
    assert (
        "the refit on every training picture was rejected, since its loss rose from 0.40 to 3.00" in refit.note.lower()
    )
    assert refit.n == task.sample.n - len(task.held_out(0))
    scores = scores_of(refit.member, pixels(task, task.held_out(0))).numpy()
    np.testing.assert_allclose(scores, found.on(task.held_out(0)), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize(
    ("lost", "shortened", "told"), [(0, True, ""), (1, True, "had time for 4 of 5 epochs"), (1, False, "")]
)
def test_a_refit_that_had_its_epochs_needs_no_note(
    task: Task, monkeypatch: pytest.MonkeyPatch, lost: int, shortened: bool, told: str
) -> None:
    """The clock may end a schedule in its last epoch, and an epoch may be gone round again: that is nothing to know."""
    ours = best_frozen(task)
    found = score_trained(task, TUNED, ours, HERE)
    real = module.finetune

    def cut_short(*args: Any, **kwargs: Any) -> Any:
        trained = real(*args, **kwargs)
        return Trained(trained.history[: trained.epochs - lost], shortened=shortened)

    monkeypatch.setattr(module, "finetune", cut_short)
    refit = refitted(task, found, ours.l2, Place(HERE), allowance=Allowance(60.0))
    assert told in refit.note
    assert bool(refit.note) == bool(told)
    assert refit.share == (0.8 if told else 1.0)


def test_a_refit_that_breaks_is_not_delivered(task: Task) -> None:
    ours = best_frozen(task)
    found = score_trained(task, TUNED, ours, HERE)
    broken = replace(found, configuration=retuned(TUNED, head_lr=1e20))
    refit = refitted(task, broken, ours.l2, Place(HERE))
    assert "the loss became nan" in refit.note


def test_a_refit_in_which_a_backbone_raises_is_not_delivered(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = best_frozen(task)
    found = score_trained(task, TUNED, ours, HERE)

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the device is\ngone")

    monkeypatch.setattr(module, "finetune", fail)
    assert "since RuntimeError: the device is gone" in refitted(task, found, ours.l2, Place(HERE)).note


def test_a_second_round_is_averaged_with_the_first(task: Task) -> None:
    ours = best_frozen(task)
    found = score_trained(task, TUNED, ours, HERE)
    first = refitted(task, found, ours.l2, Place(HERE), state=found.state)
    assert first.state is not None
    again = learn(task, TUNED, Start(ours.l2, first.state)).state
    both = with_second_round(task, found, first, ours.l2, Place(HERE), allowance=Allowance(600.0), watch=unwatched)
    assert both.state is not None
    assert both.is_refit
    moved = 0
    for name, value in both.state.items():
        assert value.dtype == first.state[name].dtype
        torch.testing.assert_close(value.double(), (first.state[name].double() + again[name].double()) / 2)
        moved += not value.equal(first.state[name])
        if "running" in name or "center" in name:  # a frozen BatchNorm's and the head's own do not move
            assert value.equal(first.state[name]), name
    assert moved > 2
    averaged_head = kept_member(task, TUNED, both.state).head.state_dict()
    torch.testing.assert_close(dict(both.member.head.state_dict()), dict(averaged_head))


def unwatched(epoch: Epoch) -> None:
    """Take no note of an epoch."""


@pytest.mark.parametrize("failing", ["finetune", "averaged", "diverging"])
def test_a_second_round_that_fails_leaves_the_first(task: Task, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    ours = best_frozen(task)
    found = score_trained(task, TUNED, ours, HERE)
    first = refitted(task, found, ours.l2, Place(HERE), state=found.state)

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the device is gone")

    if failing == "diverging":  # from there it is worse than where the first round ended
        first = replace(first, loss=1e-9)
        monkeypatch.setattr(members, "DIVERGED_LOSS", 0.0)
    else:
        monkeypatch.setattr(module if failing == "finetune" else members, failing, fail)
    again = with_second_round(task, found, first, ours.l2, Place(HERE), allowance=Allowance(600.0), watch=unwatched)
    assert again is first


def test_a_refit_that_would_not_fit_into_memory_is_not_begun(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = best_frozen(task)
    found = score_trained(task, TUNED, ours, HERE)
    monkeypatch.setattr(foresight, "free_memory", lambda: 1000)
    refit = refitted(task, found, ours.l2, Place(HERE))
    assert "since training tiny takes at least" in refit.note
    assert "but 1.0 kB are free" in refit.note
    assert not refit.is_refit


def test_training_goes_on_in_the_candidate_s_own_variants(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer epochs do not see fewer variants of every picture than the trial did."""
    ours = best_frozen(task)
    ten = retuned(TUNED, epochs=10, policy=AugmentationPolicy(hflip=0.5))
    found = score_trained(task, ten, ours, HERE)
    sizes: list[int] = []
    real = module.finetune

    def finetune(tunable: Any, *args: Any, **more: Any) -> Any:
        sizes.append(tunable.cache.n_variants)
        return real(tunable, *args, **more)

    monkeypatch.setattr(module, "finetune", finetune)
    refitted(task, found, ours.l2, Place(HERE), state=found.state, allowance=Allowance(epochs=3))
    assert sizes == [module.n_variants(10)]
    assert module.n_variants(3) < module.n_variants(10)


def test_decoding_counts_against_the_limit(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[float] = []
    real, cache = module.finetune, module.make_cache

    def slow(*args: Any) -> Any:
        time.sleep(0.3)
        return cache(*args)

    def finetune(*args: Any, callbacks: Any, **more: Any) -> Any:
        left.extend(one.ends - time.perf_counter() for one in callbacks if isinstance(one, Deadline))
        return real(*args, callbacks=callbacks, **more)

    monkeypatch.setattr("automl_tl.searcher.trials.trained.make_cache", slow)
    monkeypatch.setattr(module, "finetune", finetune)
    score_trained(replace(task, n_folds=1), TUNED, best_frozen(task), HERE, allowance=Allowance(20.0))
    assert left[0] < 20.0 - 0.3


def test_nothing_of_a_trial_is_kept_when_it_ends(task: Task) -> None:
    score_trained(task, TUNED, best_frozen(task), HERE)
    assert task.computed.activations is None


@pytest.mark.parametrize("limit", [0.0, -1.0, 1e-9])
def test_a_refit_without_any_time_leaves_the_trial_s_model(task: Task, limit: float) -> None:
    ours = best_frozen(task)
    found = score_trained(task, TUNED, ours, HERE)
    refit = refitted(task, found, ours.l2, Place(HERE), allowance=Allowance(limit))
    assert "since there was no time left for it" in refit.note
    assert refit.n == task.sample.n - len(task.held_out(0))


def test_a_trial_without_any_time_has_no_outcome(task: Task) -> None:
    with pytest.raises(TrainingError, match="its time sufficed for 0 epochs of 5"):
        score_trained(task, TUNED, best_frozen(task), HERE, allowance=Allowance(0.0))


def test_a_member_of_an_ensemble_scores_alike_but_for_the_factor(done: tuple[Task, Reference, Outcome]) -> None:
    task, _, found = done
    before = scores_of(kept_member(task, found.configuration, found.state), pixels(task, task.everything))
    member = rescaled(kept_member(task, found.configuration, found.state), 0.25, 0.5)
    torch.testing.assert_close(scores_of(member, pixels(task, task.everything)), 0.25 * before, rtol=1e-4, atol=1e-5)
    assert member.weight == 0.5


def test_a_cache_is_of_the_stages_that_do_not_learn(task: Task) -> None:
    assert make_cache(task.material(TUNED), TUNED).boundary == 1
    assert make_cache(task.material(SCRATCH), SCRATCH).boundary == 0
    tunable, trained = train(task.material(TUNED), TUNED, np.arange(10), module.Start(0.1))
    assert trained.epochs == 5
    assert not tunable.network.module.training
    assert not tunable.head.training


# --- what does not fit a number format --------------------------------------------------------------


def test_where_float16_ends_too_early_training_takes_float32(task: Task) -> None:
    material = replace(task.material(TUNED), engine=replace(task.networks.engine, dtype="float16"))
    assert make_cache(material, TUNED).engine.dtype == "float16"
    network = module.copy_network(material.network)
    with torch.no_grad():
        next(m for m in network.stages[0].modules() if isinstance(m, torch.nn.BatchNorm2d)).weight.mul_(1e7)
    assert make_cache(replace(material, network=network), TUNED).engine.dtype == "float32"


def test_what_is_not_finite_is_no_score(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest of numbers that are none is the first class, which may even be right."""
    monkeypatch.setattr(module.Tunable, "scores", lambda self, rows: np.full((len(rows), 3), np.nan, np.float32))
    with pytest.raises(TrainingError, match="are not finite"):
        score_trained(task, TUNED, best_frozen(task), HERE)
