"""A sample that grows where the learning curve says that more pictures pay, and stays where it is flat."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import optuna
import pandas as pd
import pytest
from generated_pictures import MakePictures, add_odd_pictures
from hypothesis import given
from hypothesis import strategies as st
from loops import STATE, make_loop
from optuna.trial import TrialState
from small_lab import CPU, bare_lab
from tasks import RIDGE, SOFTMAX, TUNED, bare_task, install, outcome, retuned, space
from tiny_backbone import TinyBackbone

import automl_tl
from automl_tl.augment.policy import AugmentationPolicy
from automl_tl.data.folds import stratified_sample
from automl_tl.errors import OptionError
from automl_tl.learning.configuration import Frozen
from automl_tl.learning.curve import LearningCurve, curve_through
from automl_tl.report.facts.search import effort
from automl_tl.searcher import growth, larger_sample
from automl_tl.searcher.experience import FILE
from automl_tl.searcher.growth import Growth, expected_growth
from automl_tl.searcher.result import SearchResult
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.search import search
from automl_tl.searcher.summary import SearchSummary
from automl_tl.searcher.trials.journal import open_storage, read_trials
from automl_tl.searcher.trials.leaderboard import leaderboard
from automl_tl.searcher.trials.study import Study
from automl_tl.searcher.trials.sweep import Sweep

FIRST = 24
"""Pictures that the searches here begin with, of 60."""

# --- whether it pays --------------------------------------------------------------------------------


def growth_of(signal: float, tmp_path: Path, *, there: int = 10_000, budget: float | None = 600.0) -> Growth | None:
    """Return what is expected of more pictures for 400 of two classes, told apart by all of 200 noisy columns."""
    rng = np.random.default_rng(0)
    task = replace(bare_task(rng.integers(0, 2, 400)), networks=cast(Any, SimpleNamespace(engine=CPU)))
    X = (rng.normal(size=(400, 200)) + signal * (2 * task.y[:, None] - 1)).astype(np.float32)
    task = replace(task, features={"tiny": cast(Any, SimpleNamespace(matrix=lambda cuts, pooling: X))})
    swept = Sweep((outcome(task, 0.8), outcome(task, 0.9, configuration=SOFTMAX)), cast(Any, None))
    frame = pd.DataFrame({"split": ["train"] * there + ["test"] * 50})
    session: Any = SimpleNamespace(
        lab=bare_lab(tmp_path, dataset=SimpleNamespace(frame=frame)), deadline=SimpleNamespace(budget=budget)
    )
    return expected_growth(session, cast(Any, SimpleNamespace(task=task, sweep=swept)))


def test_a_curve_that_rises_grows_the_sample(tmp_path: Path) -> None:
    found = growth_of(0.12, tmp_path)
    assert found is not None
    assert found.sizes[0] == 800
    assert all(later == 2 * size for size, later in zip(found.sizes, found.sizes[1:], strict=False))
    assert found.gain - found.stderr > 0.005
    assert "standard error" in str(found)


def test_a_flat_curve_does_not(tmp_path: Path) -> None:
    found = growth_of(1.0, tmp_path)
    assert found is not None
    assert found.sizes == ()


def test_there_is_nothing_to_grow_where_all_pictures_are_looked_at(tmp_path: Path) -> None:
    assert growth_of(0.12, tmp_path, there=400) is None


def test_the_last_step_takes_all_that_there_are(tmp_path: Path) -> None:
    found = growth_of(0.12, tmp_path, there=500)
    assert found is not None
    assert found.sizes == (500,)


def test_a_last_step_to_a_few_more_pictures_does_not_pay(tmp_path: Path) -> None:
    """Twice as many would: what a twentieth more brings is no reason to begin again on all of them."""
    found = growth_of(0.12, tmp_path, there=420)
    assert found is not None
    assert found.sizes == ()
    assert "420 pictures bring" in str(found)


def test_without_a_budget_a_sample_has_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "MOST_PICTURES", 900)
    found = growth_of(0.12, tmp_path, budget=None)
    assert found is not None
    assert found.sizes == (800,)


@pytest.mark.parametrize(("left", "size"), [(405.0, 160), (403.0, 80), (203.0, 80), (200.0, None)])
def test_it_grows_as_far_as_there_is_time_for_a_trial_and_the_refit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: float, size: int | None
) -> None:
    """80 pictures: .4 s of features, 69 s of training on three folds of four, 92 of the refit; 160: 1.2, 138, 184 s."""
    loop = make_loop(tmp_path, left=left)
    monkeypatch.setattr(type(loop.lab), "picture_seconds", lambda *_: 0.01)
    varied = retuned(TUNED, policy=AugmentationPolicy(hflip=0.5))
    tuned = outcome(loop.task, 0.9, configuration=varied, rows=loop.task.held_out(0), state=STATE)
    loop.candidates.outcomes = [tuned]
    assert growth.affordable(loop, Growth((80, 160), 80, 0.02, 0.01)) == size


def test_the_best_go_on_with_the_backbones_of_the_very_best_alone(tmp_path: Path) -> None:
    loop = make_loop(tmp_path)
    task, rows = loop.task, loop.task.held_out(0)
    viewed = replace(RIDGE, how=Frozen("ridge", 3.0, "flips"))
    wide = replace(TUNED, backbone="wide", n_stages=5)
    longer = retuned(TUNED, epochs=9)
    others = [outcome(task, 0.5, configuration=replace(RIDGE, cuts=(cut,)), value=0.1 * cut) for cut in (1, 2)]
    loop.prepared.sweep = Sweep(
        (*others, outcome(task, 0.6, configuration=replace(RIDGE, backbone="wide"))), cast(Any, 0)
    )
    loop.candidates.outcomes = [
        outcome(task, 1.0, configuration=viewed, number=1),
        *(
            outcome(task, 0.9, configuration=one, rows=rows, value=value, number=number)
            for number, (one, value) in enumerate(((TUNED, 0.7), (wide, 0.8), (longer, 0.9)), 2)
        ),
    ]
    found = growth.carried(loop)
    plain = replace(viewed, how=Frozen("ridge", 3.0))
    assert found.solved == (plain, replace(RIDGE, cuts=(2,)), replace(RIDGE, cuts=(1,)))
    assert found.tried == (longer, TUNED, viewed)
    assert found.backbones == ["tiny"]


@given(
    labels=st.lists(st.integers(0, 6), min_size=4, max_size=120), n=st.integers(2, 60),
    more=st.integers(0, 60), seed=st.integers(0, 9),
)  # fmt: skip
def test_a_sample_of_twice_as_many_contains_the_smaller_one(labels: list[int], n: int, more: int, seed: int) -> None:
    small, large = (set(stratified_sample(np.array(labels), size, seed)) for size in (n, 2 * n + more))
    assert small <= large


# --- the study on a larger sample -------------------------------------------------------------------


def grown_study(path: Path) -> Study:
    """Return a study that has grown, of two sweeps, after a lucky trial on the smaller sample."""
    task = bare_task(np.arange(20) % 2)
    study = Study(open_storage(path), space(), 0, pictures=20)
    study.add_sweep([outcome(task, 0.5, value=0.95)])
    study.enqueue(TUNED)
    trial, configuration = study.ask()
    study.complete(trial, outcome(task, 0.5, configuration=configuration, value=0.99, number=trial.number))
    study.enqueue(SOFTMAX)  # it still waits when the sample grows
    study.grow(40)
    study.add_sweep([outcome(task, 0.5, value=0.7)])
    return study


def test_a_lucky_score_of_the_small_sample_does_not_stand_above_those_of_the_large_one(tmp_path: Path) -> None:
    study = grown_study(tmp_path / "study.journal")
    table = leaderboard(study.trials, "accuracy")
    assert table["pictures"].tolist() == [40, 20, 20]
    assert table["accuracy"].tolist() == [0.7, 0.99, 0.95]
    assert table["state"].tolist() == ["complete"] * 3
    assert table["number"].tolist() == [3, 1, 0]


def test_the_sampler_sees_the_large_sample_alone(tmp_path: Path) -> None:
    study = grown_study(tmp_path / "study.journal")
    assert [t.value for t in study.trials if t.state == TrialState.COMPLETE] == [0.7]
    assert len(study.finished) == 1  # it was tried, and counts
    assert not study.has_waiting
    study.enqueue(TUNED)
    assert study.ask()[1] == TUNED  # it is tried again


def test_a_grown_study_is_opened_again_by_its_pictures(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    numbers = [t.number for t in grown_study(path).trials]
    for pictures, n_complete in ((40, 1), (20, 2)):
        again = Study(open_storage(path), space(), 0, pictures=pictures)
        assert sum(t.state == TrialState.COMPLETE for t in again.trials) == n_complete
    assert again.retry_lost() == 0
    again.grow(40)
    assert [t.number for t in again.trials] == numbers
    again.note_beginning()
    assert Study(open_storage(path), space(), 0, pictures=40).has_begun
    assert [t.number for t in read_trials(path)] == numbers


def test_a_kill_while_trials_are_copied_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "study.journal"
    before = Study(open_storage(path), space(), 0, pictures=20)
    before.add_sweep([outcome(bare_task(np.arange(20) % 2), 0.5, value=v) for v in (0.5, 0.6, 0.7)])
    real, calls = optuna.Study.add_trial, iter(range(9))

    def add_trial(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        if next(calls) == 1:
            raise KeyboardInterrupt
        real(study, trial)

    monkeypatch.setattr(optuna.Study, "add_trial", add_trial)
    with pytest.raises(KeyboardInterrupt):
        before.grow(40)
    again = Study(open_storage(path), space(), 0, pictures=20)
    again.grow(40)
    assert [t.user_attrs["earlier"]["value"] for t in again.trials] == [0.5, 0.6, 0.7]


# --- the whole search -------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def short_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    from automl_tl.lab import recommended
    from automl_tl.searcher.space import search_space
    from automl_tl.searcher.trials import openings

    monkeypatch.setattr(recommended, "epochs_for", lambda n: 3)
    monkeypatch.setattr("automl_tl.searcher.beginning.long_epochs_for", lambda n: 0)
    monkeypatch.setattr(openings, "FOLDS_BY_SIZE", ((1000, 1),))
    monkeypatch.setattr(search_space, "FEWEST_EPOCHS", 2)
    monkeypatch.setattr(search_space, "MOST_EPOCHS", 5)
    monkeypatch.setattr("automl_tl.searcher.search.FIRST_PICTURES", FIRST)
    install(monkeypatch, tiny=TinyBackbone())


@pytest.fixture
def data(make_pictures: MakePictures) -> Path:
    """Return 60 pictures of 3 classes, some of which look like another class."""
    return add_odd_pictures(make_pictures(per_class=17), per_class=3)


def curve(end: float) -> LearningCurve:
    """Return a curve that rises from .5 to `end`."""
    shares = np.linspace(0.5, end, 4)
    correct = np.stack([np.arange(1000) < 1000 * share for share in shares])
    return curve_through(np.array([5.0, 8.0, 12.0, 19.0]), correct, np.arange(1000))


@pytest.fixture
def rising(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "_curve", lambda task, found: curve(0.8))


def searched(data: Path, out: Path, trials: int = 4, **more: Any) -> SearchResult:
    return search(data, trials=trials, out=out, backbones=["tiny"], device="cpu", **more)


@pytest.mark.usefixtures("rising")
def test_a_search_grows_half_way_and_says_so(data: Path, tmp_path: Path) -> None:
    result = searched(data, tmp_path / "run")
    values = json.loads(json.dumps(result.to_dict()))
    assert result.sample is None  # all 60 pictures were looked at in the end
    assert any("The sample grew from 24 to 60 training pictures" in note for note in result.notes)
    assert values["n_trials"] == 4
    table = pd.read_csv(tmp_path / "run" / "leaderboard.csv")
    tried = table[(table["kind"] == "trial") & (table["state"] == "complete")]
    assert tried["pictures"].value_counts().to_dict() == {60: 2, 24: 2}
    assert table["pictures"].is_monotonic_decreasing
    assert RunFolder(tmp_path / "run").sample_size == 60
    data_of = automl_tl.load(result.bundle).details["data"]
    assert data_of["n_training"] == 60
    again = tried[tried["number"] == tried["number"][tried["pictures"] == 60].min()]
    assert again["strategy"].item() in set(tried[tried["pictures"] == FIRST]["strategy"])  # the best one is tried first


def test_where_it_is_flat_the_sample_stays(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "_curve", lambda task, found: curve(0.5))
    result = searched(data, tmp_path / "run", 2)
    assert any(note.startswith("The sample did not grow: ") for note in result.notes)
    assert result.to_dict()["sample"]["chosen_on"] == FIRST
    assert result.to_dict()["sample"]["of"] == 60
    assert set(result.to_dict()["sample"]["refitted_on"]) == {FIRST}
    assert "pictures" not in result.table
    assert SearchSummary.from_dict(result.to_dict(), tmp_path / "run", None).sample == result.summary.sample
    assert ("pictures", "chosen on 24 of 60 for training, learned from 24") in list(
        effort(result.summary, result.table)
    )


@pytest.mark.usefixtures("rising")
def test_the_same_seed_grows_to_the_same_leaderboard(data: Path, tmp_path: Path) -> None:
    one, other = (searched(data, tmp_path / name).table.drop(columns="seconds") for name in ("one", "other"))
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.usefixtures("rising")
@pytest.mark.parametrize(
    ("error", "why"), [(OSError(28, "No space left on device"), "more pictures failed"), (KeyboardInterrupt(), "")]
)
def test_what_is_known_is_delivered_where_the_larger_sample_cannot_be_written_down(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, why: str
) -> None:
    real = RunFolder.keep_sample

    def fail(folder: RunFolder, *sizes: Any, **more: Any) -> None:
        if more:
            raise error
        real(folder, *sizes)

    monkeypatch.setattr(RunFolder, "keep_sample", fail)
    result = searched(data, tmp_path / "run", 4)
    assert automl_tl.load(result.bundle).details["data"]["n_training"] == FIRST
    assert not why or any(why in note for note in result.notes)


@pytest.mark.usefixtures("rising")
def test_an_interruption_on_the_larger_sample_delivers_from_the_smaller_one_and_resumes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from automl_tl.searcher.trials import loop as trials_module

    real = trials_module.score_trained

    def score(task: Any, *args: Any, **kwargs: Any) -> Any:
        if task.sample.n > FIRST:
            raise KeyboardInterrupt
        return real(task, *args, **kwargs)

    out = tmp_path / "run"
    with monkeypatch.context() as once:
        once.setattr(trials_module, "score_trained", score)
        first = searched(data, out)
    assert first.sample is not None
    assert first.sample.chosen_on == FIRST
    assert any("--resume goes on with the larger one" in note for note in first.notes)
    assert RunFolder(out).growing_to == 60
    done = first.table.query("state == 'complete'").set_index("number")

    kept = (out / "sample.json").read_text()
    for other in ('{"n": 24', '{"n": 24}', '{"n": 23, "growing_to": 60}', None):  # it would go on with the smaller one
        (out / "sample.json").unlink() if other is None else (out / "sample.json").write_text(other)
        with pytest.raises(OptionError, match=r"sample\.json of the run in .* is damaged"):
            searched(data, out, resume=True)
    (out / "sample.json").write_text(kept)

    result = searched(data, out, resume=True)
    assert result.sample is None
    assert RunFolder(out).growing_to is None
    assert result.n_trials == 4
    again = result.table.set_index("number").loc[done.index]
    pd.testing.assert_series_equal(again["accuracy"], done["accuracy"])
    assert automl_tl.load(result.bundle).details["data"]["n_training"] == 60

    more = searched(data, out, 5, resume=True)  # it goes on with the grown sample
    assert more.n_trials == 5
    assert (more.table["pictures"] == FIRST).sum() == (result.table["pictures"] == FIRST).sum()


@pytest.mark.usefixtures("rising")
def test_an_interruption_while_features_are_computed_delivers_what_there_is(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(larger_sample, "grown", stop)
    result = searched(data, tmp_path / "run")
    assert result.stopped_because == "it was interrupted"
    assert result.sample is not None
    assert result.sample.chosen_on == FIRST


@pytest.mark.usefixtures("rising")
def test_where_there_is_no_time_the_trials_go_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(larger_sample, "affordable", lambda loop, growth: None)
    result = searched(data, tmp_path / "run")
    assert result.n_trials == 4
    assert any("no time for more pictures" in note for note in result.notes)
    assert result.stopped_because == "all 4 trials are done"


@pytest.mark.usefixtures("rising")
def test_what_a_grown_run_teaches_is_of_its_first_trials_also_after_it_was_resumed(data: Path, tmp_path: Path) -> None:
    """The first trials on the larger sample are the best ones of the smaller one, so they gain too much."""
    searched(data, tmp_path / "run")
    before = (tmp_path / "run" / FILE).read_text()
    searched(data, tmp_path / "run", trials=5, resume=True)
    assert (tmp_path / "run" / FILE).read_text() == before
