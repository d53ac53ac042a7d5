"""The whole search with small backbones: seconds each, as the pictures are few and the networks tiny."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from generated_pictures import MakePictures, add_odd_pictures, told_apart_by, write_pictures
from tasks import RIDGE, TUNED, bare_task, install, outcome
from tiny_backbone import TinyBackbone, counting

import automl_tl
from automl_tl.errors import BackboneError, DataError, OptionError
from automl_tl.features.picture import Picture
from automl_tl.lab.sample import Sample
from automl_tl.learning import trainer
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.finetune import TrainingError
from automl_tl.learning.trainer import TRAINER_VERSION
from automl_tl.report.facts.search import effort
from automl_tl.searcher.beginning import comparable
from automl_tl.searcher.result import SearchResult
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.search import search
from automl_tl.searcher.trials import candidates
from automl_tl.searcher.trials import loop as trials_module
from automl_tl.searcher.trials.leaderboard import write_leaderboard

WITHOUT_CLOCK = ["seconds"]


@pytest.fixture(autouse=True)
def short_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let training take three epochs on two folds; values matter little here."""
    from automl_tl.lab import recommended
    from automl_tl.searcher.space import search_space as space
    from automl_tl.searcher.trials import openings as plan

    monkeypatch.setattr(recommended, "epochs_for", lambda n: 3)
    monkeypatch.setattr("automl_tl.searcher.beginning.long_epochs_for", lambda n: 0)
    monkeypatch.setattr(plan, "FOLDS_BY_SIZE", ((1000, 2),))
    monkeypatch.setattr(space, "FEWEST_EPOCHS", 2)
    monkeypatch.setattr(space, "MOST_EPOCHS", 4)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> TinyBackbone:
    backbone = TinyBackbone()
    install(monkeypatch, tiny=backbone)
    return backbone


@pytest.fixture
def data(make_pictures: MakePictures) -> Path:
    """Return 42 pictures of 3 classes, some of which look like another class."""
    return add_odd_pictures(make_pictures(per_class=12), per_class=2)


def board(result: SearchResult) -> pd.DataFrame:
    """Return the leaderboard without what a clock said."""
    return result.table.drop(columns=WITHOUT_CLOCK)


def split_table(path: Path, **parts: tuple[Path, dict[str, str]]) -> Path:
    """Write a table of the class folders of every part, with labels by the folder's name or another one."""
    rows = [
        (str(file), renamed.get(file.parent.name, file.parent.name), part)
        for part, (root, renamed) in parts.items()
        for file in sorted(root.rglob("*.png"))
    ]
    pd.DataFrame(rows, columns=["path", "label", "split"]).to_csv(path, index=False)
    return path


# --- what comes out ---------------------------------------------------------------------------------

KEYS = {
    "schema_version", "best", "members", "validation", "test", "predicted", "recommended", "n_trials", "seconds",
    "budget", "stopped_because", "bundle", "leaderboard", "notes",
}  # fmt: skip


