"""Labelled pictures in memory: tables, arrays, pictures of Pillow, data set objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Subset

from automl_tl.data import ImageDataset, open_dataset, scan
from automl_tl.errors import DataError


@pytest.fixture
def files(pictures: Path) -> list[Path]:
    return sorted(pictures.rglob("*.png"))


@pytest.fixture
def labels(files: list[Path]) -> list[str]:
    return [file.parent.name for file in files]


@pytest.fixture
def array(files: list[Path]) -> np.ndarray:
    return np.stack([np.array(Image.open(file)) for file in files])


def test_labels_may_be_tensors(array: np.ndarray, labels: list[str]) -> None:
    numbers = torch.tensor([("apple", "leaf", "sky").index(label) for label in labels])
    assert open_dataset((array, numbers)).classes == ("0", "1", "2")
    frame = pd.DataFrame({"path": list(array), "label": list(numbers)})
    assert open_dataset(frame).classes == ("0", "1", "2")


class Pairs:
    """A data set as torch has it, read picture by picture."""

    def __init__(self, files: list[Path], labels: list[Any], classes: list[str] | None = None) -> None:
        self.files, self.labels = files, labels
        if classes:
            self.classes = classes

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Image.Image, Any]:
        return Image.open(self.files[index]), self.labels[index]


class Dataset:
    """A data set as `datasets` of Hugging Face has it: columns, their features, rows."""

    def __init__(self, columns: dict[str, list[Any]], features: dict[str, Any], form: str | None = None) -> None:
        self.columns, self.features, self.form = columns, features, form

    @property
    def column_names(self) -> list[str]:
        return list(self.columns)

    def cast_column(self, name: str, feature: Any) -> Dataset:
        return Dataset(self.columns, {**self.features, name: feature}, self.form)

    def with_format(self, form: str | None) -> Dataset:
        return Dataset(self.columns, self.features, form)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key: int | str) -> Any:
        if isinstance(key, str):
            return list(map(np.int64, self.columns[key])) if self.form else self.columns[key]
        row = {name: values[key] for name, values in self.columns.items()}
        for name, feature in self.features.items():
            if getattr(feature, "decode", False):
                row[name] = Image.open(row[name]["path"])
        return row


@dataclass
class ImageFeature:
    decode: bool = True


@dataclass
class ClassLabel:
    names: list[str] = field(default_factory=list)


# What `datasets` calls it is how it is recognised.
ImageFeature.__name__ = "Image"


def hugging_face(files: list[Path], image: str = "image") -> Dataset:
    cells = [{"bytes": file.read_bytes(), "path": str(file)} for file in files]
    names = sorted({file.parent.name for file in files})
    numbers = [names.index(file.parent.name) for file in files]
    return Dataset({image: cells, "label": numbers}, {image: ImageFeature(), "label": ClassLabel(names)})


def fingerprint(data: Any, **options: Any) -> str:
    return scan(open_dataset(data, **options), cache_dir=None)[0].fingerprint


# --- tables -----------------------------------------------------------------------------------------


def test_a_frame_is_a_table(pictures: Path, files: list[Path], labels: list[str]) -> None:
    frame = pd.DataFrame({"file": files, "label": pd.Categorical(labels), "split": "train", "group": range(18)})
    frame.loc[frame.index[::4], "split"] = "test"
    dataset = open_dataset(frame, path_column="file")
    assert dataset.frame["path"].tolist() == [str(file) for file in files]
    assert dataset.frame["split"].value_counts().to_dict() == {"train": 13, "test": 5}
    assert (dataset.frame["group"][17], str(dataset.root), dataset.form) == ("17", "DataFrame", "a DataFrame")
    assert fingerprint(pd.DataFrame({"path": files, "label": labels})) == fingerprint(pictures)


def test_relative_paths_of_a_frame(pictures: Path, labels: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    names = sorted(str(file.relative_to(pictures)) for file in pictures.rglob("*.png"))
    frame = pd.DataFrame({"path": names, "label": labels})
    assert len(open_dataset(frame, image_root=pictures)) == 18
    monkeypatch.chdir(pictures)
    assert len(open_dataset(frame)) == 18


def test_a_frame_that_holds_pictures(pictures: Path, files: list[Path], labels: list[str]) -> None:
    content = [file.read_bytes() for file in files]
    cells = [{"bytes": one, "path": None} for one in content]
    for column in (content, cells):
        frame = pd.DataFrame({"Image": column, "label": labels})
        assert fingerprint(frame, path_column="image") == fingerprint(pictures)
    frame = pd.DataFrame({"image": [*cells, {"bytes": None, "path": None}], "label": [*labels, "sky"]})
    assert [one.reason for one in open_dataset(frame, path_column="image").skipped] == ["no path (row 19 of the table)"]


def test_a_frame_whose_columns_are_numbers(files: list[Path], labels: list[str]) -> None:
    frame = pd.DataFrame({0: map(str, files), 1: labels})
    assert open_dataset(frame, path_column="0", label_column="1").frame["label"].tolist() == labels


def test_a_frame_with_a_column_twice(files: list[Path], labels: list[str]) -> None:
    frame = pd.DataFrame({"path": files, "other": files, "label": labels}).set_axis(["path", "path", "label"], axis=1)
    with pytest.raises(DataError, match="several columns for 'path'"):
        open_dataset(frame)


def test_a_data_set_of_torchvision(pictures: Path) -> None:
    from torch.utils.data import random_split
    from torchvision.datasets import ImageFolder

    data = ImageFolder(str(pictures))
    assert open_dataset(data).classes == ("apple", "leaf", "sky")
    train, test = random_split(data, [12, 6])
    assert open_dataset({"train": train, "test": test}, train=False).frame["split"].value_counts()["train"] == 12


def test_an_item_without_a_picture(files: list[Path]) -> None:
    data = hugging_face(files)
    data.columns["image"][0] = {"bytes": None, "path": None}
    data.features["image"].decode = False
    (skipped,) = scan(open_dataset(data), cache_dir=None)[0].skipped
    assert (skipped.path, skipped.reason) == ("Dataset[0]", "there is no picture in it")


def test_what_cannot_be_used_in_a_frame(files: list[Path], labels: list[str], tmp_path: Path) -> None:
    cells: list[Any] = [*files[:-3], None, tmp_path / "none.png", np.zeros((4, 4))]
    frame = pd.DataFrame({"path": pd.Series(cells, dtype=object), "label": [None, *labels[1:]]})
    dataset, _ = scan(open_dataset(frame), cache_dir=None)
    reasons = [one.reason for one in dataset.skipped]
    assert reasons[:3] == [
        "no label (row 1 of the table)",
        "no path (row 16 of the table)",
        "no such file (row 17 of the table)",
    ]
    assert reasons[3] == "pixels must be uint8 (H, W, 3), but are float64 (4, 4)"


# --- arrays and pictures of Pillow ------------------------------------------------------------------


def test_arrays_and_pictures_of_pillow_are_the_same(array: np.ndarray, files: list[Path], labels: list[str]) -> None:
    images = [Image.open(file) for file in files]
    same = {fingerprint((X, labels)) for X in (array, list(array), images, tuple(images))}
    assert len(same) == 1
    assert fingerprint((array, labels)) == fingerprint(pd.DataFrame({"path": images, "label": labels}))
    assert fingerprint((array, labels)) != fingerprint((array[::-1], labels))


def test_a_second_scan_does_not_take_other_pictures_for_these(
    array: np.ndarray, labels: list[str], tmp_path: Path
) -> None:
    one, other = (scan(open_dataset((X, labels)), cache_dir=tmp_path)[0] for X in (array, 255 - array))
    assert one.fingerprint != other.fingerprint


# --- data sets of torch -----------------------------------------------------------------------------


def test_a_data_set_of_torch(array: np.ndarray, files: list[Path], labels: list[str]) -> None:
    names = ["apple", "leaf", "sky"]
    numbers = [np.int64(names.index(label)) for label in labels]
    for data in (Pairs(files, numbers, names), Subset(Pairs(files, numbers, names), list(range(18)))):
        dataset = open_dataset(data)
        assert dataset.classes == ("apple", "leaf", "sky")
        assert dataset.frame["path"][3] == f"{type(data).__name__}[3]"
        assert fingerprint(data) == fingerprint((array, labels))
    assert open_dataset(Pairs(files, numbers)).classes == ("0", "1", "2")
    assert open_dataset(Pairs(files, labels, names)).classes == ("apple", "leaf", "sky")


def test_names_do_not_belong_to_numbers_that_a_data_set_changes(files: list[Path], labels: list[str]) -> None:
    names = ["N/A", "apple", "leaf", "sky"]
    data = Pairs(files, [names.index(label) - 1 for label in labels], names)
    data.target_transform = lambda number: number - 1  # type: ignore[attr-defined]
    for one in (data, Subset(data, list(range(18)))):
        assert open_dataset(one).classes == ("0", "1", "2")
    data.target_transform = None  # type: ignore[attr-defined]
    assert open_dataset(data).classes == ("N/A", "apple", "leaf")


class Swapped:
    """Keeps another data set, whose numbers it changes."""

    def __init__(self, data: Pairs) -> None:
        self.dataset = data

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        picture, number = self.dataset[index]
        return picture, 2 - number


def test_names_do_not_belong_to_numbers_that_a_wrapper_may_have_changed(files: list[Path], labels: list[str]) -> None:
    names = ["apple", "leaf", "sky"]
    assert open_dataset(Swapped(Pairs(files, [names.index(label) for label in labels], names))).classes == (
        "0",
        "1",
        "2",
    )


def test_a_chain_of_data_sets_has_their_names_where_they_have_the_same(files: list[Path], labels: list[str]) -> None:
    names = ["apple", "leaf", "sky"]
    numbers = [names.index(label) for label in labels]
    some, others = Pairs(files[:9], numbers[:9], names), Pairs(files[9:], numbers[9:], names)
    assert open_dataset(ConcatDataset([some, others])).classes == tuple(names)
    others.classes = ["sky", "leaf", "apple"]
    assert open_dataset(ConcatDataset([some, others])).classes == ("0", "1", "2")


def test_an_item_that_cannot_be_read_is_named(files: list[Path], labels: list[str]) -> None:
    data = Pairs([*files[:3], files[3].parent / "gone.png"], labels[:4])
    with pytest.raises(DataError, match="Item 3 of Pairs cannot be read: FileNotFoundError"):
        open_dataset(data)


@pytest.mark.parametrize("one_hot", [True, False])
def test_a_picture_has_one_label(array: np.ndarray, one_hot: bool) -> None:
    several = np.eye(18) if one_hot else [["a", "b"]] * 18
    with pytest.raises(DataError, match="A picture has one label here"):
        open_dataset((array, several))


def test_parts_in_memory_count_as_none_where_none_is_wanted(files: list[Path], labels: list[str]) -> None:
    parts = {"train": Pairs(files, labels), "test": Pairs(files[:6], labels[:6])}
    assert set(open_dataset(parts, split_column="none").frame["split"]) == {""}


def test_parts_of_a_split_in_memory(files: list[Path], labels: list[str]) -> None:
    parts = {"train": Pairs(files, labels), "validation": Pairs(files[:6], labels[:6])}
    dataset = open_dataset(parts)
    assert dataset.frame["split"].value_counts().to_dict() == {"train": 18, "val": 6}
    assert not dataset.frame["path"].duplicated().any()


# --- data sets of Hugging Face ----------------------------------------------------------------------


@pytest.mark.parametrize("image", ["image", "img"])
def test_a_data_set_of_hugging_face_is_its_files(pictures: Path, files: list[Path], image: str) -> None:
    data = hugging_face(files, image)
    assert open_dataset(data).classes == ("apple", "leaf", "sky")
    assert fingerprint(data) == fingerprint(pictures)


def test_other_columns_of_hugging_face(files: list[Path]) -> None:
    data = hugging_face(files)
    data.columns["label"][0] = -1
    data.columns["patient"] = [f"p{number % 4}" for number in range(18)]
    data.features["patient"] = "string"
    dataset = open_dataset(data, group_column="patient")
    assert set(dataset.frame["group"]) == {"p0", "p1", "p2", "p3"}
    assert [one.reason for one in dataset.skipped] == ["no label (row 1 of the table)"]
    with pytest.raises(DataError, match=r"'Dataset' has no column 'x'; its columns are 'image', 'label', 'patient'"):
        open_dataset(data, label_column="x")


def test_another_column_of_numbered_classes_is_found(pictures: Path, files: list[Path]) -> None:
    data = hugging_face(files)
    for there in (data.columns, data.features):
        there["fine_label"] = there.pop("label")  # type: ignore[attr-defined]
    assert fingerprint(data) == fingerprint(pictures)


def test_the_format_of_a_data_set_of_hugging_face_does_not_matter(pictures: Path, files: list[Path]) -> None:
    data = hugging_face(files).with_format("torch")
    assert open_dataset(data).classes == ("apple", "leaf", "sky")
    assert fingerprint(data) == fingerprint(pictures)


def test_rows_that_are_streamed_are_refused_with_the_way_out() -> None:
    class IterableDataset:
        features, column_names = None, ("image", "label")

    with pytest.raises(DataError, match=r"The IterableDataset streams its rows, .* load it without streaming=True"):
        open_dataset(cast(Any, IterableDataset()))


# --- what is refused --------------------------------------------------------------------------------


def refused() -> Iterator[tuple[str, Any, str]]:
    zeros = np.zeros((4, 8, 8, 3), np.uint8)
    yield "pictures without labels", zeros, "cannot be read from a ndarray: give a path"
    yield "a list", ["a.png"], "cannot be read from a list"
    yield "a number", 3, "cannot be read from a int"
    yield "three things", (zeros, [0, 1], [0, 1]), "cannot be read from a tuple"
    yield "too few labels", (zeros, [0, 1]), "4 pictures and 2 labels"
    yield "grey arrays", (zeros[..., 0], list("abab")), r"must be uint8 \(n, H, W, 3\), but are uint8 \(4, 8, 8\)"
    yield "other parts", {"train": (zeros, list("abab")), "more": None}, "these are 'train', 'more': leave others out"
    yield "no parts", {}, "cannot be read from a dict"
    yield "numbered parts", {1: pd.DataFrame({"path": ["a.png"], "label": ["a"]})}, "cannot be read from a dict"
    yield "no labels", (zeros, None), "^A pair must be .* a ndarray and a NoneType: give two sequences"
    yield "a class", int, "cannot be read from a type"
    yield "a frame without labels", pd.DataFrame({"path": ["a.png"]}), "'DataFrame' has no column 'label'"
    yield "an empty frame", pd.DataFrame({"path": [], "label": []}), "'DataFrame' names no picture"


@pytest.mark.parametrize(("data", "sentence"), [pytest.param(*case, id=kind) for kind, *case in refused()])
def test_what_is_refused(data: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        open_dataset(data)


def test_transforms_to_tensors_are_refused() -> None:
    class Tensors:
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> tuple[list[float], int]:
            return [0.5], index

    with pytest.raises(DataError, match="item 0 is list and int: leave out transforms to tensors"):
        open_dataset(Tensors())


def test_names_in_memory_are_short(array: np.ndarray, labels: list[str]) -> None:
    dataset: ImageDataset = open_dataset((array, labels))
    assert dataset.short(dataset.frame["path"][0]) == "pictures in memory[0]"
