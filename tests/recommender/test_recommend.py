"""The whole way from pictures to a recommendation, with a small backbone so that it takes seconds."""

from __future__ import annotations

import io
import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from generated_pictures import MakePictures, told_apart_by, write_pictures
from rich.console import Console
from tiny_backbone import TinyBackbone

import automl_tl
from automl_tl.cli.recommend_page import recommendation_page
from automl_tl.data.decode import Preprocessing, preprocess
from automl_tl.data.majority import Majority
from automl_tl.data.measure import measure
from automl_tl.data.source import Source
from automl_tl.errors import BackboneError, DataError, OptionError
from automl_tl.lab import considered, expectations, networks, timing
from automl_tl.lab.decision import FrontRow
from automl_tl.lab.lab import open_lab
from automl_tl.lab.matrix import place
from automl_tl.learning import trainer
from automl_tl.learning.classifiers import solve_classifier
from automl_tl.learning.finetune import Trained, TrainingError
from automl_tl.monitor import Epoch, Progress, Silent, unheeded
from automl_tl.options import LabOptions
from automl_tl.recommender import short_training
from automl_tl.recommender.reasons import matrix_sentence
from automl_tl.recommender.recommendation import Recommendation
from automl_tl.report.facts.recommendation import what_to_do
from automl_tl.strategies import FROZEN

Recommend = Callable[..., Recommendation]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> dict[str, TinyBackbone]:
    """Replace the installed backbones by two small ones."""
    backbones = {"tiny": TinyBackbone(), "wide": TinyBackbone((8, 12, 16, 24, 32), seed=3)}
    monkeypatch.setattr(networks, "get_backbone", backbones.__getitem__)
    monkeypatch.setattr(considered, "local_backbones", lambda: ["tiny"])
    return backbones


def shown(result: Recommendation) -> str:
    """Return the page as text."""
    console = Console(width=100, file=io.StringIO(), force_terminal=False)
    with console.capture() as capture:
        console.print(*recommendation_page(result, ()))
    return capture.get()


@pytest.fixture
def data(make_pictures: MakePictures) -> Path:
    return make_pictures(per_class=12)


def test_the_json_has_what_it_promises(tiny: dict[str, TinyBackbone], data: Path) -> None:
    result = automl_tl.recommend(data)
    values = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert values["schema_version"] == 1
    assert values["dataset"]["n_images"] == 36
    assert values["dataset"]["images_per_class"] == {"min": 12, "median": 12, "max": 12}
    assert (values["size"]["verdict"] == "large") == (values["size"]["ratio"] >= 1)
    assert values["domain"]["verdict"] in ("similar", "borderline", "different", "unknown")
    assert len(values["domain"]["by_depth"]) == 3
    assert [d["backbone"] for d in values["domains"]] == ["tiny"]
    strategy = values["strategy"]
    assert strategy["backbone"] == "tiny"
    assert strategy["cut"] == max(strategy["cuts"]) <= strategy["n_stages"] == 3
    assert {"pooling", "unfreeze", "lr_ratio", "head", "augmentation"} <= set(strategy)
    low, high = values["expected"]["interval"]
    assert 0 <= low <= values["expected"]["accuracy"] <= high <= 1
    assert {row["strategy"] for row in values["front"]} >= {"feature_extractor", "fine_tuning"}
    assert all(row["seconds"] > 0 for row in values["front"])
    assert (strategy["augmentation"] is None) == strategy["name"].endswith("extractor")
    assert {"backbone", "cuts", "pooling", "accuracy", "stderr"} <= set(values["probe"][0])
    assert values["reasons"]
    assert values["seconds"]["total"] > 0


def test_a_second_run_does_no_forward_pass_and_says_the_same(tiny: dict[str, TinyBackbone], data: Path) -> None:
    first = automl_tl.recommend(data)
    before = tiny["tiny"].passes
    again = automl_tl.recommend(data)
    assert tiny["tiny"].passes == before + 1  # the preflight of the built network
    assert without_seconds(first) == without_seconds(again)


