"""The metrics against numbers that were worked out by hand, and what counts and what does not."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from generated_pictures import MakePictures
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tiny_models import CLASSES, trained_model

from automl_tl.data.dataset import open_dataset
from automl_tl.errors import DataError, OptionError
from automl_tl.model.evaluate import evaluate
from automl_tl.model.evaluation import Answer, calibration_error, evaluate_probabilities
from automl_tl.model.model import Model

# Truth a, a, a, b, b, c; said a, a, b, b, c, a.
Y = np.array([0, 0, 0, 1, 1, 2])
P = np.array(
    [
        [0.8, 0.1, 0.1, 0.0],
        [0.6, 0.2, 0.2, 0.0],
        [0.3, 0.5, 0.2, 0.0],
        [0.1, 0.7, 0.2, 0.0],
        [0.1, 0.4, 0.5, 0.0],
        [0.9, 0.0, 0.1, 0.0],
    ]
)


def test_the_numbers_are_those_worked_out_by_hand() -> None:
    result = evaluate_probabilities(Y, P, ("a", "b", "c", "d"))
    assert result.n == 6
    assert result.accuracy == pytest.approx(3 / 6)
    assert result.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert result.macro_f1 == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)  # F1 of a 2*2/(3+3), of b 2*1/(2+2)
    assert result.log_loss == pytest.approx(-np.log([0.8, 0.6, 0.3, 0.7, 0.4, 0.1]).mean())
    # Of 15 bins .5 (two, both wrong), .6 (right) and .7 (right) have their own, as .8 (right) and .9 (wrong) do.
    assert result.ece == pytest.approx((2 * 0.5 + 0.4 + 0.3 + 0.2 + 0.9) / 6)
    assert result.confusion.tolist() == [[2, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    a, b, c, d = result.per_class
    assert (a.label, a.n) == ("a", 3)
    assert (a.precision, a.recall, a.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert (b.precision, b.recall, b.f1, b.n) == pytest.approx((1 / 2, 1 / 2, 1 / 2, 2))
    assert (c.precision, c.recall, c.f1, c.n) == pytest.approx((0, 0, 0, 1))
    assert d.n == 0
    assert all(math.isnan(value) for value in (d.precision, d.recall, d.f1))


def test_every_answer_is_kept_for_whoever_looks_further() -> None:
    result = evaluate_probabilities(Y, P, ("a", "b", "c", "d"))
    assert result.right.tolist() == [True, True, False, True, False, False]
    assert np.allclose(result.probabilities, P)
    assert {"y", "probabilities", "paths"}.isdisjoint(result.to_dict())


def test_answers_are_in_the_order_of_their_losses() -> None:
    result = replace(evaluate_probabilities(Y, P, ("a", "b", "c", "d")), paths=tuple("uvwxyz"))
    answers = result.by_loss()
    assert [one.path for one in answers] == ["z", "w", "y", "v", "x", "u"]
    assert answers[0] == Answer("z", "c", "a", pytest.approx(0.9), pytest.approx(0.1))
    assert -np.log([one.given_probability for one in answers]).mean() == pytest.approx(result.log_loss)


def test_certainty_that_is_wrong_has_a_finite_loss() -> None:
    result = evaluate_probabilities(np.array([1, 0]), np.array([[1.0, 0.0], [1.0, 0.0]]), ("a", "b"))
    assert 10 < result.log_loss < 50


def test_float32_probabilities_raise_no_warning(warnings_raised: Callable[[], list[str]]) -> None:
    rows = np.random.default_rng(0).dirichlet(np.ones(7), 50).astype(np.float32)
    evaluate_probabilities(np.arange(50) % 7, rows, tuple("abcdefg"))
    assert warnings_raised() == []


@pytest.mark.parametrize(
    ("y", "shape", "n_classes"), [([], (0, 2), 2), ([0], (1, 3), 2), ([0, 1], (1, 2), 2), ([0], (1, 1), 1)]
)
def test_shapes_that_do_not_fit(y: list[int], shape: tuple[int, int], n_classes: int) -> None:
    with pytest.raises(ValueError, match="pictures and"):
        evaluate_probabilities(np.array(y, dtype=int), np.full(shape, 1 / shape[1]), tuple("abc"[:n_classes]))


def test_the_bins_are_closed_above() -> None:
    confidence = np.array([1 / 15, 1 / 15 + 1e-9])  # the upper end of the first bin, and just beyond it
    right = np.array([True, False])
    assert calibration_error(right, confidence) == pytest.approx((14 / 15 + 1 / 15) / 2)
    assert calibration_error(right, np.array([0.07, 0.08])) == pytest.approx(abs(1 - 0.15) / 2)  # one bin


def test_perfect_and_hopeless_calibration() -> None:
    assert calibration_error(np.array([True, False]), np.array([0.5, 0.5])) == 0
    assert calibration_error(np.zeros(9, bool), np.ones(9)) == 1
    assert calibration_error(np.ones(9, bool), np.zeros(9)) == 1


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(
    arrays(bool, n), arrays(float, n, elements=st.floats(0, 1, width=32)), st.integers(1, 20))))  # fmt: skip
def test_the_calibration_error_is_at_least_the_gap_of_the_means_and_at_most_that_of_each(
    case: tuple[np.ndarray, np.ndarray, int],
) -> None:
    right, confidence, bins = case
    found = calibration_error(right, confidence, bins)
    assert abs(right.mean() - confidence.mean()) - 1e-9 <= found <= np.abs(right - confidence).mean() + 1e-9
    assert 0 <= found <= 1 + 1e-9


def test_numbers_are_plain_json() -> None:
    values = json.loads(json.dumps(evaluate_probabilities(Y, P, ("a", "b", "c", "d")).to_dict(), allow_nan=False))
    assert values["per_class"][3] == {"label": "d", "precision": None, "recall": None, "f1": None, "n": 0}
    assert values["confusion"][0] == [2, 1, 0, 0]
    assert values["accuracy"] == 0.5
    assert (values["errors"], values["notes"]) == ([], [])


# --- on pictures ------------------------------------------------------------------------------------


@pytest.fixture
def model(pictures: Path) -> Model:
    return trained_model(pictures)


def test_a_model_knows_its_own_pictures(model: Model, pictures: Path) -> None:
    result = evaluate(model, open_dataset(pictures, train=False))
    assert result.accuracy == 1.0
    assert result.classes == CLASSES
    assert result.confusion.tolist() == np.diag([6, 6, 6]).tolist()
    assert result.notes == ()


def test_a_wrong_label_is_one_mistake(model: Model, pictures: Path) -> None:
    (pictures / "apple" / "000.png").rename(pictures / "sky" / "moved.png")
    result = evaluate(model, open_dataset(pictures, train=False))
    assert result.accuracy == pytest.approx(17 / 18)
    assert result.confusion[2].tolist() == [1, 0, 6]
    (wrong,) = np.flatnonzero(~result.right)
    assert Path(result.paths[wrong]).name == "moved.png"


def test_classes_that_the_model_does_not_know_are_counted_and_left_out(
    model: Model, pictures: Path, make_pictures: MakePictures
) -> None:
    make_pictures(pictures, classes=["moon", "[b]mars"], per_class=2, seed=5)
    result = evaluate(model, open_dataset(pictures, train=False))
    assert (result.n, result.accuracy) == (18, 1.0)
    assert any("does not know '[b]mars', 'moon': 4 pictures left out" in note for note in result.notes)


def test_no_class_that_the_model_knows(model: Model, make_pictures: MakePictures, tmp_path: Path) -> None:
    data = make_pictures(tmp_path / "other", classes=["moon", "mars"], per_class=1)
    with pytest.raises(DataError, match="knows none of the classes 'mars', 'moon'"):
        evaluate(model, open_dataset(data, train=False))


def test_one_picture_of_one_class_is_enough(model: Model, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "d" / "sky").mkdir(parents=True)
    shutil.copy(pictures / "sky" / "000.png", tmp_path / "d" / "sky")
    result = evaluate(model, open_dataset(tmp_path / "d", train=False))
    assert (result.n, result.accuracy, result.balanced_accuracy, result.macro_f1) == (1, 1.0, 1.0, 1.0)


def test_unreadable_pictures_do_not_count(model: Model, pictures: Path) -> None:
    (pictures / "apple" / "000.png").write_bytes(b"x")
    result = evaluate(model, open_dataset(pictures, train=False))
    assert (result.n, result.accuracy) == (17, 1.0)
    assert [(Path(one.path).name, one.reason) for one in result.errors] == [("000.png", "not a picture")]
    assert any("1 picture left out" in note for note in result.notes)


def test_nothing_readable(model: Model, pictures: Path) -> None:
    for file in pictures.rglob("*.png"):
        file.write_bytes(b"x")
    with pytest.raises(DataError, match=r"None of the 18 pictures .* not a picture"):
        evaluate(model, open_dataset(pictures, train=False))


@pytest.fixture
def parts(make_pictures: MakePictures, tmp_path: Path) -> Path:
    for seed, (part, n) in enumerate((("train", 4), ("valid", 3), ("test", 2))):
        make_pictures(tmp_path / "parts" / part, per_class=n, seed=seed)
    return tmp_path / "parts"


@pytest.mark.parametrize(("split", "n"), [(None, 6), ("test", 6), ("val", 9), ("train", 12), ("all", 27)])
def test_the_test_part_counts_unless_another_is_asked_for(model: Model, parts: Path, split: str | None, n: int) -> None:
    result = evaluate(model, open_dataset(parts, train=False), split=split)
    assert result.n == n
    part = {None: "test"}.get(split, split)
    said = f"Only the given '{part}' part counts: {n} of 27 pictures."
    assert (said in result.notes) is (split != "all")


def test_data_that_is_a_test_part_alone_is_that_part(model: Model, pictures: Path, tmp_path: Path) -> None:
    files = sorted(pictures.rglob("*.png"))
    table = tmp_path / "test.csv"
    table.write_text("\n".join(["path,label,split", *(f"{file},{file.parent.name},test" for file in files)]))
    dataset = open_dataset(table, train=False)
    assert evaluate(model, dataset, split="test").n == evaluate(model, dataset).n == len(files)
    with pytest.raises(OptionError, match="no pictures for 'val'"):
        evaluate(model, dataset, split="val")


def test_a_part_that_is_not_there(model: Model, pictures: Path, parts: Path) -> None:
    with pytest.raises(OptionError, match="it gives no split"):
        evaluate(model, open_dataset(pictures, train=False), split="test")
    shutil.rmtree(parts / "test")
    with pytest.raises(OptionError, match=r"no pictures for 'test' \(it has only train and val\)"):
        evaluate(model, open_dataset(parts, train=False))
    with pytest.raises(OptionError, match="must be one of"):
        evaluate(model, open_dataset(parts, train=False), split="dev")


def test_a_model_evaluates_itself(make_pictures: MakePictures) -> None:
    folder = make_pictures()
    model = trained_model(folder)
    found = model.evaluate(folder)
    assert found.to_dict() == evaluate(model, open_dataset(folder, train=False)).to_dict()
    table = pd.DataFrame({"file": [str(path) for path in sorted(folder.rglob("*.png"))]})
    table["kind"] = [Path(path).parent.name for path in table["file"]]
    again = model.evaluate(table, path_column="file", label_column="kind")
    assert (again.n, again.accuracy) == (found.n, found.accuracy)
    with pytest.raises(OptionError, match="gives no split"):
        model.evaluate(folder, split="test")
