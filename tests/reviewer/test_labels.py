"""Labels that were made wrong are found, by classifiers that have not learned from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from generated_pictures import MakePictures, picture, told_apart_by
from tiny_backbone import TinyBackbone
from tiny_models import register

import automl_tl
from automl_tl.errors import DataError, OptionError
from automl_tl.model.evaluation import Answer
from automl_tl.monitor import Epoch, Silent
from automl_tl.searcher.run_folder import RunFolder


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> TinyBackbone:
    backbone = TinyBackbone()
    register(monkeypatch, backbone)
    monkeypatch.setenv("AUTOML_TL_PREFLIGHT_SECONDS", "0")
    monkeypatch.setattr("automl_tl.lab.recommended.epochs_for", lambda n: 5)
    return backbone


@pytest.fixture
def mislabelled(make_pictures: MakePictures) -> Path:
    """Three classes of 12 pictures, of which two lie in the folder of another class."""
    root = make_pictures(per_class=12)
    (root / "apple" / "000.png").rename(root / "sky" / "wrong.png")
    (root / "leaf" / "000.png").rename(root / "apple" / "wrong.png")
    return root


WRONG = {"sky/wrong.png": ("sky", "apple"), "apple/wrong.png": ("apple", "leaf")}


def named(answers: Sequence[Answer]) -> dict[str, tuple[str, str]]:
    return {"/".join(Path(one.path).parts[-2:]): (one.given, one.predicted) for one in answers}


def test_wrong_labels_are_found(mislabelled: Path) -> None:
    report = automl_tl.labels(mislabelled, device="cpu")
    assert named(report.evaluation.by_loss()[:2]) == WRONG
    assert report.suspects == report.evaluation.by_loss()[: len(report.suspects)]  # the least believed are listed
    assert 1 <= len(report.suspects) <= 2
    assert report.suspects[-1].given_probability < 0.1
    assert report.evaluation.n == 36
    assert report.evaluation.accuracy == pytest.approx(34 / 36)
    assert [one.backbone for one in report.voters] == ["tiny"]
    assert report.n_folds == 10


def test_pictures_become_square_as_tells_them_apart_best(tmp_path: Path) -> None:
    report = automl_tl.labels(told_apart_by("middle", tmp_path / "data"), device="cpu")
    assert report.quality.fit == "crop"
    assert report.evaluation.accuracy == 1.0


def test_right_labels_are_not_doubted(make_pictures: MakePictures) -> None:
    assert automl_tl.labels(make_pictures(per_class=12), device="cpu").suspects == ()


def test_every_part_of_a_split_is_judged(make_pictures: MakePictures, tmp_path: Path) -> None:
    for seed, part in enumerate(("train", "val", "test")):
        make_pictures(tmp_path / "data" / part, per_class=5, seed=seed)
    (tmp_path / "data/test/apple/000.png").rename(tmp_path / "data/test/sky/wrong.png")
    report = automl_tl.labels(tmp_path / "data", device="cpu")
    assert report.evaluation.n == 45
    assert named(report.evaluation.by_loss()[:1]) == {"sky/wrong.png": ("sky", "apple")}


def test_json_values_say_what_was_found(mislabelled: Path) -> None:
    values = json.loads(json.dumps(automl_tl.labels(mislabelled, device="cpu").to_dict(), allow_nan=False))
    assert values["schema_version"] == 1
    assert values["n_judged"] == 36
    assert values["n_suspects"] == len(values["suspects"]) >= 1
    assert set(values["suspects"][0]) == {"path", "given", "likely", "confidence", "given_probability"}
    assert values["conflicts"] == []
    assert values["voters"][0]["backbone"] == "tiny"


def grouped(folder: Path, groups: dict[str, list[str]]) -> Path:
    """Write pictures and a table of them; of each class one picture of each of the groups."""
    rows = []
    for kind, (label, names) in enumerate(groups.items()):
        for index, group in enumerate(names):
            picture(kind, index).save(folder / f"{label}{index}.png")
            rows.append((f"{label}{index}.png", label, group))
    pd.DataFrame(rows, columns=["path", "label", "patient"]).to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def test_a_class_of_one_group_is_not_judged(tmp_path: Path) -> None:
    table = grouped(tmp_path, {"a": list("pqrstu"), "b": list("pqrstu"), "c": ["v"] * 6})
    report = automl_tl.labels(table, device="cpu", group_column="patient")
    assert report.evaluation.n == 12
    assert {one.given for one in report.suspects} <= {"a", "b"}
    assert any("The labels of 'c' (1 of 3 classes) were not judged" in note for note in report.notes)


def test_classes_of_one_group_each_cannot_be_judged(tmp_path: Path) -> None:
    table = grouped(tmp_path, {"a": ["p"] * 6, "b": ["q"] * 6})
    with pytest.raises(DataError, match=r"No label of .* can be judged"):
        automl_tl.labels(table, device="cpu", group_column="patient")


# --- with a run -------------------------------------------------------------------------------------


class Watching(Silent):
    def __init__(self) -> None:
        self.epochs: list[Epoch] = []

    def learned(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)


def test_what_a_run_has_trained_votes_as_well(mislabelled: Path, tmp_path: Path) -> None:
    automl_tl.train(mislabelled, out=tmp_path / "run", device="cpu", strategy="fine_tuning")
    watching = Watching()
    report = automl_tl.labels(mislabelled, device="cpu", run=tmp_path / "run", monitor=watching)
    assert [one.strategy for one in report.voters][-1] == "fine_tuning"
    assert len(report.voters) == 2
    assert report.n_folds == 5
    assert len(watching.epochs) == 5 * report.voters[-1].tuned.all_epochs  # once without each fold
    assert np.isfinite(report.evaluation.probabilities).all()
    assert named(report.evaluation.by_loss()[:2]) == WRONG


def test_the_members_of_a_search_are_what_is_delivered(mislabelled: Path, tmp_path: Path) -> None:
    result = automl_tl.search(mislabelled, out=tmp_path / "run", device="cpu", trials=2)
    assert RunFolder(tmp_path / "run").delivered() == result.members


@pytest.mark.parametrize("content", [None, "{}", '{"members": [{"training": 3}]}', "[]", "no json"])
def test_no_finished_run_is_one_sentence_before_any_work(
    mislabelled: Path, tmp_path: Path, tiny: TinyBackbone, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    with pytest.raises(OptionError, match="holds no finished run; give the --out folder"):
        automl_tl.labels(mislabelled, run=tmp_path)
    assert tiny.passes == 0
