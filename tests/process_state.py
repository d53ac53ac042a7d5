"""Say what importing modules changes in a process: names of modules come in as JSON, the changes go out as JSON.

Run by `test_process_state.py` in an interpreter of its own: {"others": [...], "own": [...]} on standard input.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import locale
import logging
import multiprocessing
import os
import random
import signal
import socket
import sys
import threading
import warnings
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageFile
import torch

linked: list[str] = []
"""Functions of C libraries that were looked up by name."""


def state() -> dict[str, Any]:
    """Return everything that an import could change unseen, as texts and JSON values."""
    loggers = {name: one for name, one in logging.root.manager.loggerDict.items() if isinstance(one, logging.Logger)}
    return {
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "path": list(sys.path),
        "hooks": list(map(repr, (sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook))),
        "streams": list(map(repr, (sys.stdin, sys.stdout, sys.stderr))),
        "recursion": sys.getrecursionlimit(),
        "warnings": list(map(repr, warnings.filters)),
        "logging": [logging.root.level, repr(logging.root.handlers), repr(logging.lastResort)],
        "loggers": {n: [one.level, repr(one.handlers)] for n, one in loggers.items() if one.level or one.handlers},
        "signals": {str(one): repr(signal.getsignal(one)) for one in signal.valid_signals()},
        "pictures": [PIL.Image.MAX_IMAGE_PIXELS, PIL.ImageFile.LOAD_TRUNCATED_IMAGES, sorted(PIL.Image.OPEN)],
        "random numbers": [repr(random.getstate()), repr(np.random.get_state()), torch.get_rng_state().tolist()],
        "threads": [torch.get_num_threads(), torch.get_num_interop_threads(), threading.active_count()],
        "torch": [str(torch.get_default_dtype()), torch.get_float32_matmul_precision(), torch.is_grad_enabled()],
        "numpy": [np.geterr(), repr(np.get_printoptions())],
        "processes": [multiprocessing.get_start_method(allow_none=True), len(multiprocessing.active_children())],
        "at exit": atexit._ncallbacks(),  # type: ignore[attr-defined]
        "garbage": [gc.isenabled(), gc.get_threshold()],
        "rest": [locale.setlocale(locale.LC_ALL), socket.getdefaulttimeout()],
        "malloc": "mallopt" in linked,
    }


def main() -> None:
    asked = json.load(sys.stdin)
    PIL.Image.init()
    for name in asked["others"]:  # what other packages do when they are imported is theirs
        importlib.import_module(name)
    sys.addaudithook(lambda event, args: linked.append(args[1]) if event == "ctypes.dlsym" else None)
    before = state()
    for name in asked["own"]:
        importlib.import_module(name)
    after = state()
    json.dump({key: [before[key], after[key]] for key in before if before[key] != after[key]}, sys.stdout)


if __name__ == "__main__":
    main()
