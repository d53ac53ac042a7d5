"""Journals that Optuna reads without complaint and no search has written: named and refused, or gone on with."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from automl_tl.cli import main
from automl_tl.errors import AutomlTlError
from automl_tl.report.run import run_page
from automl_tl.reviewer.run import open_run
from automl_tl.searcher.beginning import check_kept
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.space.search_space import Space
from automl_tl.searcher.trials.checking import check_space
from automl_tl.searcher.trials.journal import open_storage
from automl_tl.searcher.trials.leaderboard import leaderboard
from automl_tl.searcher.trials.study import Study

KEPT = Path(__file__).parents[1] / "fixtures" / "runs" / "interrupted"
Lines = list[dict[str, Any]]
Changed = Callable[[Callable[[Lines], object]], list[object]]
CREATED, PARAMETER, ENDED, REPORTED, NOTED = 4, 5, 6, 7, 8
"""Optuna's numbers of operations."""


def read_lines(journal: Path) -> Lines:
    return [json.loads(line) for line in journal.read_text().splitlines()]


def write_lines(journal: Path, lines: Lines) -> None:
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))


def swept(lines: Lines) -> dict[str, Any]:
    """Return the first line of a solved candidate."""
    return next(line for line in lines if line["op_code"] == CREATED and line["user_attrs"].get("kind") == "sweep")


def waiting(lines: Lines) -> dict[str, Any]:
    """Return what is asked of the last trial that was enqueued."""
    enqueued = [line["system_attrs"]["fixed_params"] for line in lines if line.get("system_attrs")]
    found: dict[str, Any] = enqueued[-1]
    return found


def another_choice(lines: Lines) -> None:
    """Let every trial have drawn its backbone from among others."""
    for line in lines:
        for name, one in line.get("distributions", {}).items():
            if name == "backbone":
                line["distributions"][name] = one.replace('"choices": [', '"choices": ["other", ')


HOSTILE: dict[str, tuple[Callable[[Lines], object], str]] = {
    "seconds of text": (lambda lines: swept(lines)["user_attrs"].update(seconds="ages"), "'seconds': 'ages' is no num"),
    "seconds below 0": (lambda lines: swept(lines)["user_attrs"].update(seconds=-1.0), "'seconds': -1.0 is less"),
    "no number of seconds": (lambda lines: swept(lines)["user_attrs"].update(seconds=float("nan")), "'nan' is no num"),
    "epochs below 0": (lambda lines: swept(lines)["user_attrs"].update(epochs=-3), "'epochs': '-3' is no whole number"),
    "an unknown kind": (lambda lines: swept(lines)["user_attrs"].update(kind="\x1b[31m"), r"'kind': '\x1b[31m' is"),
    "no attributes": (lambda lines: swept(lines).update(user_attrs=["kind"]), "dict expected, but got list"),
    "no configuration": (lambda lines: swept(lines)["user_attrs"].pop("configuration"), "no 'configuration'"),
    "a huge list of cuts": (
        lambda lines: swept(lines)["user_attrs"]["configuration"].update(cuts=[1] * 100_000),
        "'configuration': cuts that are not in their order",
    ),
    "a way of training that is a list": (
        lambda lines: swept(lines)["user_attrs"]["configuration"].update(training=["frozen"]),
        "'configuration': str expected",
    ),
    "a reason of a megabyte": (lambda lines: swept(lines)["user_attrs"].update(reason="x" * 10**6), "'reason': a name"),
    "an earlier state that is none": (
        lambda lines: swept(lines)["user_attrs"].update(earlier={"state": 1}),
        "'earlier'",
    ),
    "two values": (lambda lines: swept(lines).update(value=None, values=[0.5, 0.5]), "too many values"),
    "no finite value": (lambda lines: swept(lines).update(value=float("inf")), "'inf' is no number"),
    "a value of text": (lambda lines: swept(lines).update(value="0.9"), "trial 0: "),
    "two directions": (lambda lines: lines[0].update(directions=[1, 2]), "whether more or less is better"),
    "another backbone to choose from": (another_choice, "CategoricalDistribution does not support dynamic value space"),
    "a rate that is enqueued": (lambda lines: waiting(lines).update(head_lr=1e30), "head_lr = 1e+30 lies outside"),
    "epochs that are enqueued": (lambda lines: waiting(lines).update(epochs="many"), "epochs = many lies outside"),
    "a text that is a number": (lambda lines: waiting(lines).update(warmup="0.05"), "warmup = 0.05 lies outside"),
    "a truth that is a number": (lambda lines: waiting(lines).update(warmup=False), "warmup = False lies outside"),
    "a backbone that is enqueued": (lambda lines: waiting(lines).update(backbone=[1]), "'[1]' is no number"),
}
OF_THE_SPACE = {
    "another backbone to choose from",
    "a rate that is enqueued",
    "epochs that are enqueued",
    "a text that is a number",
    "a truth that is a number",
}
"""What can be shown, and not gone on with."""


def invoked(*words: object) -> str:
    """Return the one sentence with which a command is refused."""
    result = CliRunner().invoke(main, list(map(str, words)))
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    *_, said = result.stderr.splitlines()
    assert said.startswith("Error: the journal ")
    assert "\x1b" not in said
    return said