def without_seconds(result: Recommendation) -> dict[str, Any]:
    values = result.to_dict()
    del values["seconds"]
    for row in values["front"]:
        del row["seconds"]
    return values


def split_table(root: Path, test: Path, path: Path) -> Path:
    rows = [
        (str(p), p.parent.name, part)
        for part, folder in (("train", root), ("test", test))
        for p in folder.rglob("*.png")
    ]
    pd.DataFrame(rows, columns=["path", "label", "split"]).to_csv(path, index=False)
    return path


def test_test_pictures_change_nothing(tiny: dict[str, TinyBackbone], data: Path, tmp_path: Path) -> None:
    """Other test pictures, and even wrong labels on them, give the same recommendation."""
    write_pictures(tmp_path / "a", per_class=4, seed=50)
    write_pictures(tmp_path / "b", classes=("sky", "apple", "leaf"), per_class=7, seed=60)
    results = [
        without_seconds(automl_tl.recommend(split_table(data, tmp_path / name, tmp_path / f"{name}.csv")))
        for name in ("a", "b")
    ]
    for values in results:
        del values["dataset"], values["notes"]
    assert results[0] == results[1]


def test_reasons_change_with_the_data(
    tiny: dict[str, TinyBackbone], make_pictures: MakePictures, tmp_path: Path
) -> None:
    few = automl_tl.recommend(make_pictures(tmp_path / "few", per_class=8))
    many = automl_tl.recommend(make_pictures(tmp_path / "many", per_class=(14, 12, 11)))
    assert few.reasons[1].startswith("24 training pictures, a median of 8 per class, are ")
    assert many.reasons[1].startswith("37 training pictures, a median of 12 per class, are ")
    assert few.reasons[1].partition("this is")[2] != many.reasons[1].partition("this is")[2]
    grey = tmp_path / "grey"
    shutil.copytree(tmp_path / "many", grey)
    for number, file in enumerate(sorted(grey.rglob("*.png"))):
        noise = np.random.default_rng(number).integers(0, 2, (48, 48, 3)) * 255
        from PIL import Image

        Image.fromarray(noise.astype(np.uint8)).save(file)
    noise_result = automl_tl.recommend(grey)
    assert noise_result.domain.distance != many.domain.distance
    assert noise_result.reasons[0] != many.reasons[0]
    assert noise_result.estimate.accuracy < many.estimate.accuracy


def test_two_pictures_a_class_measure_no_learning_curve(
    tiny: dict[str, TinyBackbone], make_pictures: MakePictures, tmp_path: Path
) -> None:
    result = automl_tl.recommend(make_pictures(tmp_path / "two", per_class=2))
    assert not any("twice as many" in reason for reason in result.reasons)
    assert result.to_dict()["learning_curve"]["gain_with_twice_as_many"] is None


def test_a_single_picture_is_said_not_to_be_measured_and_nothing_else(
    tiny: dict[str, TinyBackbone], make_pictures: MakePictures, tmp_path: Path
) -> None:
    result = automl_tl.recommend(make_pictures(tmp_path / "rare", classes=("neg", "pos"), per_class=(20, 1)))
    told = [*result.report.warnings, *result.notes, *result.reasons]
    assert [text for text in told if "'pos'" in text and "cannot be measured" in text]
    assert not [text for text in told if "pos (0% right" in text or "group" in text or "middle class" in text]
    assert result.majority == Majority("neg", 20 / 21)
    assert [text for text in result.reasons if text.startswith("Always answering 'neg' scores 95.2%")]
    assert math.isnan(result.balanced_accuracy)
    assert result.to_dict()["expected"]["majority_accuracy"] == 0.9524
    page = " ".join(shown(result).split())
    assert "always answering 'neg' scores 95.2%; the balanced accuracy cannot be measured" in page


def test_balanced_classes_need_no_constant_answer(tiny: dict[str, TinyBackbone], data: Path) -> None:
    result = automl_tl.recommend(data)
    assert result.majority is None
    assert 0 <= result.balanced_accuracy <= 1
    assert "always answering" not in shown(result)


