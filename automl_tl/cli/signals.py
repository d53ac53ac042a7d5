"""SIGTERM, which schedulers send, and SIGHUP, of a closed terminal, end a command as Ctrl-C does."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))

_LATER = 0.05
"""Seconds after which a signal is given again that came where nothing can be raised."""


class Ended(KeyboardInterrupt):
    """The command was told to end by a signal other than Ctrl-C's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.signal = signal.Signals(number)

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells have it."""
        return 128 + self.signal


@contextmanager
def ending_signals() -> Iterator[list[Ended]]:
    """Raise `Ended` where the main thread is when such a signal comes; yield the list of those that came.

    A signal that is ignored (nohup) or handled by others stays so.
    """
    came: list[Ended] = []

    def end(number: int, frame: FrameType | None) -> None:
        if _is_unheard(frame):
            again = threading.Timer(_LATER, _give_again, (number,))
            again.daemon = True
            again.start()
            return
        came.append(Ended(number))
        _leave_lost_terminal()
        raise came[-1]

    in_main = threading.current_thread() is threading.main_thread()  # no other thread may set a handler
    taken = [one for one in ENDING if in_main and signal.getsignal(one) is signal.SIG_DFL]
    for one in taken:
        signal.signal(one, end)
    try:
        yield came
    finally:
        for one in taken:
            signal.signal(one, signal.SIG_DFL)


def _give_again(number: int) -> None:
    """Send a signal to the main thread: one that another thread raises in itself wakes nobody who sleeps there."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)
    else:
        signal.raise_signal(number)


def _is_unheard(frame: FrameType | None) -> bool:
    """Return whether Python would print what is raised here, and forget it: while an object is deleted."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or (code.co_name == "cb" and code.co_filename.startswith("<frozen importlib")):
            return True
        frame = frame.f_back
    return False


def _leave_lost_terminal() -> None:
    """Point streams whose terminal is gone at nothing: what is still written must not fail."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # a stream with no file has no terminal
            number = stream.fileno()
            if stat.S_ISCHR(os.fstat(number).st_mode) and not os.isatty(number):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
