"""Weights on this machine and on the hub: found in the hub's own cache folder, without network or torch.

The environment is read at every call. timm's own way asks the hub first, even for a file that is here, and
offline that takes most of a minute.
"""

from __future__ import annotations

import os
import ssl
import threading
import time
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, getproxies, urlopen

FILE_NAMES = (
    "model.safetensors",
    "pytorch_model.bin",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
)
SECONDS = 5.0
"""How long to wait for the hub's answer."""
REMEMBERED_SECONDS = 30.0
"""How long a hub that did not answer is not asked again: several backbones may be wanted one after the other."""

_silent: dict[str, float] = {}
"""When a hub did not answer, on the monotonic clock, by its address and proxy."""


def cache_folder() -> Path:
    """Return the hub's cache folder, as huggingface_hub finds it."""
    explicit = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if explicit:
        return Path(explicit).expanduser()
    home = os.environ.get("HF_HOME")
    if home:
        return Path(home).expanduser() / "hub"
    return _user_cache() / "huggingface" / "hub"


def cached_file(source: str) -> tuple[Path, str] | None:
    """Return the weights file of a repository ("timm/resnet50.a1_in1k") or URL, and its revision.

    None where it is not on this machine.
    """
    if source.startswith(("http://", "https://")):
        file = _torch_checkpoints() / Path(urlsplit(source).path).name
        return (file, "") if file.is_file() else None
    repository = cache_folder() / f"models--{source.replace('/', '--')}"
    for revision in _revisions(repository):
        for name in FILE_NAMES:
            file = repository / "snapshots" / revision / name
            if file.is_file():
                return file, revision
    return None


def offline_reason(source: str) -> str | None:
    """Return why a source cannot be fetched, within `SECONDS`; None where its server answers: the hub, or a URL's own.

    A connection alone says little: behind a proxy it may lead nowhere, and the hub's own client then tries again
    for most of a minute.
    """
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(variable, "").upper() in ("1", "ON", "YES", "TRUE"):
            return f"{variable} is set"
    is_url = source.startswith(("http://", "https://"))
    endpoint = source if is_url else os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    host, port = _contact(endpoint)
    key, now = f"{endpoint} {host}:{port}", time.monotonic()
    if now - _silent.get(key, -REMEMBERED_SECONDS) >= REMEMBERED_SECONDS:
        answers: list[bool] = []
        # A thread, since looking up a name obeys no time limit.
        thread = threading.Thread(target=lambda: answers.append(_answers(endpoint)), daemon=True)
        thread.start()
        thread.join(SECONDS)
        if answers == [True]:
            return None
        _silent[key] = now
    return f"no connection to {host}"


def _contact(endpoint: str) -> tuple[str, int]:
    """Return what a download would talk to first: a proxy, or the hub itself."""
    scheme = urlsplit(endpoint).scheme or "https"
    proxy = getproxies().get(scheme)
    parts = urlsplit(proxy if proxy and "//" in proxy else f"//{proxy}" if proxy else endpoint)
    default = 80 if (parts.scheme or scheme) == "http" else 443
    return parts.hostname or "huggingface.co", parts.port or default


def _answers(endpoint: str) -> bool:
    try:
        with urlopen(Request(endpoint, method="HEAD"), timeout=SECONDS):
            return True
    except HTTPError as error:
        return error.code < 500  # a refusal is an answer; what it refuses, the download will say
    except URLError as error:
        return isinstance(error.reason, ssl.SSLError)  # the hub's client has certificates of its own
    except (OSError, ValueError):
        return False


def _revisions(repository: Path) -> list[str]:
    """Return the revisions of a cached repository, the one that `main` names first."""
    try:
        found = sorted(path.name for path in (repository / "snapshots").iterdir())
    except OSError:
        return []
    try:
        main = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        return found
    return sorted(found, key=lambda revision: revision != main)


def _torch_checkpoints() -> Path:
    home = os.environ.get("TORCH_HOME")
    return (Path(home).expanduser() if home else _user_cache() / "torch") / "hub" / "checkpoints"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
