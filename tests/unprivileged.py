"""Commands to which is forbidden what a file's mode forbids, though root may run the tests."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable

Restricted = Callable[..., subprocess.CompletedProcess[str]]
_PR_CAPBSET_DROP = 24  # of Linux's <sys/prctl.h>
_OVERRIDES = (1, 2)  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH of capabilities(7)


def python(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these words; raises SubprocessError where root cannot give up what it may do."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, preexec_fn=_give_up if is_root else None
    )


def _give_up() -> None:
    """Let what is executed next no longer read and write against a file's mode."""
    libc = ctypes.CDLL(None, use_errno=True)
    if any(libc.prctl(_PR_CAPBSET_DROP, one, 0, 0, 0) for one in _OVERRIDES):
        raise OSError(ctypes.get_errno(), "root stays root")
