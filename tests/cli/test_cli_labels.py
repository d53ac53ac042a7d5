"""`automl-tl labels`: the page, the JSON object, the table, and one sentence for what cannot be used."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from generated_pictures import MakePictures
from tiny_models import register

from automl_tl.cli import main


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    monkeypatch.setenv("AUTOML_TL_PREFLIGHT_SECONDS", "0")


@pytest.fixture
def mislabelled(make_pictures: MakePictures) -> Path:
    root = make_pictures(classes=("=apple", "[red]leaf", "sky"), per_class=12)
    (root / "=apple" / "000.png").rename(root / "sky" / "wrong.png")
    return root


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["labels", *map(str, arguments), "--device", "cpu"])


def test_the_page_lists_them(mislabelled: Path) -> None:
    result = run(mislabelled)
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert f"Labels of {mislabelled}" in text
    assert "judged 36 labels of 3 classes" in text
    assert "likely wrong 1 (2.8%)" in text
    assert "agreement 97.2% of the labels" in text
    assert "in 10 folds" in text
    assert "picture given believed likely confidence sky/wrong.png sky" in text
    assert "=apple" in text
    assert "Look before you change anything" in text
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_nothing_wrong_is_said_to_be_that(make_pictures: MakePictures) -> None:
    text = " ".join(run(make_pictures(per_class=12)).stdout.split())
    assert "likely wrong none" in text
    assert "Look before" not in text


def test_many_are_shortened(mislabelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automl_tl.cli.labels_page.MOST_SUSPECTS", 0)
    assert "... and 1 more; --verbose shows all, --output FILE.csv writes them" in run(mislabelled).stdout
    assert "... and" not in run(mislabelled, "--verbose").stdout


def test_json_is_one_object(mislabelled: Path) -> None:
    values = json.loads(run(mislabelled, "--format", "json").stdout)
    assert [(one["given"], one["likely"]) for one in values["suspects"]] == [("sky", "=apple")]
    assert values["suspects"][0]["path"] == str(mislabelled / "sky/wrong.png")


def test_the_table_has_no_formula(mislabelled: Path, tmp_path: Path) -> None:
    result = run(mislabelled, "--output", tmp_path / "wrong.csv")
    assert f"The labels that are likely wrong are in {tmp_path / 'wrong.csv'}" in result.stderr
    (row,) = csv.DictReader((tmp_path / "wrong.csv").open(encoding="utf-8"))
    assert list(row) == ["path", "given", "likely", "confidence", "probability of given"]
    assert (row["given"], row["likely"]) == ("sky", "'=apple")
    assert float(row["confidence"]) > float(row["probability of given"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--output", "labels.txt"), "end its name in .csv"),
        (("--report", "no/page.html"), "does not exist"),
        (("--run", "nowhere"), "holds no finished run"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    mislabelled: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    result = run(mislabelled, *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ") or "Usage" in result.stderr
    assert sentence in result.stderr
    assert "Reading pictures" not in result.stderr
