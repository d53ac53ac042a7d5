"""Joining a Ray that runs, or starting one: its settings, and whose signals are whose."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from automl_tl.errors import OptionError
from automl_tl.wording import clean

PATIENCE = 10.0
"""Seconds in which whoever is at RAY_ADDRESS must answer."""
_ANY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_task_oom_retries": "1",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
}
"""Ray's settings: it tells nobody that it is used; no warning of what its next version does anyway; what takes too much
memory is not begun for ever; no traceback of work whose result is no longer waited for, as that of a pruned trial."""
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}
"""The same of a Ray of this machine alone: on every system it listens on loopback, and to who knows its token."""


def joined(address: str) -> Any:
    """Return the module of a Ray that was joined or started; whoever has joined one already stays there.

    Args:
        address: see `RayExecutor`.

    Raises:
        OptionError: Ray is not installed, or none answers.
    """
    alone = address == "local" and "ray" not in sys.modules  # it reads its settings when it is imported
    for name, value in {**_ANY, **({**_ALONE, "RAY_AUTH_TOKEN": secrets.token_hex(32)} if alone else {})}.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise OptionError("--ray needs a package that is missing: pip install 'automl-tl[ray]'") from error
    if not ray.is_initialized():
        _check_address(address)
        dashboard = False if address == "local" else None
        try:
            with _signals_for_later(), _handler_as_it_was():  # the handler is back before what came is heard
                ray.init(address, include_dashboard=dashboard, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise _unanswered(address, error) from error
        except SystemExit:  # Ray's handler: the signal, kept from this thread, has met one that draws progress
            signal.raise_signal(signal.SIGTERM)
            raise
    return ray


def _check_address(address: str) -> None:
    """Raise OptionError where nobody is at RAY_ADDRESS: Ray itself would try for minutes."""
    named = os.environ.get("RAY_ADDRESS", "")
    host, _, port = named.rpartition(":")
    if address != "auto" or "/" in named or not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise _unanswered(f"{address} with RAY_ADDRESS={clean(named)}", error) from error


def _unanswered(address: str, error: Exception) -> OptionError:
    reason = " ".join(str(error).split())
    if address == "local":
        return OptionError(f"--ray local: Ray cannot be started here ({reason}); leave --ray out")
    return OptionError(
        f"--ray {address}: no Ray answers ({reason}); --ray local starts one, and RAY_AUTH_MODE=token with "
        "RAY_AUTH_TOKEN in the environment, or ~/.ray/auth_token, joins one that asks for a token"
    )


@contextmanager
def _handler_as_it_was() -> Iterator[None]:
    """Put back who handles SIGTERM: Ray would end this process without a word."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _signals_for_later() -> Iterator[None]:
    """Keep SIGTERM and SIGHUP from the processes that are started meanwhile, as Ray itself keeps SIGINT from them.

    A closed terminal, timeout(1) and schedulers tell every process of a group, and this one could not end well if Ray's
    were gone; they end with it. What comes meanwhile comes afterwards.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
