from __future__ import annotations

import hashlib
import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from generated_pictures import MakePictures
from tasks import RIDGE, TUNED, bare_task, outcome

from automl_tl.data.dataset import open_dataset
from automl_tl.errors import OptionError
from automl_tl.model.errors import BundleError
from automl_tl.model.swap import aside
from automl_tl.monitor import Epoch
from automl_tl.searcher.run_folder import STATES_KEPT, RunFolder, default_out
from automl_tl.searcher.same_run import identities, n_learned, option_change, picture_changes
from automl_tl.searcher.trials.outcome import Outcome

TASK = bare_task(np.arange(12) % 3)


def trained(number: int, value: float = 0.8) -> Outcome:
    state = {
        "head.linear.weight": torch.randn(3, 4),
        "stages.0.0.bias": torch.arange(3.0),
        "stages.0.1.n": torch.tensor(7),
    }
    rows = np.array([5, 1, 9])
    return outcome(
        TASK, 0.7, configuration=TUNED, rows=rows, value=value, number=number, epochs=10, n_folds=2, state=state,
        history=(Epoch(1, 2, 0.5, 1.25, 1e-3, 3.5, score=None), Epoch(2, 2, 1.0, 0.75, 1e-5, 7.5, score=0.8)),
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    path = tmp_path / "run"
    path.mkdir()
    return RunFolder(path)


def assert_same(one: Outcome, other: Outcome) -> None:
    for name in ("configuration", "value", "seconds", "epochs", "n_folds", "number", "history", "trainer", "drawn"):
        assert getattr(one, name) == getattr(other, name)
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_array_equal(one.scores, other.scores)
    assert set(one.state) == set(other.state)
    assert all(torch.equal(value, other.state[name]) for name, value in one.state.items())


def test_what_somebody_laid_into_the_bundle_is_said_before_any_work(folder: RunFolder) -> None:
    """A model is replaced as a folder; to find that out after the whole budget is too late."""
    folder.bundle.mkdir()
    (folder.bundle / "bundle.json").write_text("{}")
    folder.write_json("run.json", {})
    folder.check(resume=True)
    (folder.bundle / "model.onnx").write_text("")
    with pytest.raises(BundleError, match=r"holds other files than a bundle \('model.onnx'\): move them elsewhere"):
        folder.check(resume=True)


def test_candidates_are_read_as_they_were_written(folder: RunFolder) -> None:
    written = [trained(4), outcome(TASK, 0.9, number=7), replace(trained(11), value=0.1 + 0.2, drawn=True)]
    for one in written:
        folder.save(one)
    for one, other in zip(folder.load([4, 7, 11]), written, strict=True):
        assert_same(one, other)
    assert not list((folder.path / "trials").glob("*.tmp"))


def test_scores_keep_their_picture(folder: RunFolder) -> None:
    folder.save(trained(4))
    (read,) = folder.load([4])
    np.testing.assert_array_equal(read.on(np.array([9, 5])), trained(4).scores[[2, 0]])


@pytest.mark.parametrize("damage", [b"", b"\x10\x00", b"not a file of tensors at all", None])
def test_what_is_damaged_or_missing_is_left_out(folder: RunFolder, damage: bytes | None) -> None:
    for number in (1, 2, 3):
        folder.save(trained(number))
    file = folder.path / "trials" / "2.safetensors"
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    assert [one.number for one in folder.load([1, 2, 3])] == [1, 3]


def test_half_a_file_is_left_out(folder: RunFolder) -> None:
    folder.save(trained(1))
    file = folder.path / "trials" / "1.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    assert folder.load([1]) == []


def test_only_the_best_keep_what_they_learned(folder: RunFolder) -> None:
    some = [trained(number, 0.5) for number in range(STATES_KEPT + 2)]
    frozen = outcome(TASK, 0.9, number=99)
    for one in [*some, frozen]:
        folder.save(one)
    kept = folder.forget_states([*some, frozen], [frozen, *some[::-1]])
    assert [bool(one.state) for one in kept] == [False, False, *[True] * STATES_KEPT, False]
    assert [one.number for one in kept] == [*range(STATES_KEPT + 2), 99]
    read = folder.load(range(STATES_KEPT + 2))
    assert [bool(one.state) for one in read] == [False, False, *[True] * STATES_KEPT]
    np.testing.assert_array_equal(read[0].scores, some[0].scores)  # scores stay


def _search_beside(path: Path, answers: Any) -> None:
    try:
        with RunFolder(path).claimed():
            answers.put("claimed")
    except OptionError as error:
        answers.put(str(error))


def test_two_processes_do_not_search_in_one_folder(folder: RunFolder) -> None:
    context = multiprocessing.get_context("fork")
    answers = context.Queue()

    def beside() -> str:
        other = context.Process(target=_search_beside, args=(folder.path, answers))
        other.start()
        answer: str = answers.get(timeout=60)
        other.join()
        return answer

    with folder.claimed():
        assert beside() == f"another search is running in '{folder.path}'; wait for it or give another --out"
    assert beside() == "claimed"


def test_a_folder_is_free_again_after_an_error(folder: RunFolder) -> None:
    def fail() -> None:
        with folder.claimed():
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    with folder.claimed():
        pass


def test_a_model_that_a_crash_left_aside_is_put_back(folder: RunFolder) -> None:
    with folder.claimed():
        pass
    (left := aside(folder.bundle)).mkdir(parents=True)
    (left / "model").touch()
    with folder.claimed():
        assert (folder.bundle / "model").exists()


def test_an_out_that_is_a_file_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("something else")
    with pytest.raises(OptionError, match="--out"), RunFolder(tmp_path / "run").claimed():
        pass


def test_a_run_is_begun_once(folder: RunFolder) -> None:
    folder.begin({"seed": 0}, {})
    with pytest.raises(OptionError, match="holds a run already; give another --out, or go on with a search by"):
        folder.begin({"seed": 0}, {})


def test_there_must_be_a_run_to_resume(folder: RunFolder) -> None:
    with pytest.raises(OptionError, match="holds no run to resume; leave out --resume to begin one"):
        folder.check_same({})


def test_a_run_is_resumed_as_it_was_begun(folder: RunFolder) -> None:
    folder.begin({"seed": 0, "metric": "accuracy", "backbones": ("a", "b"), "max_params": None}, {})
    folder.check_same({"seed": 0, "backbones": ("a", "b")})
    with pytest.raises(
        OptionError, match="it was begun with --metric accuracy, not with --metric log_loss; resume it as it was begun"
    ):
        folder.check_same({"metric": "log_loss"})
    with pytest.raises(OptionError, match="it was begun without --max-params, not with --max-params 5"):
        folder.check_same({"max_params": 5})


def test_what_an_earlier_version_did_not_ask_was_not_asked_for(folder: RunFolder) -> None:
    folder.begin({"seed": 0}, {})
    folder.check_same({"seed": 0, "strategies": [], "max_params": None})
    with pytest.raises(OptionError, match="it was begun without --strategy, not with --strategy fine_tuning"):
        folder.check_same({"strategies": ["fine_tuning"]})


def test_a_run_of_train_cannot_be_resumed(folder: RunFolder) -> None:
    folder.begin({"command": "train"}, {})
    with pytest.raises(OptionError, match="holds a run of train, which cannot be resumed; leave out --resume and give"):
        folder.check(resume=True)
    with pytest.raises(OptionError, match=r"holds a run already; give another --out$"):
        folder.check(resume=False)


def test_names_from_outside_are_shown_escaped(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "ru\nn\x1b[31m")
    with folder.claimed():
        folder.begin({"backbones": ["a\x1b[31m"]}, {})
    with pytest.raises(OptionError) as caught:
        folder.check_same({"backbones": ["b\x07"]})
    assert not set(str(caught.value)) & {"\n", "\x1b", "\x07"}


def test_a_damaged_note_of_what_was_asked_is_no_run(folder: RunFolder) -> None:
    folder.begin({"seed": 0}, {})
    (folder.path / "run.json").write_text('{"seed":')
    with pytest.raises(OptionError, match="holds no run to resume"):
        folder.check_same({})


def test_a_result_is_kept(folder: RunFolder) -> None:
    folder.write_result({"best": {"cuts": [1, 2]}})
    assert folder.read_json("result.json") == {"best": {"cuts": [1, 2]}}


def test_a_run_without_a_folder_gets_one_that_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("automl_tl.searcher.run_folder.time.strftime", lambda _: "20260101-000000")
    first = default_out()
    first.mkdir(parents=True)
    assert (str(first), str(default_out())) == ("runs/20260101-000000", "runs/20260101-000000-2")


def test_a_frozen_candidate_has_no_state(folder: RunFolder) -> None:
    folder.save(replace(outcome(TASK, 0.9), configuration=RIDGE, number=3))
    assert folder.load([3])[0].state == {}


@pytest.mark.parametrize(
    ("name", "before", "now", "told"),
    [
        ("backbones", ["efficientnet_lite0"], [], "with --backbone efficientnet_lite0, not without --backbone"),
        ("backbones", ["a"], ["a", "b"], "with --backbone a, not with --backbone a --backbone b"),
        ("max_params", None, 5, "without --max-params, not with --max-params 5"),
        ("inputs", [["a"], None, 1, None], [[], None, 2, None], "with another --weights and --std"),
        ("without", [], ["joined"], "without omitted part, not with omitted part joined"),
    ],
)
def test_what_is_different_is_said_as_it_is_typed(name: str, before: object, now: object, told: str) -> None:
    assert told in option_change(name, before, now)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"a": "1", "b": "1"}, "0 gone, 0 new"),
        ({"a": "1"}, "1 gone, 0 new"),
        ({"a": "2", "c": "1"}, "1 gone, 1 new, 1 with another label, split or group"),
    ],
)
def test_what_has_happened_to_the_pictures_is_counted(now: dict[str, str], told: str) -> None:
    assert picture_changes({"a": "1", "b": "1"}, now) == f"the pictures have changed: {told}"


