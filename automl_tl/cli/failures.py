"""What the user sees when a command fails: one sentence on standard error and an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import traceback

import click

from automl_tl.cli.signals import Ended
from automl_tl.errors import AutomlTlError, ShortageError, sentence
from automl_tl.memory import is_shortage
from automl_tl.wording import one_line

KEPT = "what was computed is cached"
SAME_COMMAND = "run the same command to go on."
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE
EXIT_UNEXPECTED = 1
_SPACE = "free some space, or give another place"
_PERMISSION = "check its permissions, or give another place"
_WAYS_OUT = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: _SPACE,
    errno.ENAMETOOLONG: "give a shorter path",
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: _PERMISSION,
    errno.EIO: "check the disk, or give another place",
    errno.EMFILE: "close other programs, or raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs",
}
"""What to do about errors of the machine, by their number: none of them is a bug."""
TRACEBACK_VARIABLE = "AUTOML_TL_TRACEBACK"


def report_failure(error: BaseException, *, verbose: bool, keeps: bool = True) -> int:
    """Tell the user about `error` and return the exit code.

    An error of ours is its own sentence, and so is a lack of memory. Anything else is a bug: its type and message,
    and how to see the traceback, which `verbose` or AUTOML_TL_TRACEBACK=1 shows at once. After an interrupt it is said
    how to go on, where the command `keeps` what it computes.
    """
    if isinstance(error, BrokenPipeError):
        _silence_stdout()
        return EXIT_BROKEN_PIPE
    if isinstance(error, KeyboardInterrupt):
        _say_interrupted(error, keeps=keeps)
        return error.exit_code if isinstance(error, Ended) else EXIT_INTERRUPTED
    wanted = os.environ.get(TRACEBACK_VARIABLE, "") not in ("", "0")
    if is_shortage(error) and not isinstance(error, AutomlTlError):
        error = ShortageError(f"memory did not suffice: {sentence(error)}")
    if isinstance(error, AutomlTlError):
        _show_traceback(error, wanted)
        _say_sentence(error)
        return error.exit_code
    if machine := _of_the_machine(error):
        _show_traceback(error, wanted)
        _say(f"Error: {machine}")
        _say_notes(error)
        return AutomlTlError.exit_code
    _show_traceback(error, wanted or verbose)
    _say(_unexpected(error, shown=wanted or verbose))
    return EXIT_UNEXPECTED


def _say_interrupted(error: BaseException, *, keeps: bool) -> None:
    """Say what is kept and how to go on: as the notes have it, where there are any, else by the same command."""
    what = f"Ended by {error.signal.name}" if isinstance(error, Ended) else "Interrupted"
    way_on = "." if hasattr(error, "__notes__") else f", {SAME_COMMAND}"
    _say(f"\n{what}; {KEPT}{way_on}" if keeps else f"\n{what}.")
    _say_notes(error)


def _of_the_machine(error: BaseException) -> str | None:
    """Return the sentence for a full disk, a path that is too long and the like; None for what may be a bug."""
    number = _number(error)
    if number not in _WAYS_OUT:
        return None
    name = getattr(error, "filename", None)
    if name is None:
        _silence_stdout()  # it may be what is full
    where = "standard output or a file" if name is None else f"'{one_line(name)}'"
    return f"{where} cannot be read or written ({os.strerror(number)}): {_WAYS_OUT[number]}."


def _number(error: BaseException) -> int:
    """Return the system's number of an error, also of one that a library has wrapped; 0 where there is none."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    wrapped = re.search(r"\(os error ([0-9]+)\)", str(error))  # safetensors
    return int(wrapped[1]) if wrapped else 0


def _say_sentence(error: AutomlTlError) -> None:
    _say(f"Error: {one_line(error) or type(error).__name__}")
    _say_notes(error)


def _say_notes(error: BaseException) -> None:
    for note in getattr(error, "__notes__", ()):
        _say(f"  {one_line(note)}")


def _unexpected(error: BaseException, *, shown: bool) -> str:
    what = f"{type(error).__name__}: {one_line(error)}".rstrip(": ")
    traceback_hint = "" if shown else f" with --verbose or {TRACEBACK_VARIABLE}=1, which show the traceback"
    return f"Error: unexpected {what}. This is a bug: please report it{traceback_hint}."


def _show_traceback(error: BaseException, wanted: bool) -> None:
    if wanted:
        _say("".join(traceback.format_exception(error)).rstrip())


def _say(text: str) -> None:
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=True)


def _silence_stdout() -> None:
    """Point standard output at nothing, so that the interpreter's last flush finds no closed pipe."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a stream with no file has no pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
