"""Folders that are the parts of a split, and folders that only look like it."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from automl_tl.data.dataset import ImageDataset, open_dataset
from automl_tl.errors import AutomlTlError, DataError, OptionError

Grow = Callable[..., Path]


def counts(dataset: ImageDataset) -> dict[tuple[str, str], int]:
    return dict(Counter(zip(dataset.frame["label"], dataset.frame["split"], strict=True)))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set", "test_set"),
        ("train", "eval"),
        ("Train", "Evaluation"),
        ("training", "holdout"),
        ("train-data", "test-data"),
        ("TrainSet", "TestSet"),
        ("training_images", "testing_images"),
    ],
)
def test_well_known_names_are_a_split(grow: Grow, train: str, test: str) -> None:
    dataset = open_dataset(grow({f"{train}/cats": 3, f"{train}/dogs": 3, f"{test}/cats": 2, f"{test}/dogs": 2}))
    assert counts(dataset) == {("cats", "train"): 3, ("dogs", "train"): 3, ("cats", "test"): 2, ("dogs", "test"): 2}


def test_the_layout_of_the_most_copied_tutorial(grow: Grow) -> None:
    tree = {f"{part}/{label}": 2 for part in ("training_set", "test_set") for label in ("cats", "dogs")}
    dataset = open_dataset(grow({**tree, "single_prediction": 2}))
    assert dataset.classes == ("cats", "dogs")
    assert len(dataset) == 8
    assert "'single_prediction' lie in no class folder and are left out" in dataset.notes[0]
    assert {one.reason for one in dataset.skipped} == {"lies beside the parts of the split, so it has no class"}


@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_a_folder_is_found_whatever_system_has_written_its_accents(grow: Grow, written: Any) -> None:
    folder = unicodedata.normalize(written, "prüfung")
    tree = {f"{part}/{label}": 2 for part in ("lernen", folder) for label in ("cats", "dogs")}
    for typed in ("NFC", "NFD"):
        parts = {"lernen": "train", unicodedata.normalize(typed, "prüfung"): "test"}  # type: ignore[arg-type]
        assert counts(open_dataset(grow(tree), split_folders=parts))["dogs", "test"] == 2


def test_a_part_may_lie_in_a_folder_of_its_own_name(grow: Grow) -> None:
    tree = {f"{part}/{part}/{label}": 2 for part in ("training_set", "test_set") for label in ("cats", "dogs")}
    assert counts(open_dataset(grow(tree)))["dogs", "test"] == 2


@pytest.mark.parametrize("names", [("fold0", "fold1", "fold2"), ("bad", "good"), ("train", "test", "extra")])
def test_unknown_names_over_the_same_folders_are_an_error(grow: Grow, names: tuple[str, ...]) -> None:
    with pytest.raises(DataError) as caught:
        open_dataset(grow({f"{name}/{label}": 2 for name in names for label in ("cats", "dogs")}))
    message = str(caught.value)
    assert all(f"'{name}'" in message for name in names)
    assert "('cats', 'dogs')" in message
    assert f"--split-folder {names[-1]}=test" in message
    assert "--split-folder none" in message


def test_the_user_says_which_folder_is_which_part(grow: Grow) -> None:
    root = grow({f"fold{k}/{label}": k + 2 for k in range(3) for label in "ab"})
    dataset = open_dataset(root, split_folders={"fold0": "train", "fold1": "val", "fold2": "testing"})
    assert counts(dataset)["b", "train"] == 2
    assert counts(dataset)["b", "val"] == 3
    assert counts(dataset)["a", "test"] == 4


def test_the_user_says_that_there_is_no_split(grow: Grow) -> None:
    dataset = open_dataset(
        grow({f"{kind}/{label}": 2 for kind in ("train", "bus") for label in "ab"}), split_folders={}
    )
    assert dataset.classes == ("bus", "train")
    assert not dataset.has_given_splits


def test_all_parts_must_be_named(grow: Grow) -> None:
    root = grow({f"fold{k}/{label}": 2 for k in range(3) for label in "ab"})
    with pytest.raises(DataError, match="--split-folder fold2=test"):
        open_dataset(root, split_folders={"fold0": "train", "fold1": "test"})


@pytest.mark.parametrize(
    ("given", "told"),
    [({"fold9": "test"}, "there is no 'fold9' among 'fold0', 'fold1'"), ({"fold0": "later"}, "'later'")],
)
def test_parts_that_cannot_be(grow: Grow, given: dict[str, str], told: str) -> None:
    root = grow({f"fold{k}/{label}": 2 for k in range(2) for label in "ab"})
    with pytest.raises(OptionError, match=told):
        open_dataset(root, split_folders=given)


def test_parts_without_class_folders_are_no_classes(grow: Grow) -> None:
    root = grow({"train": 2, "test": 2})
    with pytest.raises(DataError, match="holds only parts of a split"):
        open_dataset(root)
    assert open_dataset(root, split_folders={}).classes == ("test", "train")


def test_a_part_beside_a_class_cannot_be_told(grow: Grow) -> None:
    with pytest.raises(DataError, match="a part of a split or a class, as 'bus' lies beside it"):
        open_dataset(grow({"train/ice": 2, "train/tgv": 2, "bus": 2}))


def test_a_class_that_is_called_as_a_part_is_a_class(grow: Grow) -> None:
    dataset = open_dataset(grow({"train": 2, "bus": 2}))
    assert dataset.classes == ("bus", "train")
    assert "'bus' lies beside it" in dataset.notes[0]


def test_folders_within_classes_are_taken_together_with_a_remark(grow: Grow) -> None:
    dataset = open_dataset(grow({"animals/cats": 2, "animals/dogs": 2, "plants/roses": 2, "plants/palms": 2}))
    assert dataset.classes == ("animals", "plants")
    (note,) = dataset.notes
    assert "'animals' ('cats', 'dogs') are taken together as one class (and so it is with 1 more)" in note


def test_no_layout_of_parts_is_ever_classes_in_silence(grow: Grow, tmp_path: Path) -> None:
    names = ("train", "Test", "eval", "fold1", "a", "batch-7")
    for first in names:
        for second in set(names) - {first}:
            root = grow({f"{part}/{label}": 2 for part in (first, second) for label in "xy"}, tmp_path / first / second)
            try:
                classes = open_dataset(root).classes
            except AutomlTlError as error:
                classes = ("x", "y") if "--split-folder" in str(error) else ()
            assert classes == ("x", "y")
