"""The page of a run is made from its folder alone: the same as at its end, and what there is of an interrupted one."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from test_page import read
from tiny_models import tiny_alone

from automl_tl.cli import main

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "runs"


def report(run: Path, page: Path) -> Result:
    return CliRunner().invoke(main, ["report", str(run), "--output", str(page)])


def text_of(run: Path, page: Path) -> tuple[str, list[str]]:
    """Return the text of a run's page, and the captions of its pictures."""
    result = report(run, page)
    assert result.exit_code == 0, result.output
    found = read(page)[1]
    return " ".join(found.text.split()), found.images


@pytest.fixture
def run(pages: Mapping[str, Path], tmp_path: Path) -> Path:
    """A copy of the folder of the search."""
    return Path(shutil.copytree(pages["search"].parent / "run", tmp_path / "run"))


@pytest.mark.parametrize(("command", "folder"), [("search", "run"), ("train", "trained")])
def test_a_run_gives_the_page_of_its_end(pages: Mapping[str, Path], tmp_path: Path, command: str, folder: str) -> None:
    page = tmp_path / "page.html"
    assert report(pages[command].parent / folder, page).exit_code == 0
    assert page.read_text(encoding="utf-8") == pages[command].read_text(encoding="utf-8")


def test_an_interrupted_run_shows_what_there_is(run: Path, tmp_path: Path) -> None:
    (run / "result.json").unlink()
    text, images = text_of(run, tmp_path / "page.html")
    assert "Not finished; the best so far is tiny with" in text
    assert "The four strategies" in text
    assert "Leaderboard" in text
    assert images


@pytest.mark.parametrize(("name", "told"), [("finished", "95.1% expected"), ("interrupted", "Not finished; the best")])
def test_a_run_of_before_says_what_is_missing(tmp_path: Path, name: str, told: str) -> None:
    text, images = text_of(FIXTURES / name, tmp_path / "page.html")
    assert told in text
    assert "Leaderboard" in text
    assert "What was found out before anything was trained is not shown" in text
    assert "No pictures are shown, and nothing is said of the data. The run was made by an earlier version" in text
    assert images == []


def test_pictures_that_have_changed_are_not_shown(pages: Mapping[str, Path], run: Path, tmp_path: Path) -> None:
    data = pages["search"].parent / "data"
    moved = data.rename(tmp_path / "moved")
    try:
        text, images = text_of(run, tmp_path / "gone.html")
        assert "No pictures are shown" in text
        assert "There is no file or folder" in text
        assert images == []
        shutil.copytree(moved, data)
        next(data.glob("n*0.png")).unlink()
        assert "have changed since the run" in text_of(run, tmp_path / "changed.html")[0]
    finally:
        shutil.rmtree(data, ignore_errors=True)
        moved.rename(data)


@pytest.mark.parametrize("name", ["findings.json", "origin.json", "test.safetensors", "result.json", "study.journal"])
def test_what_is_damaged_counts_as_missing_but_for_a_journal(run: Path, tmp_path: Path, name: str) -> None:
    whole = (run / name).read_bytes()
    (run / name).write_bytes(whole[: len(whole) // 3])
    text, _ = text_of(run, tmp_path / "page.html")
    assert "Next" in text
    assert (run / name).stat().st_size == len(whole) // 3  # nothing is repaired
    (run / name).write_bytes(b'{"reading": [], "members": 1, "doubts": 2}\n' * 2)
    if name != "study.journal":
        assert "Next" in text_of(run, tmp_path / "page.html")[0]
        return
    refused = report(run, tmp_path / "page.html")
    assert refused.exit_code == 2
    assert "study.journal' is damaged (KeyError: 'op_code')" in refused.stderr


def test_the_page_of_recommend_ends_with_the_command_that_does_it(pages: Mapping[str, Path], tmp_path: Path) -> None:
    text = " ".join(read(pages["recommend"])[1].text.split())
    typed = re.search(r"automl-tl (train [^<>]+?) does exactly what is recommended here\.", text)
    assert typed, text
    with tiny_alone():
        result = CliRunner().invoke(main, [*shlex.split(typed.group(1)), "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    done = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    recommended = re.search(r"Use (\S+) with (\w+):", text)
    assert recommended
    assert (done["configuration"]["backbone"], done["configuration"]["strategy"]) == recommended.groups()


def test_what_is_no_run_is_refused(pictures: Path, tmp_path: Path) -> None:
    result = report(pictures, tmp_path / "page.html")
    assert result.exit_code == 2
    assert "holds no run; give the --out folder of automl-tl search or train" in " ".join(result.output.split())
    assert report(pictures, tmp_path / "missing" / "page.html").exit_code == 2


@pytest.mark.parametrize(
    "change",
    [
        {"budget": "x"}, {"seconds": float("nan")}, {"test": {"accuracy": 1.0}}, {"recommended": "magic"},
        {"notes": [3]}, {"n_trials": -1}, {"best": {"params": [1]}}, {"stopped_because": None},
    ],
)  # fmt: skip
def test_a_result_that_is_damaged_is_none(change: dict[str, Any], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FIXTURES / "finished", tmp_path / "run"))
    values = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps({**values, **change}))
    assert "Not finished; the best" in text_of(folder, tmp_path / "page.html")[0]
