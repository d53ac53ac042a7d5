"""Every failure of a command is one sentence on standard error and an exit code."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from automl_tl.cli.app import COMMANDS, KEEP_NOTHING, Application
from automl_tl.cli.options import verbose_option
from automl_tl.errors import AutomlTlError, DataError


def run(body: Callable[[], Any], *arguments: str, env: dict[str, str] | None = None) -> Result:
    @click.command()
    @verbose_option
    def work(verbose: bool) -> None:
        body()

    return CliRunner().invoke(Application(commands={"work": work}), ["work", *arguments], env=env)


def raiser(error: BaseException) -> Callable[[], Any]:
    def body() -> None:
        raise error

    return body


def test_success_is_exit_code_0() -> None:
    result = run(lambda: click.echo("fine"))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "fine\n", "")


def test_an_error_of_ours_is_its_sentence() -> None:
    result = run(raiser(DataError("there are no pictures in x; name another folder")), "--verbose")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "Error: there are no pictures in x; name another folder\n"


def test_an_error_brings_its_own_exit_code() -> None:
    class RareError(AutomlTlError):
        exit_code = 7

    assert run(raiser(RareError("rare"))).exit_code == 7


def test_notes_follow_the_sentence() -> None:
    error = DataError("broken")
    error.add_note("while reading cat.jpg")
    assert run(raiser(error)).stderr == "Error: broken\n  while reading cat.jpg\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[red]cat[/red]", "[red]cat[/red]"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("two\nlines", "two lines"),
        ("\u202egpj.tac", r"\u202egpj.tac"),
        ("bytes \udcff", r"bytes \udcff"),
        ("Größe 猫 👍", "Größe 猫 👍"),
    ],
)
def test_messages_are_literal_and_harmless(text: str, shown: str) -> None:
    assert run(raiser(DataError(text))).stderr == f"Error: {shown}\n"


def test_an_unexpected_error_says_what_it_is_and_how_to_see_more() -> None:
    result = run(raiser(ZeroDivisionError("division by zero")))
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: unexpected ZeroDivisionError: division by zero. This is a bug: please report it "
        "with --verbose or AUTOML_TL_TRACEBACK=1, which show the traceback.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "env"),
    [(["--verbose"], {}), ([], {"AUTOML_TL_TRACEBACK": "1"})],
    ids=["option", "variable"],
)
def test_the_traceback_is_shown_when_asked_for(arguments: list[str], env: dict[str, str]) -> None:
    result = run(raiser(ZeroDivisionError("oh")), *arguments, env=env)
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.endswith("Error: unexpected ZeroDivisionError: oh. This is a bug: please report it.\n")


def test_an_error_without_a_message_still_says_something() -> None:
    assert "unexpected AssertionError." in run(raiser(AssertionError())).stderr
    assert run(raiser(DataError())).stderr == "Error: DataError\n"


def test_an_interrupt_says_that_nothing_is_lost() -> None:
    result = run(raiser(KeyboardInterrupt()))
    assert result.exit_code == 130
    expected = "Interrupted; what was computed is cached, run the same command to go on."
    assert result.stderr.strip() == expected


def test_an_interrupt_of_what_keeps_nothing_promises_nothing() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    application = Application(commands={"predict": click.Command("predict", callback=interrupted)})
    result = CliRunner().invoke(application, ["predict"])
    assert (result.exit_code, result.stderr) == (130, "\nInterrupted.\n")
    assert set(KEEP_NOTHING) < set(COMMANDS)


def test_an_interrupt_with_its_own_way_to_go_on_names_no_other() -> None:
    error = KeyboardInterrupt()
    error.add_note("To go on: automl-tl search DATA --resume")
    told = run(raiser(error)).stderr
    assert told == "\nInterrupted; what was computed is cached.\n  To go on: automl-tl search DATA --resume\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "?", "/runs/x"), "'/runs/x' cannot be read or written (No space left on device): free"),
        (OSError(errno.ENAMETOOLONG, "?", "y" * 300), "(File name too long): give a shorter path."),
        (PermissionError(errno.EACCES, "?", "/p"), "'/p' cannot be read or written (Permission denied): check its"),
        (
            OSError(errno.EROFS, "?"),
            "standard output or a file cannot be read or written (Read-only file system): check its permissions",
        ),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "(No space left on device): free some"),
    ],
)
def test_the_machines_faults_are_no_bugs(error: Exception, told: str) -> None:
    result = run(raiser(error))
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert told in result.stderr
    assert "bug" not in result.stderr


def test_a_file_that_is_missing_without_a_reason_is_still_a_bug() -> None:
    assert "This is a bug" in run(raiser(FileNotFoundError(errno.ENOENT, "?", "/x"))).stderr


def test_usage_errors_exit_with_2() -> None:
    result = run(lambda: None, "--no-such-option")
    assert result.exit_code == 2
    assert "No such option" in result.stderr


PROGRAM = """
import sys, time, click
from automl_tl.cli.app import Application
@click.command()
def work():
    {body}
Application(commands={{"work": work}})(["work"])
"""


def start(body: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", PROGRAM.format(body=body)], stdout=pipe, stderr=pipe)


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_closed_pipe_is_quiet(lines: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = PROGRAM.format(body=f'[print("x" * 80) for _ in range({lines})]')
    process = subprocess.run([sys.executable, "-c", program], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert process.stderr == b""
    assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", [["work"], ["--help"]])
@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_full_disk_under_standard_output_is_one_sentence(command: list[str], lines: int) -> None:
    program = PROGRAM.format(body=f'[print("x" * 80) for _ in range({lines})]').replace('["work"])', f"{command})")
    with open("/dev/full", "w") as full:
        result = subprocess.run([sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 2
    assert result.stderr == (
        "Error: standard output or a file cannot be read or written (No space left on device): "
        "free some space, or give another place.\n"
    )


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize(("closed", "code", "told"), [(">&-", 2, "Error: standard output is closed"), ("2>&-", 0, "")])
def test_a_stream_that_the_shell_closed(closed: str, code: int, told: str) -> None:
    words = shlex.join([sys.executable, "-c", PROGRAM.format(body='click.echo("x"); click.echo("y", err=True)')])
    result = subprocess.run(["sh", "-c", f"{words} {closed}"], capture_output=True, text=True)
    assert result.returncode == code
    assert result.stderr.startswith(told)
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_ctrl_c_in_a_real_process() -> None:
    process = start('print("ready", flush=True); time.sleep(30)')
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Interrupted" in stderr
    assert b"Traceback" not in stderr


def test_a_terminal_of_another_encoding_does_not_fail(tmp_path: Path) -> None:
    code = (
        "from automl_tl.cli.failures import report_failure\n"
        "from automl_tl.errors import DataError\n"
        "raise SystemExit(report_failure(DataError('caf\\u00e9 \\u732b'), verbose=False))\n"
    )
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, env=env)
    assert (result.returncode, result.stderr) == (2, rb"Error: caf\xe9 \u732b" + os.linesep.encode())