def test_every_number_in_a_reason_is_the_result_s_own(tiny: dict[str, TinyBackbone], data: Path) -> None:
    result = automl_tl.recommend(data)
    text = " ".join(result.reasons)
    assert f"{result.estimate.accuracy:.1%}" in text
    assert f"{result.estimate.interval[0]:.1%} to {result.estimate.interval[1]:.1%}" in text
    assert f"{100 * result.curve.step(36, 72)[0]:+.1f} points with twice as many" in text
    for pair in result.confusion.pairs:
        assert f"{pair.true} taken for {pair.predicted} ({pair.count} of them" in text
        true, predicted = (result.confusion.classes.index(label) for label in (pair.true, pair.predicted))
        assert result.confusion.counts[true, predicted] == pair.count
    assert result.confusion.counts.sum() == result.n_sampled


def test_what_is_frozen_is_not_augmented(tiny: dict[str, TinyBackbone], data: Path) -> None:
    """`train` of a frozen strategy varies no picture, so nothing of the kind is recommended."""
    result = automl_tl.recommend(data)
    for strategy, is_varied in (("feature_extractor", False), ("fine_tuning", True)):
        chosen = replace(result, strategy=strategy)
        assert (chosen.to_dict()["strategy"]["augmentation"] is not None) == is_varied
        assert ("augmentation" in dict(what_to_do(chosen))) == is_varied


def test_another_metric_is_said_where_it_has_chosen(tiny: dict[str, TinyBackbone], data: Path) -> None:
    result = automl_tl.recommend(data, metric="log_loss", backbones=["tiny", "wide"])
    assert "log_loss chooses backbone, cut and classifier" in shown(result)
    (why,) = [reason for reason in result.reasons if f"{result.frozen.backbone} before" in reason]
    assert why.endswith("; chosen by log_loss.")
    assert "chosen by" not in " ".join(automl_tl.recommend(data, backbones=["tiny", "wide"]).reasons)


def test_where_the_verdict_and_the_column_of_the_matrix_differ_the_reason_says_why(
    tiny: dict[str, TinyBackbone], data: Path
) -> None:
    domain = replace(automl_tl.recommend(data).domain, verdict="different", different=0.91)
    told = matrix_sentence(place(0.1, 0.91, border=0.98), domain)
    assert told.startswith("The matrix names feature_extractor")
    assert told.endswith("is better only from a probability of 98% on, and here it is 91%.")
    leaning = replace(domain, verdict="borderline", different=0.6)
    assert matrix_sentence(place(0.1, 0.6, border=0.98), leaning).endswith("98% on, and here it is 60%.")
    assert "on the panel" not in matrix_sentence(place(0.1, 0.4, border=0.98), replace(leaning, different=0.4))
    assert "on the panel" not in matrix_sentence(place(0.1, 0.99, border=0.98), replace(domain, different=0.99))


def test_several_backbones_are_compared_on_the_same_pictures(tiny: dict[str, TinyBackbone], data: Path) -> None:
    result = automl_tl.recommend(data, backbones=["tiny", "wide"])
    assert {d.backbone for d in result.domains} == {"tiny", "wide"}
    assert {c.backbone for c in result.probe} == {"tiny", "wide"}
    assert f"{result.frozen.backbone} before" in " ".join(result.reasons)
    assert result.domain.backbone == result.frozen.backbone


def test_a_sample_is_drawn_and_said(tiny: dict[str, TinyBackbone], data: Path) -> None:
    result = automl_tl.recommend(data, max_images=15)
    assert result.n_sampled == 15
    assert result.n_training == 36
    assert "a stratified sample of 15 of 36 training pictures" in " ".join(result.reasons)


