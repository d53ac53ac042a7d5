"""Files of a run that claim more than the memory holds, or than what they are of could have: refused unread."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from automl_tl import memory
from automl_tl.cli import main
from automl_tl.errors import ShortageError
from automl_tl.foreign import LARGEST_JSON
from automl_tl.learning.configuration import Configuration, Frozen
from automl_tl.model.bundle import load_bundle
from automl_tl.searcher.record import TEST, kept_evaluation
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.trials.outcome_file import read_history

FREE = 2 * 10**9
"""Bytes of memory that are said to be free."""
RIDGE = Configuration("frozen", "tiny", 3, (3,), "mean", Frozen("ridge", 1.0))
EPOCH = {"number": 1, "planned": 1, "progress": 1.0, "loss": 1.0, "rate": 0.1, "seconds": 1.0}


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: FREE)


def claim(file: Path, facts: dict[str, Any], **shapes: tuple[str, list[int]]) -> None:
    """Write a file of tensors, which takes no room on the disk: what it claims of them is all there is."""
    header: dict[str, Any] = {"__metadata__": {"facts": json.dumps(facts)}}
    end = 0
    for name, (dtype, shape) in shapes.items():
        begin, end = end, end + int(np.prod(shape)) * {"I64": 8, "F32": 4}[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(len(text).to_bytes(8, "little") + text)
    os.truncate(file, 8 + len(text) + end)


def claim_outcome(out: Path) -> Path:
    """Let the first trial that was kept have learned 2 GB."""
    file = min((out / "trials").glob("*.safetensors"), key=lambda one: int(one.stem))
    claim(file, {"history": [], "configuration": {}}, rows=("I64", [3]), scores=("F32", [3, FREE // 12]))
    return file


def claim_answers(out: Path) -> Path:
    """Let a test have had 40 million pictures."""
    n = FREE // 50
    claim(out / "test.safetensors", {"classes": ["a", "b"], "paths": []}, y=("I64", [n]), probabilities=("F32", [n, 2]))
    return out / "test.safetensors"


def claim_classes(out: Path) -> Path:
    """Let a test have had 20,000 classes, every pair of which a confusion matrix counts."""
    classes = [str(n) for n in range(20_000)]
    y, probabilities = np.zeros(1, np.int64), np.full((1, len(classes)), 1e-5, np.float32)
    facts = json.dumps({"classes": classes, "paths": ["a.png"]})
    save_file({"y": y, "probabilities": probabilities}, out / "test.safetensors", {"facts": facts})
    return out / "test.safetensors"


def claim_journal(out: Path) -> Path:
    os.truncate(out / "study.journal", FREE // 20)
    return out / "study.journal"


def claim_json(out: Path) -> Path:
    os.truncate(out / "run.json", FREE // 20)
    return out / "run.json"


CLAIMS: dict[str, tuple[Callable[[Path], Path], set[str]]] = {
    "a trial": (claim_outcome, {"search"}),
    "answers": (claim_answers, {"report"}),
    "classes": (claim_classes, {"report"}),
    "a journal": (claim_journal, {"search", "report"}),
    "a note": (claim_json, {"search", "report"}),
}


@pytest.mark.parametrize("kind", CLAIMS)
def test_commands_name_what_is_larger_than_the_memory(searched: tuple[Path, Path], tmp_path: Path, kind: str) -> None:
    (data, kept), out = searched, tmp_path / "run"
    shutil.copytree(kept, out)
    make, those = CLAIMS[kind]
    commands = {
        "search": ["search", data, "--out", out, "--resume", "--trials", 2, "--backbone", "tiny", "--device", "cpu"],
        "report": ["report", out, "--output", tmp_path / "page.html"],
    }
    file = make(out)
    for name in those:
        result = CliRunner().invoke(main, list(map(str, commands[name])))
        assert (result.exit_code, result.stdout) == (2, "")
        said = next(line for line in result.stderr.splitlines() if line.startswith("Error: "))
        assert said.startswith(f"Error: reading '{file}' takes at least ")
        assert said.endswith("but 2.0 GB are free; end other programs, or put the file away")


def test_a_bundle_that_is_larger_than_the_memory_is_not_loaded(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_bundle(bundle, "cpu").classes
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    with pytest.raises(ShortageError, match=r"reading '.*model\.safetensors' takes at least .* but 1\.0 kB are free"):
        load_bundle(bundle, "cpu")


def test_facts_of_a_trial_are_bounded(tmp_path: Path) -> None:
    facts = {"configuration": RIDGE.to_dict(), "history": [EPOCH]}
    for beside, known in ((0, True), (LARGEST_JSON, False)):
        claim(tmp_path / "0.safetensors", {**facts, "beside": "x" * beside})
        assert (read_history(tmp_path / "0.safetensors") is not None) is known


ANSWERS: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
    "a class that there is not": lambda facts, arrays: arrays["y"].fill(2**40),
    "a class below the first": lambda facts, arrays: arrays["y"].fill(-1),
    "more pictures than paths": lambda facts, arrays: facts.update(paths=["a.png"]),
    "paths that are none": lambda facts, arrays: facts.update(paths=[1, 2, 3]),
    "classes that are none": lambda facts, arrays: facts.update(classes=[["a"], "b"]),
    "fewer classes": lambda facts, arrays: facts.update(classes=["a"]),
    "facts that are a list": lambda facts, arrays: facts.update(classes={"a": "b"}),
    "no number": lambda facts, arrays: arrays["probabilities"].fill(np.nan),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", ANSWERS)
def test_answers_that_make_no_sense_count_as_none(tmp_path: Path, kind: str) -> None:
    facts: dict[str, Any] = {"classes": ["a", "b"], "paths": ["a.png", "b.png", "c.png"]}
    arrays: dict[str, Any] = {"y": np.array([0, 1, 1]), "probabilities": np.full((3, 2), 0.5, np.float32)}
    file = tmp_path / "test.safetensors"
    save_file(arrays, file, {"facts": json.dumps(facts)})
    assert kept_evaluation(RunFolder(tmp_path), TEST) is not None
    ANSWERS[kind](facts, arrays)
    save_file(arrays, file, {"facts": json.dumps(facts)})
    assert kept_evaluation(RunFolder(tmp_path), TEST) is None
