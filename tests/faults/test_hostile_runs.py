"""Run folders from somebody else: gone on with, or named and refused; nothing is written through a link."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from automl_tl.errors import OptionError
from automl_tl.learning.configuration import Configuration, Frozen
from automl_tl.searcher.beginning import check_kept
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.same_run import option_change
from automl_tl.searcher.space.search_space import Space, space_to_dict
from automl_tl.searcher.trials.journal import LARGEST, open_storage, read_trials
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.outcome_file import read_outcome, write_outcome

RIDGE = Configuration("frozen", "tiny", 3, (3,), "mean", Frozen("ridge", 1.0))
SPACE = Space({"tiny": 3}, {"tiny": frozenset({1})}, {"tiny": frozenset({1})})
DEEP = "[" * 100_000


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    path = tmp_path / "run"
    path.mkdir()
    folder = RunFolder(path)
    folder.begin({"seed": 0}, {})
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "study.journal",
        "leaderboard.csv",
        "bundle",
        "trials",
        "scratch",
        ".lock",
        "run.json",
        "notes",
        "trials/7.safetensors",
        "trials/.7.safetensors.tmp",
        "refits/ray",
    ],
)
@pytest.mark.parametrize("resume", [True, False])
def test_a_run_folder_with_links_is_not_written_through(
    run: RunFolder, tmp_path: Path, name: str, resume: bool
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (run.path / name).unlink(missing_ok=True)
    (run.path / name).parent.mkdir(exist_ok=True)
    (run.path / name).symlink_to(victim)
    with pytest.raises(OptionError, match=f"holds a link, '{name}'"):
        run.check(resume=resume)
    assert victim.read_text() == "precious"


def test_a_journal_that_claims_to_be_huge_is_not_read(run: RunFolder) -> None:
    run.journal.touch()
    os.truncate(run.journal, LARGEST + 1)  # it takes no room on the disk
    for read in (open_storage, read_trials):
        with pytest.raises(OptionError, match="1,073,741,825 bytes, more than"):
            read(run.journal)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_journal_that_is_a_pipe_is_not_waited_for(run: RunFolder) -> None:
    os.mkfifo(run.journal)
    for read in (open_storage, read_trials):
        with pytest.raises(OptionError, match="is no file"):
            read(run.journal)


def test_a_file_that_is_named_like_no_trial_is_none(run: RunFolder) -> None:
    (run.path / "trials").mkdir(exist_ok=True)
    for name in ("x.safetensors", "-1.safetensors", "١.safetensors", "1" * 99 + ".safetensors"):
        (run.path / "trials" / name).touch()
    assert run.histories() == {}


@pytest.mark.parametrize("text", [DEEP, "[1]", "null", '{"a":' * 100 + "1" + "}" * 100, '"x"', "\ud800"])
@pytest.mark.parametrize("name", ["run.json", "result.json", "pictures.json"])
def test_damaged_notes_of_a_run_are_as_none(run: RunFolder, name: str, text: str) -> None:
    (run.path / name).write_text(text, encoding="utf-8", errors="surrogatepass")
    assert run.read_json(name) is None
    if name == "run.json":
        with pytest.raises(OptionError, match="holds no run to resume"):
            run.check(resume=True)


KNOWN = space_to_dict(SPACE)
SPACES: list[Any] = [{}, {"n_stages": 1}, {"n_stages": {}, "grids": {}, "maps": {}, "x": 1}, [], DEEP]
SPACES += [
    {**KNOWN, **change}
    for change in (
        {"n_stages": {}},
        {"n_stages": {"tiny": "three"}},
        {"n_stages": {"tiny": 10**9}},
        {"grids": {}},
        {"maps": {"tiny": 3}},
        {"layer_decay": {"tiny": None}},
        {"training": []},
        {"training": [["frozen"]]},
        {"classifiers": ["nearest"]},
        {"views": "plain"},
        {"hflip": "yes"},
        {"many": 1},
    )
]


@pytest.mark.parametrize("values", SPACES)
def test_a_damaged_space_is_named(run: RunFolder, values: Any) -> None:
    text = values if isinstance(values, str) else json.dumps(values)
    (run.path / "space.json").write_text(text)
    with pytest.raises(OptionError, match=r"space\.json of the run in .* is damaged"):
        run.space(SPACE)


FITS = [
    DEEP,
    "[1]",
    "null",
    "",
    "{}",
    '{"fit": "pad"}',
    '{"fit": "fold", "reason": "so"}',
    '{"fit": ["pad"], "reason": "so"}',
]
FITS += [json.dumps({"fit": "crop", "reason": reason}) for reason in (None, 1, ["so"], {"so": 1}, 1001 * "x")]


@pytest.mark.parametrize("text", FITS)
def test_a_damaged_fit_is_named(run: RunFolder, text: str) -> None:
    assert run.fit is None
    (run.path / "fit.json").write_text(text)
    with pytest.raises(OptionError, match=r"fit\.json of the run in .* is damaged, so it cannot be resumed"):
        assert run.fit is None


SAMPLES = [DEEP, "[1]", "null", "", "{}", '{"growing_to": 9}', '{"n": 9, "growing_to": 9}', '{"n": 9, "growing_to": 3}']
SAMPLES += [json.dumps({"n": n}) for n in (-1, 0, 1.5, "many", None, [3], True, 2**70)]


@pytest.mark.parametrize("text", SAMPLES)
def test_a_damaged_size_of_the_sample_is_named(run: RunFolder, text: str) -> None:
    assert (run.sample_size, run.growing_to) == (None, None)
    (run.path / "sample.json").write_text(text)
    with pytest.raises(OptionError, match=r"sample\.json of the run in .* is damaged, so it cannot be resumed"):
        check_kept(run)


@pytest.mark.parametrize("before", [None, "x", [], [1], {"a": 1}, 7])
def test_options_of_a_strange_shape_are_described_all_the_same(before: object) -> None:
    assert option_change("inputs", before, [[], None, None, 224])


JOURNALS = {
    "a line of rubbish before others": b'{"op_code": 0}\nrubbish\n{"op_code": 0}\n',
    "an unknown operation": b'{"op_code": 99, "worker_id": "x"}\n',
    "no object": b"[]\n[]\n",
    "depth": DEEP.encode() + b"\n1\n",
    "bytes": b"\xff\xfe\x00\n\x00\n",
}


@pytest.mark.parametrize("kind", JOURNALS)
def test_a_damaged_journal_is_named_and_left_as_it_is(run: RunFolder, kind: str) -> None:
    run.journal.write_bytes(JOURNALS[kind])
    with pytest.raises(OptionError, match=r"study\.journal' is damaged \(.*\); the run's model stays"):
        open_storage(run.journal)
    assert run.journal.read_bytes() == JOURNALS[kind]


OUTCOMES: dict[str, Callable[[dict[str, Any], dict[str, torch.Tensor]], object]] = {
    "facts that are deep": lambda facts, tensors: facts.update(value=json.loads("[" * 90 + "]" * 90)),
    "a value that is a text": lambda facts, tensors: facts.update(value="0.9"),
    "no configuration": lambda facts, tensors: facts.update(configuration=None),
    "an unknown recipe": lambda facts, tensors: facts["configuration"].update(how={"evil": 1}),
    "a history of texts": lambda facts, tensors: facts.update(history=["x"]),
    "an epoch with a hostile loss": lambda facts, tensors: facts.update(history=[{"loss": "\x1b"}]),
    "a number of a trial that is none": lambda facts, tensors: facts.update(number=[0]),
    "rows below the first": lambda facts, tensors: tensors.update(rows=tensors["rows"] - 100),
    "rows twice": lambda facts, tensors: tensors.update(rows=torch.zeros_like(tensors["rows"])),
    "fewer scores than rows": lambda facts, tensors: tensors.update(scores=tensors["scores"][:1]),
    "scores without columns": lambda facts, tensors: tensors.update(scores=tensors["scores"][:, :0]),
    "scores of whole numbers": lambda facts, tensors: tensors.update(scores=tensors["scores"].long()),
    "no scores": lambda facts, tensors: tensors.pop("scores"),
}


@pytest.mark.parametrize("kind", OUTCOMES)
def test_a_candidate_that_makes_no_sense_is_left_out(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "trials" / "0.safetensors"
    file.parent.mkdir()
    scores = np.eye(3, dtype=np.float32)
    write_outcome(file, Outcome(RIDGE, 0.8, np.array([5, 1, 9]), scores, 1.0, n_folds=2, number=0, sample="ab"))
    sound = read_outcome(file)
    assert sound is not None
    facts = {name: getattr(sound, name) for name in ("value", "seconds", "epochs", "n_folds", "number", "sample")}
    facts = {**facts, "configuration": sound.configuration.to_dict(), "history": [], "trainer": 1}
    tensors = {"rows": torch.from_numpy(sound.rows), "scores": torch.from_numpy(sound.scores)}
    save_file(tensors, file, {"facts": json.dumps(facts)})
    assert read_outcome(file) is not None
    OUTCOMES[kind](facts, tensors)
    save_file({name: one.contiguous() for name, one in tensors.items()}, file, {"facts": json.dumps(facts)})
    assert read_outcome(file) is None
