"""One configuration trained to completion: the recommended one, or what is asked for; as a search's trial of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from generated_pictures import MakePictures, told_apart_by
from tasks import TUNED, install, space
from tiny_backbone import TinyBackbone

import automl_tl
from automl_tl.data.dataset import open_dataset
from automl_tl.errors import OptionError
from automl_tl.learning import trainer
from automl_tl.learning.trainer import TRAINER_VERSION
from automl_tl.model.evaluate import evaluate
from automl_tl.monitor import Epoch, Silent
from automl_tl.options import ConfigurationOptions
from automl_tl.searcher import asked
from automl_tl.searcher import train as module
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.strategies import STRATEGIES

TRAINED = STRATEGIES[2:]
EPOCHS = 5


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, tiny=TinyBackbone())
    monkeypatch.setattr("automl_tl.lab.recommended.epochs_for", lambda n: EPOCHS)


@pytest.fixture
def data(make_pictures: MakePictures) -> Path:
    return make_pictures(per_class=12)


def train(data: Path, out: Path, **options: Any) -> automl_tl.TrainResult:
    return automl_tl.train(data, out=out, device="cpu", **options)


def kept(run: Path, number: int = 0) -> Outcome:
    (outcome,) = RunFolder(run).load([number])
    return outcome


# --- how pictures become square ---------------------------------------------------------------------


def test_pictures_become_square_as_tells_them_apart_best(tmp_path: Path) -> None:
    result = train(told_apart_by("middle", tmp_path / "data"), tmp_path / "run", strategy="feature_extractor")
    assert result.report.fit == automl_tl.load(result.bundle).fit == "crop"


# --- what is trained --------------------------------------------------------------------------------


def test_without_options_it_is_what_is_recommended(data: Path, tmp_path: Path) -> None:
    said = automl_tl.recommend(data, device="cpu")
    done = train(data, tmp_path / "run")
    assert done.configuration.strategy == done.recommended == said.strategy
    assert done.configuration.backbone == said.frozen.backbone
    if done.configuration.training == "frozen":
        assert done.configuration.cuts == said.frozen.source.cuts
        assert done.configuration.frozen.classifier == said.frozen.path.kind


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_gives_a_bundle_that_predicts(data: Path, tmp_path: Path, strategy: str) -> None:
    done = train(data, tmp_path / "run", strategy=strategy)
    assert done.configuration.strategy == strategy
    model = automl_tl.load(done.bundle)
    again = evaluate(model, open_dataset(data, train=False), split="all")
    assert again.accuracy >= done.validation.accuracy - 0.2
    assert len(model.members) == 1
    written = json.loads((done.bundle / "bundle.json").read_text("utf-8"))
    assert written["configuration"]["trainer"] == TRAINER_VERSION
    assert written["configuration"]["members"] == [done.configuration.to_dict()]
    assert written["metrics"]["validation"]["accuracy"] == done.validation.accuracy
    assert written["data"]["per_class"] == {"apple": 12, "leaf": 12, "sky": 12}
    result = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))
    assert result["configuration"] == json.loads(json.dumps(done.configuration.to_dict()))


def test_what_is_asked_for_is_trained_and_nothing_else(data: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "epochs": 3, "head_lr": 2e-3, "lr_ratio": 4.0, "layer_decay": 0.8, "layers": "fully_connected",
        "head_epochs": 1, "weight_decay": 0.01, "batchnorm": "adapting", "warmup": 0.1,
        "label_smoothing": 0.05, "mixup": 0.1, "cutmix": 0.2,
    }  # fmt: skip
    done = train(
        data, tmp_path / "run", strategy="fine_tuning", cuts=[3, 2], pooling="mean+std", unfreeze=1, balanced=True,
        augmentation="none", **given,
    )  # fmt: skip
    configuration = done.configuration
    assert (configuration.cuts, configuration.pooling, configuration.balanced) == ((2, 3), "mean+std", True)
    assert {name: getattr(configuration.tuned, name) for name in given} == given
    assert configuration.tuned.unfrozen == 1
    assert configuration.tuned.policy == trainer.Configuration.from_dict(configuration.to_dict()).tuned.policy
    assert configuration.tuned.policy.hflip == configuration.tuned.policy.rotation == 0
    assert [epoch.number for epoch in done.history] == [1, 2, 3, 4]


def test_a_backbone_without_batchnorm_is_not_asked_about_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tiny=TinyBackbone(batchnorm=False))
    with pytest.raises(OptionError, match="--batchnorm means nothing to tiny, which has none: leave it out"):
        train(data, tmp_path / "run", strategy="fine_tuning", batchnorm="adapting")


def test_a_frozen_one_is_solved_as_it_is_asked_for(data: Path, tmp_path: Path) -> None:
    done = train(
        data, tmp_path / "run", strategy="early_feature_extractor", cuts=(1,), pooling="grid", classifier="softmax",
        penalty=0.5, views="plain",
    )  # fmt: skip
    configuration = done.configuration
    assert (configuration.strategy, configuration.cuts) == ("early_feature_extractor", (1,))
    assert configuration.pooling == "grid"
    assert (configuration.frozen.classifier, configuration.frozen.penalty) == ("softmax", 0.5)
    assert done.history == ()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"cuts": (9,)}, "--cuts must be from 1 to 3, the stages of tiny, but has 9"),
        (
            {"strategy": "feature_extractor", "cuts": (1,)},
            "--cuts 1 of the 3 stages of tiny is early_feature_extractor",
        ),
        ({"strategy": "feature_extractor", "epochs": 3}, "--epochs means nothing to the strategy feature_extractor"),
        ({"strategy": "fine_tuning", "penalty": 1.0}, "leave it out, or give --strategy feature_extractor"),
        (
            {"strategy": "feature_extractor", "classifier": "ridge", "balanced": True},
            "--balanced means nothing to ridge",
        ),
        ({"strategy": "pretrained_initialization", "unfreeze": 1}, "--unfreeze means nothing"),
        ({"strategy": "fine_tuning", "unfreeze": 4}, "--unfreeze must be at most 3, the stages up to the last cut"),
    ],
)
def test_what_cannot_be_trained_is_a_sentence(
    data: Path, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(OptionError, match=sentence):
        train(data, tmp_path / "run", **options)
    RunFolder(tmp_path / "run").check(resume=False)  # another try may use the same folder


def test_a_run_among_the_pictures_is_refused(data: Path) -> None:
    with pytest.raises(OptionError, match=r"lies in the data .* where it would become a class: give an --out outside"):
        train(data, data / "run")
    assert not (data / "run").exists()


def test_what_a_backbone_has_no_room_for_is_a_sentence() -> None:
    """Stage 3 of this one puts out what is too small for quarters, and no map."""
    small = replace(space(), maps={"tiny": frozenset({1, 2}), "wide": frozenset()})
    with pytest.raises(OptionError, match="--pooling grid needs quarters, which stage 3 of tiny does not"):
        asked._check_source(replace(TUNED, pooling="grid"), small)
    with pytest.raises(
        OptionError, match="--pooling mean\\+patches needs the last stage alone, and a class token there"
    ):
        asked._check_source(replace(TUNED, pooling="mean+patches"), small)
    with pytest.raises(OptionError, match="--layers convolution needs a map, but stage 3 of tiny puts out tokens"):
        asked._changed_recipe(TUNED, ConfigurationOptions(layers="convolution"), small)


# --- the same trainer -------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", TRAINED)
def test_it_reaches_what_the_search_s_trial_reached_on_the_same_fold(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    """To the digit: the same seed, fold, start and trainer."""
    monkeypatch.setattr("automl_tl.searcher.trials.openings.FOLDS_BY_SIZE", ((1000, 1),))
    searched = automl_tl.search(data, trials=1, out=tmp_path / "search", device="cpu", strategies=[strategy])
    trial = searched.table[searched.table["kind"] == "trial"].iloc[0]
    theirs = kept(tmp_path / "search", int(trial["number"]))
    done = train(data, tmp_path / "train", strategy=strategy)
    ours = kept(tmp_path / "train")
    assert ours.configuration == theirs.configuration == done.configuration
    np.testing.assert_array_equal(ours.rows, theirs.rows)
    np.testing.assert_array_equal(ours.scores, theirs.scores)
    assert done.value == ours.value == theirs.value
    assert [epoch.loss for epoch in ours.history] == [epoch.loss for epoch in theirs.history]


def test_another_seed_is_another_training(data: Path, tmp_path: Path) -> None:
    first, again, other = (
        train(data, tmp_path / name, strategy="fine_tuning", seed=seed).history[-1].loss
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again != other


# --- what is learned from, and what is told ---------------------------------------------------------


def test_the_test_part_is_looked_at_once_at_the_end(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        (str(path), path.parent.name, "test" if int(path.stem) % 4 == 0 else "train") for path in data.rglob("*.png")
    ]
    table = tmp_path / "table.csv"
    pd.DataFrame(rows, columns=["path", "label", "split"]).to_csv(table, index=False)
    events: list[tuple[str, set[str]]] = []
    real_train, real_tested = trainer.train, module.tested

    def learn(material: Any, configuration: Any, some: np.ndarray, *rest: Any, **more: Any) -> Any:
        events.append(("trained", {str(len(material.y))}))
        return real_train(material, configuration, some, *rest, **more)

    def tested(*arguments: Any) -> Any:
        events.append(("tested", set()))
        return real_tested(*arguments)

    monkeypatch.setattr("automl_tl.searcher.trials.trained.train", learn)
    monkeypatch.setattr(module, "tested", tested)
    done = train(table, tmp_path / "run", strategy="fine_tuning")
    n_test = sum(part == "test" for _, _, part in rows)
    assert [name for name, _ in events] == ["trained", "trained", "tested"]
    assert events[0][1] == {str(len(rows) - n_test)}  # no trainer ever holds a test picture
    assert done.test is not None
    assert done.test.n == n_test
    assert done.n_training == len(rows) - n_test
    model = automl_tl.load(done.bundle)
    assert done.test.accuracy == evaluate(model, open_dataset(table, train=False), split="test").accuracy


def test_validation_pictures_are_not_learned_from_before_they_are_scored(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[set[int]] = []
    real = trainer.finetune

    def finetune(tunable: Any, y: Any, rows: np.ndarray, *rest: Any, **more: Any) -> Any:
        learned.append(set(rows.tolist()))
        return real(tunable, y, rows, *rest, **more)

    monkeypatch.setattr(trainer, "finetune", finetune)
    done = train(data, tmp_path / "run", strategy="fine_tuning")
    scored = set(kept(tmp_path / "run").rows.tolist())
    first, last = learned
    assert not first & scored
    assert first | scored == last == set(range(done.n_training))
    assert done.validation.n == len(scored)


def test_every_epoch_is_told_with_its_score_and_kept(data: Path, tmp_path: Path) -> None:
    class Watching(Silent):
        def __init__(self) -> None:
            self.epochs: list[Epoch] = []

        def learned(self, epoch: Epoch) -> None:
            self.epochs.append(epoch)

    watching = Watching()
    done = train(data, tmp_path / "run", strategy="fine_tuning", monitor=watching)
    validated, refit = watching.epochs[:EPOCHS], watching.epochs[EPOCHS:]
    assert [epoch.number for epoch in validated] == [epoch.number for epoch in refit] == [*range(1, EPOCHS + 1)]
    assert all(epoch.score is not None for epoch in done.history)
    assert all(epoch.score is None for epoch in refit)
    assert validated[:-1] == list(done.history[:-1])
    assert replace(done.history[-1], score=None) == validated[-1]
    assert done.history[-1].score == done.value
    assert kept(tmp_path / "run").history == done.history


def test_a_folder_that_holds_a_run_is_refused(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "run", strategy="feature_extractor")
    with pytest.raises(OptionError, match="holds a run already"):
        train(data, tmp_path / "run")
    with pytest.raises(OptionError, match="holds a run of train, which cannot be resumed"):
        automl_tl.search(data, trials=1, out=tmp_path / "run", resume=True, device="cpu")


def test_a_folder_that_another_run_has_begun_is_refused_before_any_picture_is_opened(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("automl_tl.searcher.train.open_lab", lambda *_, **__: pytest.fail("opened"))
    with RunFolder(tmp_path / "run").claimed(), pytest.raises(OptionError, match="another search is running in"):
        train(data, tmp_path / "run", backbones=["tiny"])
