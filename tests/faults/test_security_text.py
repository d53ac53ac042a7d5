"""SECURITY.md says what the code does: its numbers, and that nothing is a pickle."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from automl_tl import foreign
from automl_tl.backbones.validation import SIZES
from automl_tl.data.decode import FORMATS, MAX_PIXELS
from automl_tl.data.forms.entries import MAX_BYTES
from automl_tl.model.manifest import MOST_MEMBERS
from automl_tl.searcher import run_folder
from automl_tl.searcher.trials import journal
from automl_tl.tryout.server import LOOPBACK

ROOT = Path(__file__).parents[2]
TEXT = " ".join((ROOT / "SECURITY.md").read_text(encoding="utf-8").split())
SOURCES = [*(ROOT / "automl_tl").rglob("*.py"), *(ROOT / "plugins").glob("*/src/**/*.py")]


@pytest.mark.parametrize(
    "said",
    [
        f"members are at most {MOST_MEMBERS}",
        f"at most {SIZES[1]:,} pixels a side",
        f"JSON is at most {foreign.LARGEST_JSON // 2**20} MiB ({run_folder.LARGEST_JSON // 2**20} MiB in a run)",
        f"{foreign.DEEPEST} levels deep, a run's journal at most {journal.LARGEST // 2**30} GiB",
        f"more than {MAX_PIXELS // 10**6} million pixels",
        f"what it declares, {MAX_BYTES // 10**6} MB at most",
        f"listens on {LOOPBACK} alone",
    ],
)
def test_numbers(said: str) -> None:
    assert said in TEXT


def test_no_decoder_runs_a_program() -> None:
    assert not {"EPS", "WMF", "EMF", "PDF", "MPEG"} & {*FORMATS}


def test_nothing_is_a_pickle() -> None:
    unpickling = re.compile(
        r"^\s*(import|from) (pickle|cloudpickle|dill|joblib|marshal|shelve)\b|allow_pickle=True", re.M
    )
    assert not [file for file in SOURCES if unpickling.search(file.read_text(encoding="utf-8"))]
    loads = [call for file in SOURCES for call in re.findall(r"torch\.load\(.*", file.read_text(encoding="utf-8"))]
    assert loads
    assert all("weights_only=True" in call for call in loads)