@pytest.fixture
def changed(searched: tuple[Path, Path], tmp_path: Path) -> Changed:
    """Return what changes the journal of a run of its own, and returns the words of the search that goes on with it."""
    data, out = searched[0], tmp_path / "run"
    shutil.copytree(searched[1], out)

    def change_it(change: Callable[[Lines], object]) -> list[object]:
        lines = read_lines(out / "study.journal")
        change(lines)
        write_lines(out / "study.journal", lines)
        return ["search", data, "--out", out, "--resume", "--trials", 2, "--backbone", "tiny", "--device", "cpu"]

    return change_it


@pytest.mark.parametrize("kind", HOSTILE)
def test_both_commands_name_and_refuse_it(changed: Changed, tmp_path: Path, kind: str) -> None:
    change, said = HOSTILE[kind]
    again = changed(change)
    assert said in invoked(*again)
    if kind not in OF_THE_SPACE:
        assert said in invoked("report", tmp_path / "run", "--output", tmp_path / "page.html")


def test_what_a_newer_version_notes_is_passed_over(changed: Changed, tmp_path: Path) -> None:
    changed(lambda lines: swept(lines)["user_attrs"].update(newer={"unknown": [1, 2]}))
    words = ["report", str(tmp_path / "run"), "--output", str(tmp_path / "page.html")]
    assert CliRunner().invoke(main, words).exit_code == 0


def test_a_longer_study_hides_none_that_is_gone_on_with(changed: Changed) -> None:
    def hide(lines: Lines) -> None:
        waiting(lines).update(head_lr=1e30)
        decoy = {"study_name": "decoy", "directions": lines[0]["directions"], "op_code": 0, "worker_id": "w"}
        trials = [copy.deepcopy(line) for line in lines if line["op_code"] == CREATED and "state" in line] * 9
        lines.extend([decoy, *({**line, "study_id": 1} for line in trials)])

    assert "head_lr = 1e+30 lies outside" in invoked(*changed(hide))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything in a value of JSON."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


SOUND = read_lines(KEPT / "study.journal")
PLACES = [place for place in places(SOUND) if len(place) > 1 and place[1] not in ("worker_id", "study_id", "op_code")]
ODD = st.sampled_from(
    [None, True, -1, 0, 7, 2**70, 0.5, -1e308, float("nan"), float("inf"), "", "x", "\x1b[2J", "frozen", [],
     [0] * 10_000, {}, {"a": [1]}, "2" * 300]
)  # fmt: skip
SHORT = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


def shown(folder: RunFolder) -> None:
    run_page(open_run(folder.path), "its pictures are elsewhere")


def gone_on_with(folder: RunFolder) -> None:
    check_kept(folder)
    space = folder.known_space()
    assert space is not None
    study = Study(open_storage(folder.journal), space, 0, pictures=folder.sample_size or 0)
    study.retry_lost()
    study.exhausted()
    for _ in range(8):  # what waits, and what is sampled
        trial, _ = study.ask(study.broken_backbones)
        study.should_prune(trial, 1, 0.5)
        study.abandon(trial, "enough")
    leaderboard(study.trials, "accuracy")


def tried(folder: Path, changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    for use in (shown, gone_on_with):
        shutil.rmtree(folder / "run", ignore_errors=True)
        shutil.copytree(KEPT, folder / "run")
        lines = copy.deepcopy(SOUND)
        for path, odd in changes:
            where: Any = lines
            try:
                for step in path[:-1]:
                    where = where[step]
                where[path[-1]] = odd
            except (IndexError, KeyError, TypeError):  # an earlier change has taken it away
                continue
        write_lines(folder / "run" / "study.journal", lines)
        try:
            use(RunFolder(folder / "run"))
        except AutomlTlError as error:
            said = str(error)
            assert "\x1b" not in said


CHANGES = st.lists(st.tuples(st.sampled_from(PLACES), ODD), min_size=1, max_size=3)


@SHORT
@given(CHANGES)
def test_any_change_of_a_value(tmp_path: Path, changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    tried(tmp_path, changes)


@pytest.mark.slow
@settings(SHORT, max_examples=1500)
@given(CHANGES)
def test_many_more_changes(tmp_path: Path, changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    tried(tmp_path, changes)


@pytest.mark.parametrize(
    ("attributes", "again"),
    [({}, False), ({"refused": True}, False), ({"abandoned": True}, True), ({"killed": True}, True),
     ({"abandoned": True, "earlier": {"state": "failed", "value": None}}, False)],
)  # fmt: skip
def test_only_what_may_be_tried_again_must_lie_in_the_ranges_of_today(attributes: dict[str, Any], again: bool) -> None:
    today = Space({"tiny": 3}, {"tiny": frozenset({1, 2, 3})}, {"tiny": frozenset({1, 2, 3})})
    wider = {"training": CategoricalDistribution(today.training), "lr_ratio": FloatDistribution(1, 1e9, log=True)}
    ended = create_trial(
        state=TrialState.FAIL, params={"training": "fine_tuning", "lr_ratio": 1e8}, distributions=wider,
        user_attrs=attributes,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"lr_ratio = 1.* lies outside") if again else nullcontext():
        check_space([ended], today)
