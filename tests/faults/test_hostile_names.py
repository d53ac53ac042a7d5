"""Names that would move a cursor, run a script, a formula or markup, shown on every surface as what they are."""

from __future__ import annotations

import csv
import json
import logging
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from generated_pictures import picture
from tiny_models import member

from automl_tl.cli import main
from automl_tl.logs import Logging
from automl_tl.model.bundle import save_bundle
from automl_tl.model.model import Model
from automl_tl.monitor import Status
from automl_tl.wording import UNSAFE, clean, no_formula

NAMES = {
    "clears the screen": "\x1b[2J\x1b[Hcat",
    "sets the title": "\x1b]0;owned\x07cat",
    "turns the text round": "\u202egpj.tac",
    "is a script": "<script>alert(1)</script>",
    "ends an attribute": '"><img src=x onerror=alert(1)>',
    "is a formula": "=cmd|' /C calc'!A0",
    "is markup": "[red]cat[/red]",
    "has two lines": "cat\nFAKE: all tests passed",
    "rings": "cat\x07\x08\x08",
}


def harmless(text: str) -> bool:
    """Return whether no character but the ends of lines could move the cursor or turn the text round."""
    return clean(text.replace("\n", "").replace("\t", "")) == text.replace("\n", "").replace("\t", "")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return NAMES[request.param]


@pytest.fixture
def table(tmp_path: Path, name: str) -> Path:
    """Pictures of two classes, one of which has the hostile name."""
    rows = []
    for n in range(8):
        picture(n % 2, n).save(tmp_path / f"{n}.png")
        rows.append((f"{n}.png", name if n % 2 else "dog"))
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    return tmp_path / "labels.csv"


@pytest.fixture
def hostile(tmp_path: Path, name: str) -> Path:
    """A bundle of which one class has the hostile name."""
    return save_bundle(Model((member(),), ("apple", name, "sky"), 1.0, "squash"), tmp_path / "bundle")


def run(*words: object) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_in_a_terminal_and_a_page(table: Path, name: str, tmp_path: Path) -> None:
    assert harmless(run("inspect", table, "--verbose", "--report", tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "\x1b" not in page
    assert name in {one for one in json.loads(run("inspect", table, "--format", "json"))["classes"]} or "\n" in name


@pytest.mark.parametrize("form", ["text", "csv"])
def test_in_predictions(hostile: Path, form: str, tmp_path: Path) -> None:
    picture(0, 0).save(tmp_path / "x.png")
    words = ["--top-k", 3, "--device", "cpu"]
    if form == "text":
        assert harmless(run("predict", hostile, tmp_path / "x.png", *words))
        return
    run("predict", hostile, tmp_path / "x.png", *words, "--output", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert all(no_formula(cell) == cell for cell in cells)


def test_in_a_model_card(hostile: Path) -> None:
    card = (hostile / "README.md").read_text(encoding="utf-8")
    assert harmless(card)
    assert not re.search(r"(?<!\\)<(script|img)", card)  # Markdown's escape is a backslash


def test_in_logs(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "automl_tl")
    log = Logging()
    log.say(name)
    log.show(Status(left=1.0, n_trials=1, n_swept=1, best=name, value=0.5, interval=None, running=name))
    with log.activity(name):
        pass
    assert len(caplog.records) == 5
    assert all("\n" not in one.getMessage() and harmless(one.getMessage()) for one in caplog.records)


def test_in_the_sentence_of_an_error(name: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["inspect", str(tmp_path / name.replace("/", "_"))])
    assert result.exit_code == 2
    assert harmless(result.stderr)


def test_what_is_unsafe_are_the_categories_of_unicode() -> None:
    assert {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} <= UNSAFE
