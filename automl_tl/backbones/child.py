"""Run a plugin's code in another Python: one that hangs, or crashes the interpreter, does no harm there.

Parent and child share a folder: `request.json` goes in, lines of JSON ("events") come back in `events.jsonl`,
and what the child prints is kept in `log.txt` and read only for the place where it got stuck. Pipes would
stay open for as long as some grandchild lives.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Event = dict[str, Any]
Work = Callable[[Event, Callable[[Event], None]], None]
"""Of a request and of a function that sends an event to the parent; the clock starts again at each event."""

START_SECONDS = 300.0
"""How long a child may need to import torch on a slow disk before its own clock runs."""
Kind = Literal["done", "hang", "crash"]
_REQUEST, _EVENTS, _LOG = "request.json", "events.jsonl", "log.txt"
_POLL_SECONDS = 0.02
_FRAME = re.compile(r'File "(?P<file>[^"]*)", line (?P<line>\d+) in (?P<function>\S+)')


@dataclass(frozen=True)
class Ending:
    """How a child ended."""

    kind: Kind
    text: str = ""
    """What happened and where, to follow "it"; empty where it did its work."""


def run_in_child(
    module: str, request: Mapping[str, Any], *, seconds: float, on_event: Callable[[Event], None]
) -> Ending:
    """Run `python -m module` on `request` and hand its events to `on_event` as they come.

    Args:
        module: Calls `serve` when it is run.
        request: JSON values.
        seconds: The child ends itself when this long passes without an event; 0 for no limit.
        on_event: Called with each event.
    """
    with tempfile.TemporaryDirectory(prefix="automl-tl-") as folder:
        place = Path(folder)
        (place / _REQUEST).write_text(json.dumps({**request, "seconds": seconds}), encoding="utf-8")
        (place / _EVENTS).touch()
        with (place / _LOG).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, folder],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(),
            )  # fmt: skip
            try:
                kind = _follow(process, place / _EVENTS, seconds, on_event)
            finally:
                process.kill()
                process.wait()
        return Ending("done") if kind == "done" else _ending(kind, process.returncode, place / _LOG, seconds)


def _environment() -> dict[str, str]:
    """Let the child import what this process can import."""
    path = [entry or os.getcwd() for entry in sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def _follow(process: subprocess.Popen[bytes], events: Path, seconds: float, on_event: Callable[[Event], None]) -> Kind:
    """Hand on events until the child ends, or has been silent for too long."""
    last = time.monotonic()
    with events.open(encoding="utf-8") as stream:
        rest = ""
        while True:
            ended = process.poll() is not None  # before reading: what it wrote last is then there
            *lines, rest = (rest + stream.read()).split("\n")
            for line in lines:
                event, last = json.loads(line), time.monotonic()
                if "done" in event:
                    return "done"
                on_event(event)
            if ended:
                return "crash"
            # The child's own clock comes first; this one is for a child that cannot even do that.
            if seconds and time.monotonic() - last > seconds + START_SECONDS:
                return "hang"
            time.sleep(_POLL_SECONDS)


def _ending(kind: Kind, code: int, log: Path, seconds: float) -> Ending:
    text = log.read_text(encoding="utf-8", errors="replace")
    where = _where(text)
    if kind == "hang" or "Timeout (" in text:
        return Ending("hang", f"did not finish within {seconds:g} s{where}")
    if code < 0:
        return Ending("crash", f"crashed the interpreter ({_signal_name(-code)}){where}")
    return Ending("crash", f"ended the interpreter with exit code {code}{where}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _where(log: str) -> str:
    """Return ", in FUNCTION (FILE, line N)" from the traceback that `faulthandler` left last; else ""."""
    *_, block = log.rpartition("(most recent call first):")
    frame = _FRAME.search(block) if "(most recent call first):" in log else None
    return f", in {frame['function']} ({frame['file']}, line {frame['line']})" if frame else ""


def serve(work: Work) -> None:
    """Do a child's `work` on the request that the parent left, and say so when it is done."""
    place = Path(sys.argv[1])
    request = json.loads((place / _REQUEST).read_text(encoding="utf-8"))
    faulthandler.enable()
    with (place / _EVENTS).open("a", encoding="utf-8", buffering=1) as events:

        def tell(event: Event) -> None:
            events.write(json.dumps(event) + "\n")
            if request["seconds"]:
                faulthandler.dump_traceback_later(request["seconds"], exit=True)

        work(request, tell)
        faulthandler.cancel_dump_traceback_later()
        tell({"done": True})
        faulthandler.cancel_dump_traceback_later()
    sys.stdout.flush()
    os._exit(0)  # threads and handlers that a plugin left behind must not keep the parent waiting
