"""The workflows parse, what they call exists, and none may do more than it needs."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = {
    file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in ROOT.glob(".github/workflows/*.yml")
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def steps(workflow: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job["steps"]


def commands() -> list[str]:
    return [step["run"] for workflow in WORKFLOWS.values() for step in steps(workflow) if "run" in step]


def test_ci_docs_and_a_release_are_there() -> None:
    assert WORKFLOWS.keys() == {"ci", "docs", "release"}


def test_the_targets_that_are_called_exist() -> None:
    targets = {word for command in commands() for word in re.findall(r"\bmake ([\w-]+)", command)}
    assert targets >= {"test", "docs", "dist"}
    assert [target for target in targets if not re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)] == []


def test_the_files_that_are_called_exist() -> None:
    words = [word for command in commands() for word in shlex.split(command)]
    assert ".ci/run" in words
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert (ROOT / "datasets_meta/demo").is_dir()
    texts = re.search(r"^TEXTS = (.*)$", MAKEFILE, re.MULTILINE)
    assert texts
    assert [name for name in texts[1].split() if not (ROOT / name).is_file()] == []


def test_the_extras_that_are_installed_exist() -> None:
    extras = {extra for command in commands() for extra in re.findall(r"\.\[(\w+)\]", command)}
    assert extras == {"dev"}
    assert extras <= PROJECT["optional-dependencies"].keys()


def test_ci_begins_with_the_oldest_python_that_is_allowed() -> None:
    oldest = PROJECT["requires-python"].removeprefix(">=")
    jobs = WORKFLOWS["ci"]["jobs"]
    assert [step["with"]["python-version"] for step in jobs["everything"]["steps"] if "with" in step] == [oldest]
    assert jobs["test"]["strategy"]["matrix"]["python-version"] == ["3.12", "3.13"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_read_alone_and_pins_what_it_uses(name: str) -> None:
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    more = {job: own["permissions"] for job, own in workflow["jobs"].items() if "permissions" in own}
    assert more == ({"publish": {"id-token": "write"}} if name == "release" else {})
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@(v\d+|release/v\d+)", one)] == []
    assert all(job["timeout-minutes"] for job in workflow["jobs"].values())