def test_a_tilde_is_the_home_folder_for_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python and --out=~/run say so without a shell: the model would lie there, and the rest in a folder called ~."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    folder = RunFolder(Path("~/run"))
    assert {folder.path, folder.bundle.parent, folder.journal.parent} == {tmp_path / "run"}


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(OptionError, match=r"--out '.*run' is a file; name a folder"):
        RunFolder(tmp_path / "run").check(resume=False)


def test_what_a_run_has_learned_is_known_by_bytes_label_and_part(make_pictures: MakePictures) -> None:
    frame = open_dataset(make_pictures(per_class=4)).frame
    hashes = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in frame["path"]]
    parts = ["train"] * 6 + ["val"] * 2 + ["test"] * 4
    kept = identities(frame.assign(sha256=hashes, split=parts))
    told: list[tuple[int, int]] = []
    assert n_learned(kept, ("train", "val"), frame, lambda *done: told.append(done)) == 8
    assert told == [(n + 1, 12) for n in range(12)]
    assert n_learned(kept, ("train", "val", "test"), frame) == 12
    assert n_learned(kept, ("train", "val"), frame.assign(label="other")) == 0
    assert n_learned(kept, ("train", "val"), frame.assign(group="a patient")) == 8
    before = {sha: said[:8] for sha, said in kept.items()}  # as earlier versions wrote it
    assert n_learned(before, ("train", "val"), frame) == 8
    assert picture_changes(before, kept) == "the pictures have changed: 0 gone, 0 new"
    assert n_learned({**kept, hashes[0][:16]: ["rubbish"]}, ("train", "val"), frame) == 7  # type: ignore[dict-item]
    Path(frame["path"][0]).unlink()
    assert n_learned(kept, ("train", "val"), frame) == 7
