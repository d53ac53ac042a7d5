"""Published weights on this machine: in torch's own folder of checkpoints, found without network or torch.

The environment is read at every call.
"""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

SECONDS = 3.0
"""How long to wait for an answer to a connection."""


def folder() -> Path:
    """Return where torch.hub keeps what it downloaded: $TORCH_HOME/hub/checkpoints."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    home = Path(os.environ.get("TORCH_HOME") or cache / "torch")
    return home.expanduser() / "hub" / "checkpoints"


def cached(file_name: str) -> Path | None:
    """Return the file of that name; None where it is not on this machine."""
    file = folder() / file_name
    return file if file.is_file() else None


def names() -> set[str]:
    """Return the names of all files that are here."""
    try:
        return {path.name for path in folder().iterdir() if path.is_file()}
    except OSError:
        return set()


def offline_reason(url: str) -> str | None:
    """Return why nothing can be fetched, within `SECONDS`; None where the server, or a proxy to it, answers.

    `HF_HUB_OFFLINE` counts here too: torch has no such switch of its own.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "HF_HUB_OFFLINE is set"
    host, port = _contact(url)
    answers: list[bool] = []
    # A thread, since looking up a name obeys no time limit.
    thread = threading.Thread(target=lambda: answers.append(_connects(host, port)), daemon=True)
    thread.start()
    thread.join(SECONDS)
    return None if answers == [True] else f"no connection to {host}"


def _contact(url: str) -> tuple[str, int]:
    """Return what a download would talk to first: a proxy, or the server itself."""
    proxy = getproxies().get(urlsplit(url).scheme, "")
    parts = urlsplit(proxy if "//" in proxy else f"//{proxy}" if proxy else url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _connects(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=SECONDS):
            return True
    except OSError:
        return False
