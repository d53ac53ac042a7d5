"""A time limit on a plugin's code in this process: its import, and the methods that describe it.

What builds a network runs in a process of its own instead, see `automl_tl.backbones.preflight`.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from automl_tl.errors import OptionError

VARIABLE = "AUTOML_TL_PREFLIGHT_SECONDS"
DEFAULT_SECONDS = 120.0


class TimeUpError(BaseException):
    """A plugin's code ran for too long. No `Exception`, so that the plugin's own handlers do not catch it."""


def preflight_seconds() -> float:
    """Return how long a plugin may take to be imported, or to be built and run on one batch; 0 for no limit.

    Read from $AUTOML_TL_PREFLIGHT_SECONDS at every call, 120 by default.

    Raises:
        OptionError: The variable is no number of seconds.
    """
    text = os.environ.get(VARIABLE, "").strip()
    try:
        seconds = float(text or DEFAULT_SECONDS)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e6:
        raise OptionError(f"{VARIABLE} must be a number of seconds, 0 for no limit, but is {text!r}")
    return seconds


@contextmanager
def time_limit() -> Iterator[None]:
    """Raise `TimeUpError` in the block once `preflight_seconds` are over.

    An alarm signal ends Python code and waiting, but not a loop inside a C extension. It needs Linux or macOS
    and the main thread; elsewhere, or where somebody else has set an alarm, there is no limit.
    """
    seconds = preflight_seconds()
    if not seconds or not _can_be_alarmed():
        yield
        return

    def ring(number: int, frame: Any) -> None:
        raise TimeUpError(f"it did not finish within {seconds:g} s ({VARIABLE} sets the limit)")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _can_be_alarmed() -> bool:
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        return False
    return signal.getitimer(signal.ITIMER_REAL)[0] == 0
