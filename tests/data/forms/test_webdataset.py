"""Tars of samples, one by one and as shards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from forms_of_data import members, samples, write_parquet, write_tar
from generated_pictures import write_pictures

from automl_tl.data import open_dataset, scan
from automl_tl.errors import DataError, OptionError


@pytest.fixture
def content(pictures: Path) -> dict[str, bytes]:
    return members(pictures)


def test_samples_are_labelled_pictures(content: dict[str, bytes], pictures: Path, tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "a.tar", samples(content))
    one, other = (scan(open_dataset(data), cache_dir=tmp_path)[0] for data in (tar, pictures))
    assert one.fingerprint == other.fingerprint
    assert one.short(one.frame["path"][0]) == "a.tar/000000.png"
    assert one.form == "a WebDataset tar"


def test_labels_and_groups_in_json(content: dict[str, bytes], tmp_path: Path) -> None:
    given = {}
    for number, (name, one) in enumerate(content.items()):
        said = {"label": number % 3, "class_name": Path(name).parent.name, "patient": f"p{number % 2}"}
        given |= {f"a/{number}.x.png": one, f"a/{number}.json": json.dumps(said).encode()}
    tar = write_tar(tmp_path / "a.tar", given)
    assert open_dataset(tar).classes == ("0", "1", "2")
    dataset = open_dataset(tar, label_column="class_name", group_column="patient")
    assert dataset.classes == ("apple", "leaf", "sky")
    assert set(dataset.frame["group"]) == {"p0", "p1"}


@pytest.mark.parametrize("beside", ["mask.png", "depth.png", "zoom.png"])
def test_what_lies_beside_the_picture_is_not_taken_for_it(
    beside: str, content: dict[str, bytes], tmp_path: Path
) -> None:
    """Sorted by name, as tars are mostly made, a mask comes before its picture."""
    given: dict[str, bytes] = {}
    for number, (name, one) in enumerate(content.items()):
        given[f"{number}.cls"] = Path(name).parent.name.encode()
        given |= {f"{number}.{beside}": b"no picture at all", f"{number}.png": one}
    dataset = open_dataset(write_tar(tmp_path / "a.tar", given))
    assert {path.rpartition(".")[0].count(".") for path in dataset.frame["path"].map(lambda one: Path(one).name)} == {0}
    assert scan(dataset, cache_dir=tmp_path)[1].n_unreadable == 0


def shards(content: dict[str, bytes], folder: Path, *names: str) -> Path:
    folder.mkdir()
    for number, name in enumerate(names):
        write_tar(folder / name, samples(content, 100 * number))
    return folder


def test_shards_in_a_folder_with_their_parts(content: dict[str, bytes], tmp_path: Path) -> None:
    names = ("flowers-train-000000.tar", "flowers-train-000001.tar", "flowers-val-000000.tar")
    dataset = open_dataset(shards(content, tmp_path / "set", *names))
    assert dataset.frame["split"].value_counts().to_dict() == {"train": 36, "val": 18}
    assert dataset.form == "3 WebDataset tars"


@pytest.mark.parametrize(
    ("pattern", "n"), [("a-{00..02}.tar", 3), ("a-*.tar", 4), ("a-0[01].tar", 2), ("a-{3..3}*", 0)]
)
def test_shards_by_a_pattern(pattern: str, n: int, content: dict[str, bytes], tmp_path: Path) -> None:
    folder = shards(content, tmp_path / "set", *(f"a-{number:02d}.tar" for number in range(4)))
    if n:
        assert len(open_dataset(folder / pattern)) == n * 18
    else:
        with pytest.raises(DataError, match=r"There is no file '.*a-3\*', which"):
            open_dataset(folder / pattern)


def test_parquet_files_by_a_pattern(content: dict[str, bytes], tmp_path: Path) -> None:
    for number in range(2):
        write_parquet(tmp_path / f"{number}.parquet", content)
    assert len(open_dataset(tmp_path / "{0..1}.parquet")) == 36


def test_what_cannot_be_used_is_left_out(content: dict[str, bytes], tmp_path: Path) -> None:
    given = samples(content) | {
        "900.png": b"x",
        "901.cls": b"apple",
        "902.png": b"x",
        "902.json": b"[" * 100_000,
        "903.png": b"x",
        "903.cls": b"a" * (2 << 20),
        "904.png": b"x",
        "904.json": b'{"label": null}',
    }
    reasons = [one.reason for one in open_dataset(write_tar(tmp_path / "a.tar", given)).skipped]
    no_label = "no label: neither a .cls nor a .json with 'label'"
    assert reasons == [no_label, "no picture of this key", no_label, no_label, no_label]


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("a-{0..1}.tar", "There is no file '.*a-1.tar', which"),
        ("a-{5..1}.tar", r"The range '\{5..1\}' must go up"),
        ("a-{0..999999999}.tar", "at most 100,000 numbers"),
        ("nothing-*.tar", "There is no file '.*nothing-"),
        ("*.txt", "neither Parquet files nor tars of labelled pictures"),
    ],
)
def test_patterns_that_stand_for_nothing(
    pattern: str, sentence: str, content: dict[str, bytes], tmp_path: Path
) -> None:
    write_tar(tmp_path / "a-0.tar", samples(content))
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match=sentence):
        open_dataset(tmp_path / pattern)


def test_a_folder_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    assert len(open_dataset(write_pictures(tmp_path / "photos [2024]"))) == 18


def test_no_label_at_all(content: dict[str, bytes], tmp_path: Path) -> None:
    given = {name.replace(".cls", ".json"): one for name, one in samples(content).items()}
    with pytest.raises(DataError, match=r"No picture of these tars can be used, .*no label"):
        open_dataset(write_tar(tmp_path / "a.tar", given))


def test_notes_beside_pictures_in_class_folders_are_no_labels(content: dict[str, bytes], tmp_path: Path) -> None:
    given = content | {name.replace(".png", ".json"): b'{"camera": 1}' for name in content}
    assert open_dataset(write_tar(tmp_path / "a.tar", given)).form == "folders in a tar"


def test_a_hostile_shard(content: dict[str, bytes], tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", samples(content))
    write_tar(tmp_path / "1.tar", {"../x.png": b"x"})
    with pytest.raises(DataError, match="leads out of it"):
        open_dataset(tmp_path / "{0..1}.tar")


def test_a_column_of_parts_is_refused_as_samples_have_none(content: dict[str, bytes], tmp_path: Path) -> None:
    folder = shards(content, tmp_path / "set", "a.tar")
    with pytest.raises(OptionError, match=r"^--split-column cannot be used with the samples in '.*a\.tar': leave"):
        open_dataset(folder / "a.tar", split_column="fold")
