"""What looks at every picture by itself says the same of a folder, of archives of it, and of its rows in a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from forms_of_data import members, samples, write_parquet, write_tar, write_zip
from generated_pictures import write_pictures
from tiny_models import tiny_alone, trained_model

from automl_tl.cli import main
from automl_tl.model.bundle import save_bundle

FORMS = ("zip", "tar", "Parquet", "WebDataset")


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    with tiny_alone():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of three classes, one of them in a wrong folder."""
    root = write_pictures(tmp_path_factory.mktemp("forms") / "set", per_class=9)
    (root / "apple" / "000.png").rename(root / "sky" / "moved.png")
    return root


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Path:
    return save_bundle(trained_model(folder), folder.parent / "bundle")


@pytest.fixture(scope="module")
def forms(folder: Path) -> dict[str, Path]:
    root, content = folder.parent, members(folder)
    return {
        "zip": write_zip(root / "a.zip", content),
        "tar": write_tar(root / "a.tar", content),
        "Parquet": write_parquet(root / "a.parquet", content),
        "WebDataset": write_tar(root / "samples.tar", samples(content)),
    }


def run(*words: str | Path) -> None:
    result = CliRunner().invoke(main, [*map(str, words), "--device", "cpu"])
    assert result.exit_code == 0, result.output


def without_paths(file: Path) -> pd.DataFrame:
    table = pd.read_csv(file).drop(columns="path")
    return table.sort_values(list(table.columns), ignore_index=True)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_labels_are_doubted(folder: Path, forms: dict[str, Path], tmp_path: Path, form: str) -> None:
    for name, data in (("folder", folder), (form, forms[form])):
        run("labels", data, "--output", tmp_path / f"{name}.csv", "--report", tmp_path / f"{name}.html")
    doubted = without_paths(tmp_path / "folder.csv")
    assert ("sky", "apple") in zip(doubted["given"], doubted["likely"], strict=True)
    pd.testing.assert_frame_equal(without_paths(tmp_path / f"{form}.csv"), doubted)
    assert str(forms[form]) in pd.read_csv(tmp_path / f"{form}.csv")["path"][0]
    assert "data:image" in (tmp_path / f"{form}.html").read_text("utf-8")


@pytest.mark.parametrize("form", FORMS)
def test_the_same_places_speak_for_the_labels(
    folder: Path, forms: dict[str, Path], bundle: Path, tmp_path: Path, form: str
) -> None:
    maps = {}
    for name, data in (("folder", folder), (form, forms[form])):
        run("predict", bundle, data, "--explain", tmp_path / name)
        maps[name] = sorted(hashlib.sha256(one.read_bytes()).hexdigest() for one in (tmp_path / name).glob("*.png"))
    assert len(maps["folder"]) == 27
    assert maps[form] == maps["folder"]


@pytest.mark.parametrize("form", FORMS)
def test_the_same_answers_are_kept(
    folder: Path, forms: dict[str, Path], bundle: Path, tmp_path: Path, form: str
) -> None:
    for name, data in (("folder", folder), (form, forms[form])):
        run("evaluate", bundle, data, "--errors", tmp_path / f"{name}.csv")
    answers = without_paths(tmp_path / "folder.csv")
    assert len(answers) == 27
    pd.testing.assert_frame_equal(without_paths(tmp_path / f"{form}.csv"), answers)