def test_of_very_many_pictures_a_sample_is_opened_for_this_answer_alone(
    tiny: dict[str, TinyBackbone], make_pictures: MakePictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = counted_openings(monkeypatch)
    data = make_pictures(per_class=20)
    monkeypatch.setattr("automl_tl.recommender.recommend.MOST_SCANNED", 30)
    result = automl_tl.recommend(data)
    assert len(set(opened)) == len(opened) == 30
    assert (result.report.n_images, result.n_training, result.n_sampled) == (30, 60, 30)
    assert result.size.n_images == 60
    assert result.to_dict()["dataset"]["drawn_from"] == 60
    page = shown(result)
    assert "30 of 60 (stratified) in 3 classes (20 each); about 60 for training" in page
    assert "Of 60 pictures a stratified sample of 30 was opened, for this answer alone" in " ".join(page.split())
    assert automl_tl.recommend(data, max_images=25).report.n_images == 50
    assert len(open_lab(data, LabOptions()).dataset.frame) == 60


def counted_openings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the name of every picture that is scanned."""
    names: list[str] = []

    def counted(source: Source) -> np.ndarray:
        names.append(source.name)
        return measure(source)

    monkeypatch.setattr("automl_tl.data.measurements.measure", counted)
    return names


def test_backbones_that_prepare_pictures_alike_have_each_decoded_once(
    tiny: dict[str, TinyBackbone], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: Counter[tuple[str, Preprocessing]] = Counter()

    def counted(source: Source, how: Preprocessing) -> np.ndarray:
        decoded[source.name, how] += 1
        return preprocess(source, how)

    monkeypatch.setattr("automl_tl.features.pixels.preprocess", counted)
    result = automl_tl.recommend(data, backbones=["tiny", "wide"], try_training=True)
    assert {candidate.backbone for candidate in result.probe} == {"tiny", "wide"}
    assert any(row.tried for row in result.front)
    assert len(decoded) == result.n_training == 36
    assert set(decoded.values()) == {1}


def test_a_budget_shows_in_the_choice(
    tiny: dict[str, TinyBackbone], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*arguments: Any) -> object:
        time.sleep(0.002)
        return solve_classifier(*arguments)

    monkeypatch.setattr(expectations, "solve_classifier", slowly)
    result = automl_tl.recommend(data, budget=0.001)
    assert any("fits the budget" in reason for reason in result.reasons)
    assert result.to_dict()["budget"] == 0.001


def test_groups_stay_together(tiny: dict[str, TinyBackbone], data: Path, tmp_path: Path) -> None:
    """Pictures that are near copies of one another flatter the probe unless they are one group."""
    rows = [(str(p), p.parent.name, f"{p.parent.name}{int(p.stem) // 4}") for p in sorted(data.rglob("*.png"))]
    table = tmp_path / "t.csv"
    pd.DataFrame(rows, columns=["path", "label", "patient"]).to_csv(table, index=False)
    result = automl_tl.recommend(table, group_column="patient")
    assert result.n_training == 36


def test_classes_of_one_group_are_said(tiny: dict[str, TinyBackbone], data: Path, tmp_path: Path) -> None:
    rows = [(str(p), p.parent.name, p.parent.name) for p in sorted(data.rglob("*.png"))]
    table = tmp_path / "t.csv"
    pd.DataFrame(rows, columns=["path", "label", "patient"]).to_csv(table, index=False)
    result = automl_tl.recommend(table, group_column="patient")
    assert any("are of one group each" in note for note in result.notes)
    pd.DataFrame([(*row[:2], "one") for row in rows], columns=["path", "label", "patient"]).to_csv(table, index=False)
    with pytest.raises(DataError, match=r"All 36 training pictures are of one group, .*: give two or more"):
        automl_tl.recommend(table, group_column="patient")


def test_pictures_become_square_as_tells_them_apart_best(tiny: dict[str, TinyBackbone], tmp_path: Path) -> None:
    result = automl_tl.recommend(told_apart_by("middle", tmp_path / "data"))
    assert result.report.fit == result.to_dict()["dataset"]["fit"] == "crop"
    assert "cutting out the middle tells these pictures apart better than squashing" in result.report.fit_reason


def test_held_aside_pictures_do_not_decide_how_pictures_become_square(
    tiny: dict[str, TinyBackbone], data: Path, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "wide", per_class=12, size=(120, 40), seed=9)
    result = automl_tl.recommend(split_table(data, tmp_path / "wide", tmp_path / "t.csv"))
    assert result.report.fit == "crop"


class Noting(Silent):
    """A monitor that notes what is done."""

    def __init__(self) -> None:
        self.activities: list[str] = []

    @contextmanager
    def activity(self, name: str) -> Iterator[Progress]:
        self.activities.append(name)
        yield unheeded


def test_a_monitor_is_told_of_every_activity(tiny: dict[str, TinyBackbone], data: Path) -> None:
    monitor = Noting()
    automl_tl.recommend(data, monitor=monitor)
    assert monitor.activities[0] == "Reading pictures"
    assert "Features of tiny" in monitor.activities
    assert "Screening feature sources" in monitor.activities


def test_a_broken_backbone_is_left_out_with_a_note_unless_it_was_asked_for(
    tiny: dict[str, TinyBackbone], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(TinyBackbone):
        def build(self, *, pretrained: bool = True) -> Any:
            raise RuntimeError("no network today")

    tiny["broken"] = Broken()
    monkeypatch.setattr(considered, "local_backbones", lambda: ["broken", "tiny"])
    result = automl_tl.recommend(data)
    assert result.frozen.backbone == "tiny"
    assert any("broken is left out" in note and "no network today" in note for note in result.notes)
    with pytest.raises(BackboneError, match="no network today"):
        automl_tl.recommend(data, backbones=["broken"])


def test_a_wrong_metric_fails_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="but is 'bleu'"):
        automl_tl.recommend(tmp_path / "nowhere", metric="bleu")


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_f1", "log_loss"])
def test_every_metric_chooses(tiny: dict[str, TinyBackbone], data: Path, metric: str) -> None:
    result = automl_tl.recommend(data, metric=metric)
    assert result.metric == metric
    assert 0 <= result.estimate.accuracy <= 1


def fine_tuning_row(result: Recommendation) -> FrontRow:
    return next(row for row in result.front if row.strategy == "fine_tuning")


def test_a_short_training_measures_what_was_a_guess(tiny: dict[str, TinyBackbone], data: Path) -> None:
    plain, tried = (automl_tl.recommend(data, try_training=wanted) for wanted in (False, True))
    before, after = fine_tuning_row(plain), fine_tuning_row(tried)
    assert (before.tried, after.tried) == (False, True)
    assert after.gain_stderr < before.gain_stderr
    others = [[row.accuracy for row in result.front if row.strategy != "fine_tuning"] for result in (plain, tried)]
    assert others[0] == others[1]
    (sentence,) = [reason for reason in tried.reasons if reason.startswith("A short fine-tuning")]
    assert "of 36 held-out pictures right" in sentence
    assert tried.seconds["training"] > 0
    assert "training" not in plain.seconds
    assert not any("A short fine-tuning" in reason for reason in plain.reasons)


def test_a_short_training_that_fits_is_the_same_again(tiny: dict[str, TinyBackbone], data: Path) -> None:
    first, again = (automl_tl.recommend(data, try_training=True, seed=3) for _ in range(2))
    assert fine_tuning_row(first).gain == fine_tuning_row(again).gain


def test_without_time_for_a_short_training_a_note_says_so(
    tiny: dict[str, TinyBackbone], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("automl_tl.recommender.recommend.TOTAL_SECONDS", 0.0)
    result = automl_tl.recommend(data, try_training=True)
    assert not fine_tuning_row(result).tried
    assert any(note.startswith("No short fine-tuning was run: what is left of two") for note in result.notes)
    longer = automl_tl.recommend(data, try_training=True, budget=240.0)  # half of it
    assert fine_tuning_row(longer).tried


def test_a_run_cut_short_is_no_evidence(
    tiny: dict[str, TinyBackbone], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slower than was foreseen: four epochs and a part of the fifth."""
    epochs = tuple(Epoch(n, 10, n / 10, 1.0, rate=1e-3, seconds=n) for n in range(1, 6))
    monkeypatch.setattr(trainer, "finetune", lambda *_, **__: Trained(epochs, shortened=True))
    result = automl_tl.recommend(data, try_training=True)
    assert not fine_tuning_row(result).tried
    assert any(note.startswith("No short fine-tuning was run") for note in result.notes)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TrainingError("the loss became nan"), "the loss became nan"),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
        (RuntimeError("a\nplugin's own"), "RuntimeError: a plugin's own"),
    ],
)
def test_a_short_training_that_fails_leaves_the_recommendation(
    tiny: dict[str, TinyBackbone], data: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    plain = automl_tl.recommend(data, try_training=False)
    monkeypatch.setattr(trainer, "finetune", fail)
    result = automl_tl.recommend(data, try_training=True)
    assert f"No short fine-tuning could be run: {said}" in result.notes
    assert result.strategy == plain.strategy
    assert not fine_tuning_row(result).tried


def test_memory_that_does_not_suffice_for_training_costs_no_recommendation(
    tiny: dict[str, TinyBackbone], data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(timing._Step, "_forward", fail)
    result = automl_tl.recommend(data, try_training=False)
    assert fine_tuning_row(result).seconds > 0
    (said,) = [message for message in caplog.messages if "is estimated" in message]
    assert said.startswith("What training tiny takes is estimated: one picture at a time does not fit into memory")


@pytest.mark.parametrize("asked", [None, True])
def test_of_a_backbone_that_cannot_be_trained_no_training_is_recommended(
    tiny: dict[str, TinyBackbone], data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    asked: bool | None,
) -> None:  # fmt: skip
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("element 0 of tensors does not require grad")

    monkeypatch.setattr(timing._Step, "_forward", fail)
    result = automl_tl.recommend(data, try_training=asked)
    assert {row.strategy for row in result.front} <= {"feature_extractor", "early_feature_extractor"}
    assert result.strategy in FROZEN
    assert any(said.startswith("Only what leaves tiny frozen is compared: tiny") for said in caplog.messages)
    trained = result.matrix.cell not in FROZEN
    assert trained == any("cannot be trained here, so" in reason for reason in result.reasons)
    assert recommendation_page(result, (), verbose=True)


def test_a_short_training_leaves_the_backbone_as_it_was(tiny: dict[str, TinyBackbone], data: Path) -> None:
    """A second recommendation in the same process sees pretrained weights."""
    before = without_seconds(automl_tl.recommend(data))
    automl_tl.recommend(data, try_training=True)
    assert without_seconds(automl_tl.recommend(data)) == before


def test_the_short_training_learns_from_no_picture_and_no_group_it_is_scored_on(
    tiny: dict[str, TinyBackbone], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_of = {str(p): f"{p.parent.name}{int(p.stem) // 2}" for p in sorted(data.rglob("*.png"))}
    rows = [(path, Path(path).parent.name, group) for path, group in group_of.items()]
    table = tmp_path / "t.csv"
    pd.DataFrame(rows, columns=["path", "label", "patient"]).to_csv(table, index=False)
    pictures: list[Any] = []
    seen: dict[str, set[int]] = {}
    real_load, real_finetune = short_training.load_pixels, trainer.finetune

    def load(some: Any, *rest: Any, **more: Any) -> Any:
        pictures[:] = some
        return real_load(some, *rest, **more)

    def finetune(tunable: Any, y: Any, rows: Any, *rest: Any, **more: Any) -> Any:
        seen["learned"] = set(rows.tolist())
        return real_finetune(tunable, y, rows, *rest, **more)

    class Tunable(trainer.Tunable):
        def scores(self, rows: np.ndarray) -> np.ndarray:
            seen["scored"] = set(rows.tolist())
            return super().scores(rows)

    monkeypatch.setattr(short_training, "load_pixels", load)
    monkeypatch.setattr(trainer, "finetune", finetune)
    monkeypatch.setattr(trainer, "Tunable", Tunable)
    assert fine_tuning_row(automl_tl.recommend(table, group_column="patient", try_training=True)).tried
    learned, scored = ({pictures[row] for row in seen[name]} for name in ("learned", "scored"))
    assert len(learned) + len(scored) == 36
    assert not {p.sha256 for p in learned} & {p.sha256 for p in scored}
    assert not {group_of[str(p.path)] for p in learned} & {group_of[str(p.path)] for p in scored}
