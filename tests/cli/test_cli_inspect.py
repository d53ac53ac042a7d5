"""`automl-tl inspect`: the page, the JSON object, and one sentence for what cannot be used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from automl_tl.cli import main

MakePictures = Callable[..., Path]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)])


def page(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def messy(make_pictures: MakePictures) -> Path:
    """Return a data set with everything that is worth a line."""
    root = make_pictures(per_class=(12, 6, 3))
    shutil.copy(root / "apple" / "000.png", root / "apple" / "copy.png")
    shutil.copy(root / "apple" / "001.png", root / "leaf" / "conflict.png")
    (root / "sky" / "broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    for index in range(14):
        (root / "leaf" / f"notes{index:02d}.txt").write_text("x")
    return root


def test_the_page_describes_the_data(pictures: Path) -> None:
    text = page(pictures)
    assert f"Data: {pictures}" in text
    assert "18 in 3 classes" in text
    assert "6 each" in text
    assert "median 48 x 48 pixels" in text
    assert "crop (the centre cut out)" in text
    for name in ("apple", "leaf", "sky"):
        assert f"  {name}" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_what_the_data_was_taken_for_comes_first(make_pictures: MakePictures, tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        make_pictures(tmp_path / "data" / part, seed=len(part))
    line = "3 classes in folders, split train/val/test as given; 8-bit RGB"
    assert page(tmp_path / "data", "--report", tmp_path / "page.html").splitlines()[1].strip() == line
    assert json.loads(run(tmp_path / "data", "--format", "json").stdout)["understood"] == line
    html = (tmp_path / "page.html").read_text()
    assert html.index(line) < html.index("Pictures as the model sees them")


def test_deep_and_grey_pictures_are_said_to_be(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ["path,label,group"]
    for number in range(8):
        deep = Image.fromarray(rng.integers(0, 4096, (32, 32)).astype(np.uint16))
        deep.save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{'ab'[number % 2]},{number}")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    assert "2 classes in a table, no split given, in groups; 12-bit grey" in page(tmp_path / "t.csv")


def test_what_is_wrong_is_shown(messy: Path) -> None:
    text = " ".join(page(messy).split())
    assert "1 picture could go without losing one" in text
    assert "identical: apple/000.png, apple/copy.png" in text
    assert "different labels, identical, all left out: apple/001.png (apple), leaf/conflict.png (leaf)" in text
    assert "sky/broken.jpg:" in text
    assert "unreadable 1" in text
    assert "The classes are uneven" in text or "fewer than 10 pictures" in text


def test_the_first_files_then_a_count(messy: Path) -> None:
    text = page(messy)
    assert text.count("notes") + text.count("broken.jpg") + text.count("conflict.png:") <= 11
    assert "more files; --verbose shows all" in text
    everything = page(messy, "--verbose")
    assert all(f"notes{index:02d}.txt" in everything for index in range(14))
    assert "--verbose" not in everything


def test_many_classes_end_with_a_count(make_pictures: MakePictures) -> None:
    root = make_pictures(classes=[f"class{index:02d}" for index in range(23)], per_class=2, size=(16, 16))
    text = page(root)
    assert "class19" in text
    assert "class20" not in text.split("Worth knowing")[0]
    assert "... and 3 more classes, with 2 pictures each" in text
    assert "class22" in page(root, "--verbose")


def test_names_are_literal(make_pictures: MakePictures) -> None:
    text = page(make_pictures(classes=["[red]x", ":smile:", "a" * 60]))
    assert "[red]x " in text
    assert ":smile:" in text
    assert "a" * 31 + "…" in text


def test_json_is_one_object_and_agrees_with_the_page(messy: Path) -> None:
    result = run(messy, "--format", "json")
    value = json.loads(result.stdout)
    assert value["schema_version"] == 1
    assert value["dataset"] == {
        "path": str(messy),
        "n_images": 21,
        "n_classes": 3,
        "images_per_class": {"min": 3, "median": 6.0, "max": 12},
        "n_unreadable": 1,
        "n_duplicates": 1,
    }
    assert sum(value["classes"].values()) == value["dataset"]["n_images"]
    assert value["duplicates"]["identical"] == [[str(messy / "apple/000.png"), str(messy / "apple/copy.png")]]
    assert value["conflicts"][0]["labels"] == ["apple", "leaf"]
    assert len(value["left_out"]) == 14 + 1 + 2
    assert value["fit"]["mode"] == "crop"


def test_given_splits_are_counted(make_pictures: MakePictures, tmp_path: Path) -> None:
    for seed, part in enumerate(("train", "val", "test")):
        make_pictures(tmp_path / "data" / part, seed=seed)
    text = page(tmp_path / "data")
    assert "18 train, 18 val, 18 test" in text
    assert json.loads(run(tmp_path / "data", "--format", "json").stdout)["splits"] == {
        "train": 18,
        "val": 18,
        "test": 18,
    }


def test_a_table_with_its_own_columns(pictures: Path, tmp_path: Path) -> None:
    rows = [f"{path},{path.parent.name},{index % 4}" for index, path in enumerate(sorted(pictures.rglob("*.png")))]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["file,kind,patient", *rows]))
    text = page(table, "--path-column", "file", "--label-column", "kind", "--group-column", "patient")
    assert "18 in 3 classes" in text
    assert "4, each kept on one side of every split" in text


def test_groups_and_copies_in_several_parts_of_a_given_split_are_told(pictures: Path, tmp_path: Path) -> None:
    files = sorted(pictures.rglob("*.png"))
    rows = [f"{path},{path.parent.name},{('train', 'test')[n % 2]},{n // 2}" for n, path in enumerate(files)]
    rows.append(f"{shutil.copy(files[0], tmp_path / 'copy.png')},{files[0].parent.name},test,copy")
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["path,label,split,group", *rows]))
    html = tmp_path / "page.html"
    text = page(table, "--report", html)
    assert f"{len(files) // 2 + 1}, {len(files) // 2} of them in several parts of the given split" in text
    for said in (" ".join(text.split()), html.read_text(encoding="utf-8")):
        assert "1 picture could go without losing one; the given split has them in several parts." in said


def test_a_second_look_reads_nothing(pictures: Path, tmp_path: Path) -> None:
    cache = tmp_path / "store"
    assert "Reading pictures" in run(pictures, "--cache-dir", cache).stderr
    assert (cache / "scan").is_dir()
    assert run(pictures, "--cache-dir", cache).stderr == ""


def test_an_odd_picture_among_them(pictures: Path) -> None:
    Image.new("L", (900, 30), 128).save(pictures / "sky" / "long.png")
    assert "longer to shorter side up to 30" in " ".join(page(pictures).split())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none", "no file or folder"),
        ("empty", "empty"),
        ("pictures/apple", "class"),
        ("x.zip", "zip file"),
        ("x.txt", "neither"),
    ],
)
def test_bad_data_is_one_sentence(pictures: Path, tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "empty").mkdir()
    for file in ("x.zip", "x.txt"):
        (tmp_path / file).write_text("x")
    result = run(tmp_path / name)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_cache_that_is_a_file(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    result = run(pictures, "--cache-dir", tmp_path / "file")
    assert result.exit_code == 2
    assert "it is a file" in result.stderr


def test_an_address_reaches_the_command_as_it_was_typed() -> None:
    result = run("memory://nothing/train")
    assert result.exit_code == 2
    assert "There is nothing at 'memory://nothing/train'" in result.output
