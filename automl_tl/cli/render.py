"""Where results and progress go: results to standard output, progress to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, Any

from rich.console import Console, RenderableType
from rich.text import Text

from automl_tl.monitor import Epoch, Progress, Status
from automl_tl.wording import clean, epoch_words

WIDTH_WITHOUT_TERMINAL = 100
BAR_CHARACTERS = " ▏▎▍▌▋▊▉█"


def result_console() -> Console:
    """Return a console on standard output: for results only."""
    return _console(sys.stdout)


def progress_console() -> Console:
    """Return a console on standard error: for progress and notices."""
    return _console(sys.stderr)


def _console(stream: IO[str]) -> Console:
    """Return a console that prints text literally: no markup, no emoji codes, nothing highlighted.

    Without a terminal there are no colours or control codes, whatever the environment asks for, and lines are
    100 characters wide, so that what is piped or tested is the same everywhere.
    """
    terminal = stream.isatty()
    _never_fail_on_characters(stream)
    return Console(
        file=stream,
        force_terminal=terminal,
        no_color=None if terminal else True,
        color_system="auto" if terminal else None,
        width=None if terminal else WIDTH_WITHOUT_TERMINAL,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False if not terminal else None,
    )


def _never_fail_on_characters(stream: IO[str]) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def print_result(*parts: RenderableType) -> None:
    """Print `parts` to standard output; plain strings are printed literally."""
    console = result_console()
    if console.is_terminal:
        console.print(*parts, sep="\n")
        return
    with console.capture() as capture:
        console.print(*parts, sep="\n")
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def print_json(value: Any) -> None:
    """Print ONE JSON object to standard output; numbers that JSON lacks (NaN, infinity) raise ValueError."""
    text = json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False)
    sys.stdout.write(text + "\n")


def literal(value: object, style: str = "") -> Text:
    """Return outside text (a path, a label) as it is, with control characters escaped."""
    return Text(clean(value), style=style)


def bar(share: float, width: int = 20) -> str:
    """Return a bar of at most `width` characters for a share from 0 to 1, in eighths of a character.

    >>> bar(0.5, width=4)
    '██'
    """
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (BAR_CHARACTERS[rest] if rest else "")


def notice(text: str) -> None:
    """Print one line to standard error."""
    progress_console().print(literal(text), soft_wrap=True)


class BarMonitor:
    """A monitor that shows every activity on standard error, as `progress` does."""

    def activity(self, name: str) -> AbstractContextManager[Progress]:
        """Show an activity."""
        return progress(name)

    def say(self, line: str) -> None:
        """Print one line."""
        notice(line)

    def show(self, status: Status) -> None:
        """Show nothing: this is no search."""

    def learned(self, epoch: Epoch) -> None:
        """Print where training is."""
        notice(epoch_words(epoch))


@contextmanager
def progress(activity: str) -> Iterator[Progress]:
    """Show how far `activity` is on standard error; yields a function of (done, total).

    On a terminal a bar that disappears at the end; elsewhere one line when it begins, or none
    where all is done at once.
    """
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with _live_bar(activity) as update:
            yield update
    else:
        yield _one_line(activity)


@contextmanager
def _live_bar(activity: str) -> Iterator[Progress]:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=progress_console(), transient=True) as bars:
        task = bars.add_task(clean(activity), total=None)

        def update(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        yield update


def _one_line(activity: str) -> Progress:
    said = False

    def update(done: int, total: int) -> None:
        nonlocal said
        if not said and done < total:
            said = True
            notice(f"{activity} ({total:,})")

    return update
