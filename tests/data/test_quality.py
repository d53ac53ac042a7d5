"""The scan as a whole: what is left out, what is reported, and the choice of a fit."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_tl.data.dataset import drawn, open_dataset
from automl_tl.data.fit import choose_fit
from automl_tl.data.measurements import MeasurementStore
from automl_tl.data.quality import QualityReport, scan
from automl_tl.data.remarks import remarks
from automl_tl.data.split import assign_splits
from automl_tl.errors import CacheError, DataError
from automl_tl.report.facts.data import about_data

Grow = Callable[..., Path]


def look(root: Path, *, train: bool = True, **options: object) -> tuple[object, QualityReport]:
    return scan(open_dataset(root, train=train), cache_dir=None, train=train, **options)  # type: ignore[arg-type]


def test_a_plain_data_set(grow: Grow, tmp_path: Path) -> None:
    root = grow({"cat": 12, "dog": 10})
    dataset, report = scan(open_dataset(root), cache_dir=tmp_path / "cache")
    assert list(dataset.frame.columns) == ["path", "label", "split", "group", "sha256", "width", "height", "cluster"]
    assert dataset.frame["cluster"].tolist() == list(range(22))
    assert (report.n_images, report.n_classes, report.n_unreadable, report.n_duplicates) == (22, 2, 0, 0)
    assert report.images_per_class == {"cat": 12, "dog": 10}
    assert report.class_sizes == (10, 11.0, 12)
    assert report.imbalance == 1.2
    assert report.median_size == (40, 40)
    assert report.sizes[0.5] == 40
    assert report.aspects[1.0] == 1.0
    assert report.fit == "crop"
    assert report.conflicts == report.exact == report.near == ()


def test_unreadable_pictures_are_left_out_with_the_reason(grow: Grow) -> None:
    root = grow({"cat": 5, "dog": 5})
    (root / "cat" / "0.png").write_bytes(b"")
    (root / "cat" / "1.png").write_bytes((root / "cat" / "1.png").read_bytes()[:400])
    (root / "dog" / "notes.png").write_text("not a picture at all")
    dataset, report = scan(open_dataset(root), cache_dir=None)
    assert report.n_unreadable == 3
    assert report.n_images == len(dataset) == 8
    assert [dataset.short(skipped.path) for skipped in dataset.skipped] == ["cat/0.png", "cat/1.png", "dog/notes.png"]
    assert dataset.skipped == report.unreadable


def test_a_class_that_cannot_be_read_is_gone(grow: Grow) -> None:
    root = grow({"cat": 3, "dog": 3, "bird": 2})
    for path in (root / "bird").iterdir():
        path.write_bytes(b"")
    dataset, report = scan(open_dataset(root), cache_dir=None)
    assert dataset.classes == ("cat", "dog")
    assert report.images_per_class == {"cat": 3, "dog": 3}


@pytest.mark.parametrize(("spoilt", "hint"), [(["cat", "dog"], "can be used"), (["dog"], "At least two classes")])
def test_nothing_to_train_on_is_left(grow: Grow, spoilt: list[str], hint: str) -> None:
    root = grow({"cat": 2, "dog": 2})
    for name in spoilt:
        for path in (root / name).iterdir():
            path.write_bytes(b"")
    with pytest.raises(DataError, match=hint):
        look(root)


def test_copies_are_one_cluster(grow: Grow) -> None:
    root = grow({"cat": 3, "dog": 3})
    shutil.copy(root / "cat" / "0.png", root / "cat" / "copy.png")
    Image.open(root / "dog" / "1.png").save(root / "dog" / "again.jpg", quality=80)
    dataset, report = scan(open_dataset(root), cache_dir=None)
    assert report.n_duplicates == 2
    assert [[dataset.short(path) for path in group] for group in report.exact] == [["cat/0.png", "cat/copy.png"]]
    assert [[dataset.short(path) for path in group] for group in report.near] == [["dog/1.png", "dog/again.jpg"]]
    by_name = dict(zip(map(dataset.short, dataset.frame["path"]), dataset.frame["cluster"], strict=True))
    assert by_name["cat/0.png"] == by_name["cat/copy.png"]
    assert by_name["dog/1.png"] == by_name["dog/again.jpg"]


def test_identical_pictures_with_different_labels_are_left_out(grow: Grow) -> None:
    root = grow({"cat": 3, "dog": 3})
    shutil.copy(root / "cat" / "0.png", root / "dog" / "same.png")
    dataset, report = scan(open_dataset(root), cache_dir=None)
    (conflict,) = report.conflicts
    assert conflict.identical
    assert conflict.labels == ("cat", "dog")
    assert len(dataset) == 5
    assert {dataset.short(skipped.path) for skipped in dataset.skipped} == {"cat/0.png", "dog/same.png"}
    assert dataset.skipped[0].reason == "identical pictures have different labels: 'cat', 'dog'"
    assert report.n_unreadable == 0


def test_an_evaluation_keeps_them(grow: Grow) -> None:
    root = grow({"cat": 1, "dog": 1})
    shutil.copy(root / "cat" / "0.png", root / "dog" / "same.png")
    dataset, report = look(root, train=False)
    assert len(dataset.frame) == 3  # type: ignore[attr-defined]
    assert report.conflicts[0].identical


def test_near_identical_pictures_with_different_labels_are_reported_and_kept(grow: Grow) -> None:
    root = grow({"cat": 3, "dog": 3})
    Image.open(root / "cat" / "0.png").save(root / "dog" / "same.jpg", quality=80)
    dataset, report = scan(open_dataset(root), cache_dir=None)
    (conflict,) = report.conflicts
    assert not conflict.identical
    assert len(dataset) == 7


def test_the_scan_is_kept_below_the_cache_folder(grow: Grow, tmp_path: Path) -> None:
    root = grow({"cat": 3, "dog": 3})
    scan(open_dataset(root), cache_dir=tmp_path / "cache")
    assert len(list((tmp_path / "cache" / "scan").iterdir())) == 2  # measurements, and pairs


def test_a_scan_that_cannot_be_kept_is_noted(grow: Grow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = grow({"cat": 3, "dog": 3})
    monkeypatch.setattr(MeasurementStore, "save", lambda self, before, now, **_: setattr(self, "failure", "disk full"))
    dataset, _ = scan(open_dataset(root), cache_dir=tmp_path)
    assert "disk full" in dataset.notes[0]


def test_a_cache_folder_that_cannot_be_made(grow: Grow, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CacheError):
        scan(open_dataset(grow({"cat": 3, "dog": 3})), cache_dir=tmp_path / "file")


def test_scanning_twice_changes_nothing(grow: Grow) -> None:
    dataset, report = scan(open_dataset(grow({"cat": 3, "dog": 3})), cache_dir=None)
    again, report_again = scan(dataset, cache_dir=None)
    assert dataset.frame.equals(again.frame)
    assert report == report_again


# --- the fingerprint --------------------------------------------------------------------------------


def test_the_fingerprint_is_of_the_contents(grow: Grow, tmp_path: Path) -> None:
    root = grow({"cat": 3, "dog": 3})
    moved = tmp_path / "elsewhere"
    shutil.copytree(root, moved)
    (moved / "cat" / "0.png").rename(moved / "cat" / "zzz.png")
    first, second = (scan(open_dataset(folder), cache_dir=None)[0] for folder in (root, moved))
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint == first.with_frame(first.frame.sample(frac=1, random_state=3)).fingerprint
    for column in ("label", "split", "group", "sha256"):
        other = first.frame.copy()
        other.loc[0, column] = "other"
        assert first.with_frame(other).fingerprint != first.fingerprint


def test_the_fingerprint_needs_the_scan(grow: Grow) -> None:
    with pytest.raises(ValueError, match="scan"):
        _ = open_dataset(grow({"cat": 3, "dog": 3})).fingerprint


# --- fit --------------------------------------------------------------------------------------------


def sizes(*pairs: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    widths, heights = np.array(pairs).T
    return widths, heights


@pytest.mark.parametrize(
    ("pairs", "mode", "number"),
    [
        ([(100, 100)] * 19 + [(100, 300)], "crop", "1.00"),
        ([(105, 100), (100, 108)], "crop", "1.08"),
        ([(640, 480), (480, 640), (600, 400)], "squash", "1.4"),
        ([(640, 480)] * 8 + [(2000, 100)] * 2, "squash", "1.33"),
        ([(1920, 1080), (1080, 1920)], "pad", "1.78"),
        ([(640, 480)] * 6 + [(2000, 100)] * 4, "pad", "20.00"),
    ],
)
def test_fit(pairs: list[tuple[int, int]], mode: str, number: str) -> None:
    fit = choose_fit(*sizes(*pairs))
    assert fit.mode == mode
    assert number in fit.reason


# --- remarks ----------------------------------------------------------------------------------------

COLOUR = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), dtype=np.uint8)
EVEN = {"a": 25, "b": 25}


def said(counts: dict[str, int] = EVEN, pairs: list[tuple[int, int]] | None = None, colour: np.ndarray = COLOUR) -> str:
    return " ".join(remarks(counts, *sizes(*(pairs or [(300, 200)] * 50)), colour))


def test_nothing_to_say() -> None:
    assert said() == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"counts": {"a": 90, "b": 20}}, "'a' has 90 pictures, 'b' 20 (4.5 to 1)"),
        ({"counts": {"a": 9, "b": 12}}, "fewer than 10 pictures to train on: 'a'"),
        ({"counts": {"a": 1, "b": 2}}, "single picture to train on, which cannot be measured: 'a'"),
        ({"pairs": [(32, 40)] * 30 + [(300, 300)] * 20}, "a side of 32 pixels or less"),
        ({"pairs": [(100, 100)] * 25 + [(1500, 1500)] * 25}, "the area of a square of 100 to 1500 pixels"),
        ({"pairs": [(300, 200)] * 49 + [(3000, 300)]}, "1 of 50 pictures are more than 4 times as long as wide"),
        ({"colour": np.repeat(COLOUR[..., :1], 3, axis=-1)}, "are grey"),
    ],
)
def test_what_is_said(options: dict[str, object], words: str) -> None:
    assert words in said(**options)  # type: ignore[arg-type]


def test_training_pictures_count_for_the_remarks(grow: Grow) -> None:
    root = grow({"train/a": 12, "train/b": 12, "test/a": 2, "test/b": 3, "val/a": 1})
    assert not [warning for warning in look(root)[1].warnings if "fewer" in warning or "imbalanced" in warning]


def test_a_second_scan_of_unchanged_files_compares_none(
    grow: Grow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = grow({"cat": 5, "dog": 5})
    shutil.copy(root / "cat" / "0.png", root / "cat" / "copy.png")
    first, _ = scan(open_dataset(root), cache_dir=tmp_path / "cache")

    def refuse(measured: np.ndarray) -> tuple[np.ndarray, bool]:
        raise AssertionError("compared again")

    monkeypatch.setattr("automl_tl.data.measurements.near_pairs", refuse)
    second, _ = scan(open_dataset(root), cache_dir=tmp_path / "cache")
    assert first.frame.equals(second.frame)


# --- a sample that is drawn before the scan ---------------------------------------------------------


def test_a_sample_keeps_the_classes_and_parts_and_says_so(grow: Grow) -> None:
    root = grow({"train/cat": 40, "train/dog": 20, "train/owl": 2, "test/cat": 10, "test/dog": 8})
    everything = open_dataset(root)
    dataset, report = scan(drawn(everything, 40, seed=0), cache_dir=None)
    taken = dataset.frame.groupby(["split", "label"]).size().to_dict()
    assert taken == {
        ("test", "cat"): 4, ("test", "dog"): 4, ("train", "cat"): 20, ("train", "dog"): 10, ("train", "owl"): 2,
    }  # fmt: skip
    assert (dataset.drawn.n, dataset.drawn.of) == (40, 80)  # type: ignore[union-attr]
    assert report.n_images == 40
    assert report.images_per_class == {"cat": 50, "dog": 28, "owl": 2}
    assert any("Of 80 pictures a stratified sample of 40 was opened" in note for note in dataset.notes)
    assert not any("'dog'" in warning for warning in report.warnings)  # twenty are enough, though ten were drawn
    assert dict(about_data(dataset, report))["pictures"] == "40 of 80 (stratified) in 3 classes"


def test_as_many_as_are_wanted_are_no_sample(grow: Grow) -> None:
    dataset = open_dataset(grow({"cat": 6, "dog": 6}))
    assert drawn(dataset, 12, seed=0) is dataset


def test_the_scan_of_a_sample_forgets_nothing_of_the_others(
    grow: Grow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("automl_tl.data.measurements._SPARE", 0)
    root = grow({"cat": 20, "dog": 20})
    everything = open_dataset(root)
    scan(everything, cache_dir=tmp_path / "cache")
    some = drawn(everything, 4, seed=0)
    Path(some.frame["path"][0]).write_bytes(b"")
    scan(some, cache_dir=tmp_path / "cache")
    store = MeasurementStore.of(everything.root, tmp_path / "cache")
    assert len(store.load()) == 40


def test_a_class_is_as_large_as_it_is_in_all(grow: Grow) -> None:
    everything = open_dataset(grow({"cat": 60, "dog": 60}))
    few, _ = scan(drawn(everything, 40, seed=0), cache_dir=None)
    assert (assign_splits(few, 0).frame["split"] == "test").sum() == 8
    unlike, _ = scan(dataclasses.replace(few, drawn=None), cache_dir=None)
    assert not (assign_splits(unlike, 0).frame["split"] == "test").any()