def test_a_storage_that_cannot_be_opened_leaves_no_run(tiny: TinyBackbone, data: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--storage nonsense://x cannot be opened"):
        search(data, trials=1, device="cpu", out=tmp_path / "run", storage="nonsense://x")
    assert search(data, trials=1, device="cpu", out=tmp_path / "run").bundle.exists()


def test_a_search_delivers_what_it_promises(tiny: TinyBackbone, data: Path, tmp_path: Path) -> None:
    result = search(data, trials=4, out=tmp_path / "run", backbones=["tiny"])
    values = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert {"data", "features", "evidence", "trials", "refit", "test"} <= set(values["seconds_by_part"])
    assert sum(result.parts.values()) <= result.seconds
    assert set(values) >= KEYS
    assert set(values["best"]) >= {
        "strategy", "backbone", "cut", "cuts", "pooling", "head", "params", "validation_accuracy",
    }  # fmt: skip
    assert values["best"]["backbone"] == "tiny"
    assert values["best"]["cut"] == max(values["best"]["cuts"]) <= 3
    assert values["best"]["params"]["training"] in ("frozen", "fine_tuning", "pretrained_initialization")
    low, high = values["validation"]["interval"]
    assert 0 <= low <= values["validation"]["accuracy"] <= high <= 1
    assert values["n_trials"] == 4
    assert values["stopped_because"] == "all 4 trials are done"
    assert values["test"] is None  # fewer than 50 pictures of a class: nothing is held aside
    assert values["budget"] is None
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == values
    assert not list((tmp_path / "run").glob(".*.tmp"))

    read = pd.read_csv(values["leaderboard"])
    assert len(read) == len(result.table)
    assert (read["kind"] == "trial").sum() == 4
    assert (read["kind"] == "sweep").sum() > 5
    scores = read["accuracy"].dropna()
    assert scores.is_monotonic_decreasing
    assert scores.between(0, 1).all()
    tried = {(row.strategy, row.state) for row in read[read["kind"] == "trial"].itertuples()}
    assert {strategy for strategy, _ in tried} >= {"fine_tuning", "pretrained_initialization"}

    model = automl_tl.load(values["bundle"])
    assert model.classes == ("apple", "leaf", "sky")
    assert len(model.members) == len(values["members"])
    files = sorted(data.rglob("0*.png"))
    answers = [prediction.label for prediction in model.predict(files)]
    assert np.mean([said == file.parent.name for said, file in zip(answers, files, strict=True)]) > 0.8


def test_the_best_of_both_kinds_are_delivered_together(tiny: TinyBackbone, data: Path, tmp_path: Path) -> None:
    result = search(data, trials=2, out=tmp_path / "run", backbones=["tiny"])
    assert sorted(member.training == "frozen" for member in result.members) == [False, True]
    assert result.members[0] == result.best
    assert sum(result.shares) == pytest.approx(1)
    assert [member["share"] for member in result.to_dict()["members"]] == pytest.approx(result.shares, abs=1e-4)
    assert automl_tl.load(result.bundle).weights == pytest.approx(result.shares)
    shown = {comparison.outcome.configuration for comparison in result.comparisons}
    assert set(result.members) <= shown


@pytest.mark.parametrize(
    "options",
    [{"without": ["ensemble"]}, {"max_params": 10**9}, {"max_latency_ms": 1e6}, {"strategies": ["fine_tuning"]}],
)
def test_one_alone_is_delivered_where_two_are_not_wanted(
    tiny: TinyBackbone, data: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    result = search(data, trials=2, out=tmp_path / "run", backbones=["tiny"], **options)
    assert result.members == (result.best,)
    assert result.shares == (1.0,)


def test_a_partner_that_cannot_be_refitted_is_left_out_with_a_note(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from automl_tl.searcher.delivery import deliver as finish
    from automl_tl.searcher.delivery import refit as refitting

    real: list[Any] = []

    def partner(task: Any, ranked: Any) -> Any:
        real[:] = [finish_partner(task, ranked)]
        return real[0]

    def refitted(task: Any, outcome: Any, *args: Any, **more: Any) -> Any:
        if outcome is real[0]:
            raise MemoryError("no more")
        return refit(task, outcome, *args, **more)

    finish_partner, refit = finish._partner, refitting.refitted
    monkeypatch.setattr(finish, "_partner", partner)
    monkeypatch.setattr(refitting, "refitted", refitted)
    result = search(data, trials=2, out=tmp_path / "run", backbones=["tiny"])
    assert result.members == (result.best,)
    assert any("is not in the model, since its refit failed: MemoryError: no more" in note for note in result.notes)


def test_the_bundle_is_what_was_tested(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "other", per_class=8, seed=3)
    table = split_table(tmp_path / "t.csv", train=(data, {}), test=(tmp_path / "other", {}))
    from automl_tl.searcher.delivery import unseen

    seen: list[np.ndarray] = []
    real = unseen.evaluate_pictures

    def evaluate_pictures(*arguments: Any, **more: Any) -> Any:
        found = real(*arguments, **more)
        seen.append(found.probabilities)
        return found

    monkeypatch.setattr(unseen, "evaluate_pictures", evaluate_pictures)
    result = search(table, trials=4, out=tmp_path / "run", backbones=["tiny"])
    assert result.n_test == 24
    assert result.test is not None
    model = automl_tl.load(result.bundle)
    files = pd.read_csv(table).query("split == 'test'")["path"]
    order = [Path(path) for path in files]
    found = {path: row for path, row in zip(order, model.probabilities(order), strict=True)}
    assert len(seen) == 1  # the test part is looked at once
    matched = np.stack([found[path] for path in order])
    assert np.abs(np.sort(matched.ravel()) - np.sort(seen[0].ravel())).max() < 1e-4
    y = np.array([model.classes.index(path.parent.name) for path in order])
    assert result.test.accuracy == pytest.approx((matched.argmax(1) == y).mean())
    assert model.details["metrics"]["test"]["n"] == 24


@pytest.mark.parametrize("layers", ["linear", "fully_connected"])
def test_the_same_seed_gives_the_same_leaderboard(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layers: str
) -> None:
    monkeypatch.setattr("automl_tl.searcher.space.search_space.LAYERS", ("linear", layers))
    results = []
    for number in range(2):
        torch.rand(number + 1)  # what was drawn before does not matter
        results.append(
            search(
                data, trials=4, out=tmp_path / str(number), backbones=["tiny"], seed=5, metric="log_loss",
                strategies=["fine_tuning"],
            )
        )  # fmt: skip
    pd.testing.assert_frame_equal(board(results[0]), board(results[1]))
    assert results[0].best == results[1].best
    assert results[0].validation == results[1].validation


@pytest.mark.parametrize("metric", ["balanced_accuracy", "log_loss"])
def test_every_metric_chooses(tiny: TinyBackbone, data: Path, tmp_path: Path, metric: str) -> None:
    result = search(data, trials=3, out=tmp_path / "run", backbones=["tiny"], metric=metric)
    assert result.metric == metric
    values = result.table[metric].dropna()
    assert values.is_monotonic_increasing if metric == "log_loss" else values.is_monotonic_decreasing
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["validation"]["metric"] == metric
    assert automl_tl.load(result.bundle).classes == ("apple", "leaf", "sky")


def test_a_candidate_is_compared_once(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comparison by a metric that is no mean over pictures takes a large part of a second."""
    compare = counting(candidates.compare)
    monkeypatch.setattr(candidates, "compare", compare)
    search(data, trials=8, out=tmp_path / "run", backbones=["tiny"], without=["trained"])
    assert compare.calls == 8  # type: ignore[attr-defined]


@pytest.mark.parametrize("strategy", ["early_feature_extractor", "fine_tuning"])
def test_only_what_was_asked_for_is_delivered(tiny: TinyBackbone, data: Path, tmp_path: Path, strategy: str) -> None:
    result = search(data, trials=3, out=tmp_path / "run", backbones=["tiny"], strategies=[strategy])
    assert {member.strategy for member in result.members} == {strategy}


def test_where_nothing_asked_for_could_be_finished_a_note_says_so(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise TrainingError("the loss became nan")

    monkeypatch.setattr("automl_tl.searcher.trials.loop.score_trained", fail)
    result = search(data, trials=1, out=tmp_path / "run", backbones=["tiny"], strategies=["fine_tuning"])
    assert result.best.training == "frozen"
    note = "Nothing of fine_tuning could be finished, so the best candidate of the sweep is delivered"
    assert any(one.startswith(note) for one in result.notes)


def test_parts_can_be_left_out(tiny: TinyBackbone, data: Path, tmp_path: Path) -> None:
    parts = ["joined", "augmented", "enqueued", "ensemble"]
    result = search(data, trials=4, out=tmp_path / "run", backbones=["tiny"], without=parts)
    table = result.table
    assert not table["cuts"].str.contains("+", regex=False).any()
    assert set(table["pooling"]) == {"mean"}
    assert not {"param.rotation", "param.views", "param.joined"} & set(table)
    assert len(result.members) == 1


def test_training_can_be_left_out(tiny: TinyBackbone, data: Path, tmp_path: Path) -> None:
    result = search(data, trials=3, out=tmp_path / "run", backbones=["tiny"], without=["trained"])
    assert set(result.table["strategy"]) <= {"feature_extractor", "early_feature_extractor"}
    assert (result.table["kind"] == "trial").sum() == 3


def test_hostile_labels_survive(tiny: TinyBackbone, data: Path, tmp_path: Path) -> None:
    names = {"apple": "=1+1\n[red]x[/red]", "leaf": "../../\x1b[31m", "sky": '日本 \u202e" ,é'}
    table = split_table(tmp_path / "t.csv", train=(data, names))
    frame = pd.read_csv(table)
    frame.drop(columns="split").to_csv(table, index=False)
    result = search(table, trials=3, out=tmp_path / "run", backbones=["tiny"])
    model = automl_tl.load(result.bundle)
    assert set(model.classes) == set(names.values())
    assert {p.label for p in model.predict(sorted(data.rglob("*.png")))} <= set(names.values())
    json.dumps(result.to_dict(), allow_nan=False)
    assert not [path for path in tmp_path.rglob("*") if "31m" in path.name]


def test_two_classes_of_three_pictures_are_enough(
    tiny: TinyBackbone, make_pictures: MakePictures, tmp_path: Path
) -> None:
    folder = make_pictures(classes=("a", "b"), per_class=3)
    result = search(folder, trials=3, out=tmp_path / "run", backbones=["tiny"])
    assert automl_tl.load(result.bundle).classes == ("a", "b")


# --- pictures that no decision may see --------------------------------------------------------------


def test_test_pictures_change_nothing(tiny: TinyBackbone, data: Path, tmp_path: Path) -> None:
    """Other test pictures with other labels leave the leaderboard, the choice and the model as they were."""
    write_pictures(tmp_path / "a", per_class=4, seed=50)
    write_pictures(tmp_path / "b", per_class=6, size=(64, 40), seed=60)
    turned = {"apple": "leaf", "leaf": "sky", "sky": "apple"}
    results = []
    for name, labels in (("a", {}), ("b", turned)):
        table = split_table(tmp_path / f"{name}.csv", train=(data, {}), test=(tmp_path / name, labels))
        torch.manual_seed(0)  # added layers
        results.append(search(table, trials=4, out=tmp_path / f"run-{name}", backbones=["tiny"]))
    pd.testing.assert_frame_equal(board(results[0]), board(results[1]))
    assert results[0].members == results[1].members
    assert results[0].validation == results[1].validation
    assert results[0].test is not None
    assert results[1].test is not None
    assert results[0].test.accuracy > results[1].test.accuracy
    files = sorted(data.rglob("*.png"))
    first, second = (automl_tl.load(result.bundle).probabilities(files) for result in results)
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_a_given_validation_part_is_what_candidates_are_scored_on(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "val", per_class=5, seed=50)
    table = split_table(tmp_path / "t.csv", train=(data, {}), val=(tmp_path / "val", {}))
    scored: list[set[str]] = []
    real = trials_module.score_trained

    def record(task: Any, *args: Any, **kwargs: Any) -> Any:
        scored.append({task.sample.pictures[row].path for row in task.held_out(0)})
        return real(task, *args, **kwargs)

    monkeypatch.setattr(trials_module, "score_trained", record)
    result = search(table, trials=2, out=tmp_path / "run", backbones=["tiny"])
    assert scored[0] == {str(path) for path in (tmp_path / "val").rglob("*.png")}
    assert result.test is None


def test_a_test_part_is_held_aside_where_there_are_many_and_learned_from_in_the_end(
    tiny: TinyBackbone, make_pictures: MakePictures, tmp_path: Path
) -> None:
    folder = make_pictures(classes=("a", "b"), per_class=60)
    result = search(folder, trials=2, out=tmp_path / "run", backbones=["tiny"])
    assert result.test is not None
    assert result.n_test == 24
    assert any("has learned from all 120 pictures" in note for note in result.notes)
    assert automl_tl.load(result.bundle).details["metrics"]["test"]["n"] == 24


# --- failures ---------------------------------------------------------------------------------------


class Failing(TinyBackbone):
    """A network that raises once it has run so many times."""

    def __init__(self, after: int, **options: Any) -> None:
        super().__init__(**options)
        self.after = after

    def _count(self, module: Any, inputs: Any) -> None:
        super()._count(module, inputs)
        if self.passes > self.after:
            raise RuntimeError("the device is\ngone")


class FailsInTraining(TinyBackbone):
    """A network that raises as soon as it is trained."""

    def _count(self, module: Any, inputs: Any) -> None:
        super()._count(module, inputs)
        if torch.is_grad_enabled() and any(p.requires_grad for p in module.parameters()):
            raise RuntimeError("no gradient today")


def test_a_backbone_that_fails_halfway_costs_a_few_trials_no_more(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> None:
    bad = Failing(10**9, widths=(6, 8, 10), seed=2)
    install(monkeypatch, tiny=TinyBackbone(), bad=bad, wide=TinyBackbone((6, 8, 10, 12), seed=3))
    real = trials_module.Loop.run

    def run(loop: Any) -> str:
        bad.after = bad.passes + 3  # the first trial that uses it breaks it
        return real(loop)

    monkeypatch.setattr(trials_module.Loop, "run", run)
    result = search(data, trials=16, out=tmp_path / "run", backbones=["tiny", "bad", "wide"], without=["enqueued"])
    trials = result.table[result.table["kind"] == "trial"]
    failed = trials[(trials["backbone"] == "bad") & trials["reason"].str.contains("the device is gone")]
    assert len(trials) == 16
    assert 1 <= len(failed) < 0.15 * len(trials)
    assert set(failed["state"]) == {"pruned"}
    assert set(trials[trials["state"] == "complete"]["backbone"]) >= {"tiny", "wide"}
    assert automl_tl.load(result.bundle).classes == ("apple", "leaf", "sky")


def test_a_backbone_that_cannot_be_trained_does_not_end_the_search(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> None:
    install(monkeypatch, tiny=TinyBackbone(), bad=FailsInTraining(widths=(6, 8, 10)))
    result = search(data, trials=3, out=tmp_path / "run")
    assert set(result.table["backbone"]) == {"tiny"}
    assert any(note.startswith("bad is left out: ") and "could not be trained" in note for note in result.notes)
    assert automl_tl.load(result.bundle).classes == ("apple", "leaf", "sky")
    with pytest.raises(BackboneError, match="could not be trained for a step"):
        search(data, trials=3, out=tmp_path / "named", backbones=["tiny", "bad"])  # one that was asked for


def test_a_backbone_that_fails_in_every_trial_leaves_the_sweep(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no gradient\ntoday")

    monkeypatch.setattr(trials_module, "score_trained", fail)
    result = search(data, trials=6, out=tmp_path / "run", backbones=["tiny"])
    assert result.best.training == "frozen"
    assert result.stopped_because == "every backbone has failed"
    assert result.table["reason"].eq("RuntimeError: no gradient today").sum() == 2
    assert automl_tl.load(result.bundle).classes == ("apple", "leaf", "sky")


def test_a_trial_that_breaks_in_its_numbers_blames_no_backbone(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from automl_tl.learning.finetune import TrainingError

    def diverge(*args: Any, **kwargs: Any) -> Any:
        raise TrainingError("the loss became nan at a head learning rate of 0.001")

    monkeypatch.setattr(trials_module, "score_trained", diverge)
    result = search(data, trials=4, out=tmp_path / "run", backbones=["tiny"])
    assert result.n_trials == 4
    assert result.best.training == "frozen"
    assert result.table["reason"].str.contains("the loss became nan").sum() >= 2


def interrupt_at(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = trials_module.score_trained, []

    def score(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(trials_module, "score_trained", score)


def test_an_interrupted_search_delivers_what_it_has(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(2, monkeypatch)
    result = search(data, trials=6, out=tmp_path / "run", backbones=["tiny"])
    assert result.stopped_because == "it was interrupted"
    assert result.n_trials == 1  # the other one counts when the run goes on
    assert dict(effort(result.summary, result.table))["tried"].endswith("then 1 trial; 1 trial interrupted")
    of_trials = result.table[result.table["kind"] == "trial"]  # where nothing of the sweep was asked for
    assert dict(effort(result.summary, of_trials))["tried"] == "1 trial; 1 trial interrupted"
    assert automl_tl.load(result.bundle).predict(sorted(data.rglob("*.png"))[:3])
    assert (tmp_path / "run" / "result.json").exists()
    assert result.table["reason"].eq("interrupted").sum() == 1


def test_a_signal_while_the_leaderboard_is_written_does_not_cost_it(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(table: pd.DataFrame, path: Path) -> None:
        written.append(len(table))
        if len(written) == 1:
            raise KeyboardInterrupt
        write_leaderboard(table, path)

    written: list[int] = []
    monkeypatch.setattr("automl_tl.searcher.search.write_leaderboard", write)
    with pytest.raises(KeyboardInterrupt):
        search(data, trials=1, out=tmp_path / "run", backbones=["tiny"])
    assert len(pd.read_csv(tmp_path / "run" / "leaderboard.csv")) == written[1] > 1


def test_there_is_a_model_as_soon_as_anything_is_known(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("automl_tl.searcher.preparation.assess", stop)
    with pytest.raises(KeyboardInterrupt):
        search(data, trials=6, out=tmp_path / "run", backbones=["tiny"])
    assert automl_tl.load(tmp_path / "run" / "bundle").predict(sorted(data.rglob("*.png"))[:3])


# --- going on ---------------------------------------------------------------------------------------


def test_a_resumed_run_keeps_what_is_done_and_goes_on(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as once:
        interrupt_at(3, once)
        first = search(data, trials=6, out=out, backbones=["tiny"])
    done = board(first).query("state == 'complete'").set_index("number")
    passes = tiny.passes
    result = search(data, trials=6, out=out, backbones=["tiny"], resume=True)
    assert result.n_trials == 6
    again = board(result).set_index("number").loc[done.index]
    pd.testing.assert_frame_equal(again.reindex(columns=done.columns), done, check_dtype=False)
    assert (result.table["kind"] == "sweep").sum() == (first.table["kind"] == "sweep").sum()
    assert tiny.passes > passes
    assert automl_tl.load(result.bundle).classes == ("apple", "leaf", "sky")
    more = search(data, trials=7, out=out, backbones=["tiny"], resume=True)
    assert more.n_trials == 7


def test_a_killed_process_loses_one_trial(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill leaves: a trial that runs, half a line in the journal, half a file of scores."""
    out = tmp_path / "run"

    class Killed(BaseException):
        pass

    calls: list[int] = []
    real = trials_module.score_trained

    def score(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(trials_module, "score_trained", score)
    with pytest.raises(Killed):
        search(data, trials=4, out=out, backbones=["tiny"])
    with open(out / "study.journal", "ab") as file:
        file.write(b'{"op_code": 5, "wor')
    (out / "trials" / "999.tmp").write_bytes(b"\x01")
    result = search(data, trials=10, out=out, backbones=["tiny"], resume=True)
    trials = result.table[result.table["kind"] == "trial"].set_index("number").sort_index()
    lost = trials[trials["state"] == "failed"]
    assert len(lost) == 1
    retried = trials.loc[lost.index[0] + 1 :]
    same = ["strategy", "backbone", "cuts", "param.unfrozen_stages", "param.epochs"]
    assert any((row[same] == lost.iloc[0][same]).all() for _, row in retried.iterrows())
    assert (trials["state"] == "complete").sum() >= 2


def test_pictures_become_square_as_tells_them_apart_best_and_stay_so_when_a_run_goes_on(
    tiny: TinyBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = told_apart_by("middle", tmp_path / "data"), tmp_path / "run"
    first = search(data, trials=1, out=out, backbones=["tiny"])
    assert first.report.fit == automl_tl.load(first.bundle).fit == "crop"
    with monkeypatch.context() as later:
        later.setattr("automl_tl.searcher.kept_fit.with_best_fit", lambda lab, *_: lab.with_fit("pad", "now"))
        again = search(data, trials=2, out=out, backbones=["tiny"], resume=True)
    assert (again.report.fit, again.report.fit_reason) == ("crop", first.report.fit_reason)
    assert set(board(first)["number"]) < set(board(again)["number"])


def test_a_run_that_was_ended_before_its_features_keeps_its_choice(
    tiny: TinyBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = told_apart_by("middle", tmp_path / "data"), tmp_path / "run"
    with monkeypatch.context() as once:
        once.setattr("automl_tl.searcher.search.prepare", interrupted)
        with pytest.raises(KeyboardInterrupt):
            search(data, trials=1, out=out, backbones=["tiny"])
    monkeypatch.setattr("automl_tl.searcher.kept_fit.with_best_fit", lambda lab, *_: lab.with_fit("pad", "now"))
    assert search(data, trials=1, out=out, backbones=["tiny"], resume=True).report.fit == "crop"


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_run_that_an_earlier_version_began_goes_on_as_sizes_say(tiny: TinyBackbone, tmp_path: Path) -> None:
    data, out = told_apart_by("middle", tmp_path / "data"), tmp_path / "run"
    search(data, trials=1, out=out, backbones=["tiny"])
    (out / "fit.json").unlink()
    assert search(data, trials=2, out=out, backbones=["tiny"], resume=True).report.fit == "squash"


@pytest.mark.slow
def test_a_run_with_a_budget_ends_and_goes_on_with_another(tiny: TinyBackbone, data: Path, tmp_path: Path) -> None:
    first = search(data, budget=10, out=tmp_path / "run", backbones=["tiny"])
    assert first.budget == 10
    assert automl_tl.load(first.bundle).classes == ("apple", "leaf", "sky")
    again = search(data, budget=120, trials=first.n_trials + 2, out=tmp_path / "run", backbones=["tiny"], resume=True)
    assert again.n_trials >= first.n_trials
    assert set(first.table["number"]) <= set(again.table["number"])


def test_a_resumed_run_without_time_to_try_anything_keeps_what_it_has(
    tiny: TinyBackbone, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    first = search(data, trials=1, out=out)
    before = (first.bundle / "SHA256SUMS").read_text()
    with pytest.raises(OptionError, match=r"the budget of 20 s is used up by getting ready.*--budget"):
        search(data, budget="20s", out=out, resume=True, started=time.monotonic() - 19)
    assert (first.bundle / "SHA256SUMS").read_text() == before
    assert search(data, trials=2, out=out, resume=True).n_trials == 2


def moved(sample: Sample) -> Sample:
    return replace(sample, pictures=tuple(replace(one, path=f"moved/{one.path}") for one in sample.pictures))


def other_pictures(sample: Sample) -> Sample:
    return replace(sample, pictures=tuple(Picture(p.path, f"{i + 1000:064x}") for i, p in enumerate(sample.pictures)))


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda sample: sample, True),
        (moved, True),
        (other_pictures, False),
        (lambda sample: replace(sample, y=1 - sample.y), False),
        (lambda sample: replace(sample, folds=sample.folds[::-1].copy()), False),
    ],
    ids=["itself", "moved", "other pictures", "other labels", "other folds"],
)
def test_scores_of_other_pictures_are_not_taken_for_these(change: Any, same: bool) -> None:
    """With a budget the sample follows from what a picture costs, which is measured anew when a run goes on."""
    before, now = bare_task(np.arange(40) % 2), bare_task(np.arange(40) % 2)
    kept = outcome(before, 0.8, configuration=TUNED, rows=np.arange(10), sample=before.digest)
    now = replace(now, sample=change(now.sample), features=cast(Any, {"tiny": None}))
    assert comparable(now, [kept]) == ([kept] if same else [])


@pytest.mark.parametrize(("configuration", "counts"), [(TUNED, True), (RIDGE, False)], ids=["trained", "frozen"])
def test_scores_of_an_earlier_trainer_count_only_where_nothing_is_solved_again(
    configuration: Configuration, counts: bool
) -> None:
    task = replace(bare_task(np.arange(40) % 2), features=cast(Any, {"tiny": None}))
    now = outcome(task, 0.8, configuration=configuration, rows=np.arange(10), sample=task.digest)
    before = replace(now, trainer=TRAINER_VERSION - 1)
    assert [o.configuration for o in comparable(task, [now])] == [configuration]
    assert len(comparable(task, [before])) == counts


def test_a_frozen_candidate_of_an_earlier_session_is_worth_what_its_scores_say() -> None:
    """It is no part of what a run keeps: a run of before has none, and one from elsewhere may say anything."""
    task = replace(bare_task(np.arange(40) % 2), features=cast(Any, {"tiny": None}))
    now = outcome(task, 0.8, sample=task.digest)
    (kept,) = comparable(task, [replace(now, merit=1e9)])
    assert kept.merit == pytest.approx(now.merit)


NARROW, WIDE = TinyBackbone((1, 1, 1), seed=1), TinyBackbone((8, 12, 16, 20))


def other_session(monkeypatch: pytest.MonkeyPatch, data: Path, out: Path, before: Any, after: Any, **more: Any) -> Any:
    """Begin a run with some backbones, and go on with others, as with another amount of time."""
    install(monkeypatch, **before)
    search(data, trials=3, out=out, **more)
    install(monkeypatch, **after)
    return search(data, trials=6, out=out, resume=True, **more)


def test_a_run_goes_on_without_a_backbone_that_it_began_with(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> None:
    """The best model of before was of that one."""
    both = {"tiny": NARROW, "wide": WIDE}
    result = other_session(monkeypatch, data, tmp_path / "run", both, {"tiny": NARROW}, without=["enqueued"])
    later = result.table[(result.table["kind"] == "trial") & (result.table["number"] > 3)]
    refused = later[later["backbone"] == "wide"]
    assert refused["reason"].isin(["wide is not used in this session", ""]).all()
    assert {member.backbone for member in result.members} == {"tiny"}
    assert result.n_trials == 6


@pytest.mark.parametrize("strategies", [(), ("fine_tuning",)])
def test_a_run_goes_on_beside_a_backbone_that_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path, strategies: tuple[str, ...]
) -> None:
    both = {"tiny": NARROW, "wide": WIDE}
    result = other_session(monkeypatch, data, tmp_path / "run", {"tiny": NARROW}, both, strategies=strategies)
    assert set(result.table["backbone"]) == {"tiny"}
    assert result.n_trials == 6


def test_a_run_is_not_begun_twice_nor_resumed_otherwise(tiny: TinyBackbone, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(OptionError, match="holds no run to resume"):
        search(data, trials=1, out=out, backbones=["tiny"], resume=True)
    search(data, trials=1, out=out, backbones=["tiny"])
    with pytest.raises(OptionError, match="holds a run already"):
        search(data, trials=1, out=out, backbones=["tiny"])
    with pytest.raises(OptionError, match="it was begun with --metric accuracy, not with --metric log_loss"):
        search(data, trials=1, out=out, backbones=["tiny"], resume=True, metric="log_loss")
    with pytest.raises(OptionError, match="it was begun with --backbone tiny, not without --backbone"):
        search(data, trials=1, out=out, resume=True)
    (data / "sky" / "000.png").unlink()
    (data / "sky" / "001.png").rename(data / "leaf" / "new.png")
    with pytest.raises(OptionError, match="the pictures have changed: 1 gone, 0 new, 1 with another label"):
        search(data, trials=1, out=out, backbones=["tiny"], resume=True)


def test_a_run_from_before_pictures_were_kept_says_less(tiny: TinyBackbone, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    search(data, trials=1, out=out)
    (out / "pictures.json").unlink()
    (data / "sky" / "000.png").unlink()
    with pytest.raises(OptionError, match="cannot be resumed: the pictures have changed; resume it as it was begun"):
        search(data, trials=1, out=out, resume=True)


# --- what makes no sense ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trials": 0}, "--trials must be at least 1, but is 0"),
        ({"budget": 3.0}, "a budget must be 10 s or more, to look at the pictures at all, but is 3 s"),
        ({"budget": -1.0}, "a budget must be 10 s or more, .* but is -1 s"),
        ({"budget": float("nan")}, "a budget must be 10 s or more, .* but is nan s"),
        ({"budget": float("inf")}, "budget"),
        ({"max_params": -5}, "--max-params must be at least 1, but is -5"),
        ({"metric": "f1"}, "--metric must be one of accuracy, .*, but is 'f1'"),
        ({"strategies": ["tuning\x1b"]}, r"but is 'tuning\\x1b'"),
        ({"without": ["hope"]}, "but is 'hope'"),
        ({"resume": True}, "--resume needs --out"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_fail_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match=said):
        search(tmp_path / "nowhere", **options)
    assert not list(tmp_path.iterdir())


def test_a_limit_of_memory_is_refused_where_memory_cannot_be_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    with pytest.raises(OptionError, match=r"--max-memory needs Linux or macOS: .*; leave it out"):
        search(tmp_path, max_memory=10**9)


@pytest.mark.parametrize("inside", ["", "run", "apple/deep/run"])
def test_a_run_among_the_pictures_is_refused(data: Path, inside: str) -> None:
    before = sorted(data.rglob("*"))
    with pytest.raises(OptionError, match=r"lies in the data .*, where it would become a class: give an --out outside"):
        search(data, trials=1, out=data / inside)
    assert sorted(data.rglob("*")) == before


def test_a_second_search_in_one_folder_is_refused_before_anything_is_read(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    monkeypatch.setattr("automl_tl.searcher.search.open_lab", lambda *_: read.append(1))
    with (
        RunFolder(tmp_path / "run").claimed(),
        pytest.raises(OptionError, match="another search is running"),
    ):
        search(data, trials=1, out=tmp_path / "run")
    assert not read


def test_a_folder_of_the_users_own_stays(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(DataError):
        search(tmp_path / "nowhere", trials=1, out=tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())


def test_python_takes_what_the_command_line_takes(tiny: TinyBackbone, data: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"a budget must be 10 s or more, .* but is 5 s"):
        search(data, budget="5s")
    with pytest.raises(OptionError, match="'soon' is no duration"):
        automl_tl.recommend(data, budget="soon")
    result = search(data, trials=1, backbones="tiny", strategies="feature_extractor", out=tmp_path / "run")
    assert automl_tl.load(tmp_path / "run").classes == automl_tl.load(result.bundle).classes


def test_a_wrong_path_leaves_no_run_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError):
        search(tmp_path / "nowhere", trials=1)
    assert not list(tmp_path.iterdir())


def test_a_limit_of_size_is_kept(tiny: TinyBackbone, data: Path, tmp_path: Path) -> None:
    """The first two stages have 1,140 parameters, all three 2,916."""
    result = search(data, trials=4, out=tmp_path / "run", backbones=["tiny"], max_params=2000)
    assert max(result.best.cuts) <= 2
    refused = result.table[result.table["reason"].str.contains("more than 2,000")]
    assert (refused["state"] == "pruned").all()
    with pytest.raises(OptionError, match="no backbone fits: tiny up to stage 1 has"):
        search(data, trials=4, out=tmp_path / "other", backbones=["tiny"], max_params=10)


def test_a_limit_that_leaves_nothing_of_a_strategy_is_kept(tiny: TinyBackbone, data: Path, tmp_path: Path) -> None:
    """A single stage is no late cut of three, so there is no feature extractor that is small enough."""
    options: Any = {"strategies": ["feature_extractor"], "max_params": 300}
    try:
        result = search(data, trials=2, out=tmp_path / "run", backbones=["tiny"], **options)
    except OptionError:
        return
    assert max(result.best.cuts) == 1


def test_what_is_tried_first_keeps_the_limit(tiny: TinyBackbone, data: Path, tmp_path: Path) -> None:
    result = search(data, trials=3, out=tmp_path / "run", backbones=["tiny"], max_params=300)
    first = result.table[result.table["kind"] == "trial"].sort_values("number").iloc[0]
    assert first["reason"] == ""


def test_a_backbone_that_is_too_large_is_left_out_with_a_note(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> None:
    install(monkeypatch, tiny=TinyBackbone(), wide=TinyBackbone((64, 64)))
    result = search(data, trials=1, out=tmp_path / "run", max_params=1000, without=["trained"])
    assert "wide is left out: wide up to stage 1 has 1,920 parameters, more than 1,000" in result.notes


def test_a_limit_of_latency_is_kept(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("automl_tl.searcher.space.limits.latencies", lambda *_: (0.001, 0.002, 0.003))
    result = search(data, trials=5, out=tmp_path / "run", backbones=["tiny"], max_latency_ms=2.0)
    assert max(result.best.cuts) <= 2
    assert len(result.members) == 1  # an ensemble would take longer
    later = result.table[result.table["cuts"].str.contains("3") & (result.table["kind"] == "trial")]
    assert (later["reason"] == "tiny up to stage 3 takes 3.0 ms a picture, more than 2").all()


def test_a_budget_too_short_for_the_classes_is_refused(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three pictures of each of three classes, one second each, are nine of the ten seconds."""
    monkeypatch.setattr("automl_tl.lab.lab.Lab.picture_seconds", lambda *_: 1.0)
    with pytest.raises(OptionError, match=r"too short for 3 classes: .* takes more than half of it; give --budget 18s"):
        search(data, budget=10.0, out=tmp_path / "run", backbones=["tiny"])


# --- mixing and memory ------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [True, False])
def test_pictures_are_mixed_where_there_are_many(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    monkeypatch.setattr("automl_tl.searcher.space.space_for.MANY_PICTURES", 42 if many else 43)
    mixed: list[tuple[float, float]] = []
    real = trainer.finetune

    def finetune(tunable: Any, y: Any, rows: Any, recipe: Any, **more: Any) -> Any:
        mixed.append((recipe.mixup, recipe.cutmix))
        return real(tunable, y, rows, recipe, **more)

    monkeypatch.setattr(trainer, "finetune", finetune)
    options: Any = {"strategies": ["pretrained_initialization"], "without": ["enqueued", "ensemble"]}
    result = search(data, trials=2, out=tmp_path / "run", backbones=["tiny"], **options)
    trials = result.table[result.table["kind"] == "trial"].sort_values("number")
    assert ("param.mixup" in trials) == ("param.cutmix" in trials) == many
    if many:
        asked = list(zip(trials["param.mixup"], trials["param.cutmix"], strict=True))
        assert [mixed[0], mixed[2]] == asked  # of two folds each
        assert len(set(asked)) == 2
    else:
        assert set(mixed) == {(0.0, 0.0)}


def test_a_trial_that_takes_too_much_memory_ends_and_nothing_is_kept(
    tiny: TinyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from automl_tl.learning.activations import ActivationCache

    kept: list[int] = []
    real = ActivationCache.batch

    def batch(self: ActivationCache, *args: Any) -> Any:
        answer = real(self, *args)
        kept.append(len(self._variants))
        return answer

    monkeypatch.setattr(ActivationCache, "batch", batch)
    result = search(data, trials=3, out=tmp_path / "run", backbones=["tiny"], max_memory=10**8)
    trials = result.table[result.table["kind"] == "trial"]
    ended = trials["reason"].str.contains("of memory, more than the 0.1 GB allowed")
    assert ended.all()  # the frozen ones too
    assert trials["strategy"].isin(["fine_tuning", "pretrained_initialization"]).any()
    assert result.best.training == "frozen"
    assert not any(kept)
