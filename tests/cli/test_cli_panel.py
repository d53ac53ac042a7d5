"""`automl-tl panel`: a search's run counts in later recommendations, until it is removed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from generated_pictures import add_odd_pictures, write_pictures
from tiny_models import tiny_alone

from automl_tl.cli import main
from automl_tl.lab.calibration import OwnRun
from automl_tl.lab.own_runs import change_own_runs, own_runs, own_runs_file, with_run
from automl_tl.searcher.experience import FILE, kept_experience


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    with tiny_alone():
        yield


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return pictures of three classes, some of which look like another class."""
    return add_odd_pictures(write_pictures(tmp_path_factory.mktemp("panel") / "toys", per_class=8), per_class=3)


@pytest.fixture(scope="module")
def searched(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of a search that has trained."""
    out = tmp_path_factory.mktemp("panel_run") / "run"
    result = run("search", data, "--trials", "2", "--out", out, "--strategy", "fine_tuning",
                 "--strategy", "feature_extractor")  # fmt: skip
    assert result.exit_code == 0, result.output
    return out


def expected_gains(said: dict[str, Any]) -> dict[str, float]:
    return {one["strategy"]: one["gain"] for one in said["front"]}


def recommended(data: Path) -> dict[str, Any]:
    result = run("recommend", data, "--format", "json")
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_a_run_counts_until_it_is_removed(data: Path, searched: Path) -> None:
    before = recommended(data)
    assert "No run of yours counts yet" in run("panel", "list").stdout
    added = run("panel", "add", searched)
    assert added.exit_code == 0, added.output
    assert added.stdout.startswith("toys: ")
    assert added.stdout.endswith("1 run of yours now counts.\n")
    assert run("panel", "add", searched).stdout.endswith("1 run of yours now counts.\n")  # the same pictures
    assert "toys" in run("panel", "list").stdout
    after = recommended(data)
    near = [one["name"] for one in after["neighbours"]]
    assert "your own toys" in near
    assert all(name in " ".join(after["reasons"]) for name in near[:3])
    assert expected_gains(before)["fine_tuning"] != expected_gains(after)["fine_tuning"]
    assert expected_gains(before)["pretrained_initialization"] == expected_gains(after)["pretrained_initialization"]
    assert run("panel", "remove", "toys").stdout == "Removed 1 run.\n"
    assert expected_gains(recommended(data)) == expected_gains(before)


def test_a_panel_without_a_set_knows_no_run(data: Path, searched: Path) -> None:
    """What is shown of a set that was left out rests on what ships alone."""
    assert run("panel", "add", searched).exit_code == 0
    from automl_tl.lab.lab import _experience

    assert len(_experience("").own) == 1
    assert _experience("clothing").own == ()


def test_a_run_says_what_its_first_trained_trial_gained(searched: Path) -> None:
    found = kept_experience(searched)
    assert found.name == "toys"
    assert set(found.gains) == {"fine_tuning"}
    assert found.known.n_classes == 3


def test_the_list_as_json(searched: Path) -> None:
    run("panel", "add", searched)
    said = json.loads(run("panel", "list", "--format", "json").stdout)
    assert said["runs"][0]["known"]["n_classes"] == 3
    assert said["panel"]["rows"] > 90


def test_what_holds_no_experience_is_named(tmp_path: Path, searched: Path) -> None:
    result = run("panel", "add", tmp_path)
    assert result.exit_code == 2
    assert "holds no search that has ended" in " ".join(result.stderr.split())
    (tmp_path / "result.json").write_text("{}")
    assert "no training came to its end" in " ".join(run("panel", "add", tmp_path).stderr.split())
    (tmp_path / "run.json").write_text('{"command": "train"}')
    assert "a run of train, which compares nothing" in " ".join(run("panel", "add", tmp_path).stderr.split())
    (tmp_path / "run.json").unlink()
    (tmp_path / FILE).write_text('{"known": 3}')
    result = run("panel", "add", tmp_path)
    assert result.exit_code == 2
    assert "is damaged" in result.stderr
    values = json.loads((searched / FILE).read_text())
    values["gains"]["fine_tuning"] = [0.1, 0.0]
    (tmp_path / FILE).write_text(json.dumps(values))
    assert "0.1 +- 0.0 is no gain in accuracy" in " ".join(run("panel", "add", tmp_path).stderr.split())
    result = run("panel", "remove", "nothing")
    assert result.exit_code == 2
    assert "no run of yours is called 'nothing'; there are: none" in result.stderr


def test_a_damaged_list_is_named_and_stays(data: Path, searched: Path) -> None:
    own_runs_file().parent.mkdir(parents=True)
    own_runs_file().write_text("[3")
    for command in (("panel", "list"), ("panel", "add", searched), ("recommend", data)):
        result = run(*command)
        assert result.exit_code == 2, result.output
        assert "mend it, or delete it and add the runs again" in " ".join(result.stderr.split())
    assert own_runs_file().read_text() == "[3"


def test_names_are_shown_as_they_are(searched: Path, tmp_path: Path) -> None:
    values = json.loads((searched / FILE).read_text())
    (tmp_path / "result.json").write_text("{}")
    (tmp_path / FILE).write_text(json.dumps({**values, "name": "[bold]\x1b[31m evil"}))
    shown = run("panel", "add", tmp_path).stdout + run("panel", "list").stdout
    assert "[bold]" in shown
    assert "\x1b" not in shown
    assert len(own_runs()) == 1


def test_runs_that_are_added_at_the_same_time_all_count(searched: Path) -> None:
    new = kept_experience(searched)

    def added(runs: tuple[OwnRun, ...], name: str) -> tuple[OwnRun, ...]:
        time.sleep(0.05)  # in which another one would write as well
        return with_run(runs, replace(new, name=name, fingerprint=name))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: change_own_runs(lambda runs: added(runs, name)), "abcd"))
    assert sorted(run.name for run in own_runs()) == ["a", "b", "c", "d"]
