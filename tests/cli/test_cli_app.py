"""The frame of the command line: it answers at once and knows every command."""

from __future__ import annotations

import ast
import shlex
import subprocess
import sys
import time

import click
import pytest
from click.testing import CliRunner

from automl_tl.cli import main
from automl_tl.cli.app import COMMANDS
from automl_tl.cli.lazy import LazyCommand
from automl_tl.version import __version__

HEAVY = ("torch", "pandas", "numpy", "PIL", "sklearn", "rich")

PROBE = """
import sys
from automl_tl.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
    raise
"""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["cache", "--help"], ["backbones", "--help"]], ids=" ".join
)
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    command = [sys.executable, "-c", PROBE.format(heavy=HEAVY), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ast.literal_eval(result.stderr) == []
    assert result.stdout


def test_help_takes_a_small_part_of_what_torch_takes_to_load() -> None:
    """However fast this machine is at the moment; 0.2 s where it is idle."""
    shown, loaded = [], []
    for _ in range(3):
        shown.append(_seconds("-m", "automl_tl", "--help"))
        loaded.append(_seconds("-c", "import torch"))
    assert min(shown) < min(loaded) / 2


def _seconds(*arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return time.perf_counter() - start


def test_help_lists_every_command_with_its_text() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name, (_, text) in COMMANDS.items():
        assert name in result.stdout
        assert text in result.stdout


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout == f"automl-tl, version {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_loads_and_explains_itself(name: str) -> None:
    lazy = main.commands[name]
    assert isinstance(lazy, LazyCommand)
    assert isinstance(lazy.load(), click.Command)
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert f"automl-tl {name}" in result.stdout or f"main {name}" in result.stdout


def test_a_mistyped_command_is_met_with_the_right_one() -> None:
    result = CliRunner().invoke(main, ["recomend"])
    assert result.exit_code == 2
    assert "recommend" in result.stderr


def test_no_arguments_show_the_help() -> None:
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 2
    assert "Commands:" in result.output


def test_python_m_is_the_same_command() -> None:
    command = [sys.executable, "-m", "automl_tl", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == f"automl-tl, version {__version__}\n"


@pytest.mark.parametrize(
    ("words", "what"),
    [("inspect ''", "DATA"), ("recommend ' '", "DATA"), ("evaluate '' x", "BUNDLE"), ("search x --out ''", "--out")],
)
def test_an_empty_path_is_not_the_working_folder(words: str, what: str) -> None:
    result = CliRunner().invoke(main, shlex.split(words))
    assert result.exit_code == 2
    assert f"Invalid value for '{what}': the path is empty: name a file or a folder" in result.stderr
