"""SIGTERM and SIGHUP end a command as Ctrl-C does, with the exit codes that shells know."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from automl_tl.cli.app import Application
from automl_tl.cli.signals import ENDING, Ended, ending_signals
from automl_tl.searcher import search as engine
from automl_tl.searcher import train as training

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs the signals of POSIX")
CODES = {"SIGTERM": 143, "SIGHUP": 129}

PROGRAM = """
import os, signal, sys, time, click
from automl_tl.cli.app import Application
@click.command()
def work():
    {body}
Application(commands={{"work": work}})(["work"])
"""


def send(name: str) -> None:
    os.kill(os.getpid(), getattr(signal, name))


@pytest.mark.parametrize("name", CODES)
def test_a_real_process_says_what_ended_it(name: str) -> None:
    program = PROGRAM.format(body='print("ready", flush=True); time.sleep(30)')
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", program], stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(getattr(signal, name))
    assert process.communicate(timeout=20)[1] == (
        f"\nEnded by {name}; what was computed is cached, run the same command to go on.\n"
    )
    assert process.returncode == CODES[name]


def test_a_hangup_that_nohup_ignores_ends_nothing() -> None:
    program = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)" + PROGRAM.format(
        body='os.kill(os.getpid(), signal.SIGHUP); print("went on")'
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "went on\n", "")


def test_what_is_written_to_a_closed_terminal_fails_nothing(tmp_path: Path) -> None:
    import pty

    told = tmp_path / "told"
    body = f"""
    try:
        print("ready", flush=True); time.sleep(30)
    except KeyboardInterrupt:
        print("x" * 100_000, file=sys.stderr); print("y", flush=True)
        open({str(told)!r}, "w").write("delivered")
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM.format(body=body.strip())])
    while b"ready" not in os.read(terminal, 1000):
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == CODES["SIGHUP"]
    assert told.read_text() == "delivered"


@pytest.mark.parametrize("name", CODES)
def test_a_result_that_a_signal_brought_about_is_shown_with_its_exit_code(name: str) -> None:
    @click.command()
    def work() -> None:
        with pytest.raises(KeyboardInterrupt):
            send(name)
        click.echo("the best model so far")

    result = CliRunner().invoke(Application(commands={"work": work}), ["work"])
    assert (result.exit_code, result.output) == (CODES[name], "the best model so far\n")


def test_a_signal_that_comes_while_an_object_is_deleted_is_heard_after_it() -> None:
    """What is raised there Python prints and forgets."""

    class Last:
        def __del__(self) -> None:
            send("SIGTERM")
            deleted.append(True)

    def work() -> None:
        with ending_signals():
            Last()
            assert deleted
            time.sleep(30)

    deleted: list[bool] = []
    begun = time.monotonic()
    with pytest.raises(Ended):
        work()
    assert time.monotonic() - begun < 20  # what sleeps is woken


def test_afterwards_signals_do_what_they_did() -> None:
    before = [signal.getsignal(one) for one in ENDING]
    CliRunner().invoke(Application(commands={"work": click.Command("work", callback=lambda: None)}), ["work"])
    assert [signal.getsignal(one) for one in ENDING] == before


def test_a_search_says_where_its_model_is_and_how_to_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "run"

    def search(path: Path, **options: Any) -> None:
        (out / "bundle").mkdir(parents=True)
        (out / "run.json").write_text("{}")
        send("SIGTERM")

    monkeypatch.setattr(engine, "search", search)
    result = run("search", "DATA", "--out", out)
    assert result.exit_code == 143
    assert [line.strip() for line in result.stderr.strip().splitlines()] == [
        "Ended by SIGTERM; what was computed is cached.",
        f"To go on with this search: automl-tl search DATA --out {out} --resume",
        f"The best model so far is in {out / 'bundle'}",
    ]


def test_training_that_ends_during_its_test_says_where_the_model_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "run"

    def train(path: Path, **options: Any) -> None:
        (out / "bundle").mkdir(parents=True)
        send("SIGTERM")

    monkeypatch.setattr(training, "train", train)
    result = run("train", "DATA", "--out", out)
    assert result.exit_code == 143
    assert f"The trained model, not tested yet, is in {out / 'bundle'}" in result.stderr


def test_a_full_disk_ends_a_search_with_the_line_to_go_on_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "run"

    def search(path: Path, **options: Any) -> None:
        out.mkdir()
        (out / "run.json").write_text("{}")
        raise OSError(28, "No space left on device", str(out / "study.journal"))

    monkeypatch.setattr(engine, "search", search)
    result = run("search", "DATA", "--out", out)
    assert result.exit_code == 2
    assert result.stderr == (
        f"Error: '{out / 'study.journal'}' cannot be read or written (No space left on device): free some space, or "
        f"give another place.\n  To go on with this search: automl-tl search DATA --out {out} --resume\n"
    )


def run(*arguments: object) -> Any:
    from automl_tl.cli import main

    return CliRunner().invoke(main, [str(argument) for argument in arguments])
