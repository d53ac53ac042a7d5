"""Try a third party's backbone once in a process of its own, before it is built in this one.

A build that raises is contained anywhere; one that hangs, crashes the interpreter or poisons a CUDA context
is contained only there. The child process imports the plugin, builds it, and runs one batch of two pictures. One that
passed is remembered on disk until the plugin, its weights or torch change. Bundled backbones are not tried.

The limit is $AUTOML_TL_PREFLIGHT_SECONDS, 120 by default, counted once torch is imported; 0 switches this
off. Where the weights are still to be downloaded, the child builds with random ones, as a download has no
limit; the next run, with the weights here, tries those.
"""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from automl_tl.backbones.child import run_in_child
from automl_tl.backbones.contract import Backbone
from automl_tl.backbones.overrides import Configured, configure
from automl_tl.backbones.plugins import Plugin, source_files
from automl_tl.backbones.registry import get_backbone, installed_plugin, weights_info
from automl_tl.backbones.time_limit import VARIABLE, preflight_seconds
from automl_tl.errors import BackboneError, WeightsError
from automl_tl.version import __version__

_CHILD = "automl_tl.backbones.preflight_process"


def try_out(name: str, backbone: Backbone, *, device: str = "cpu", memory: Path | None = None) -> None:
    """Build an installed third party's backbone in another process; return at once for any other.

    Args:
        name: As the registry calls it.
        backbone: What the registry gave, with the user's overrides.
        device: Where it will be built.
        memory: Folder where those that passed are remembered; None remembers none.

    Raises:
        WeightsError: Its weights cannot be read.
        BackboneError: Any other fault: it raises, hangs, crashes, or fails its preflight.
        OptionError: The time limit in the environment is no number.
    """
    plugin = installed_plugin(name)
    seconds = preflight_seconds()
    if plugin is None or plugin.bundled or not seconds or not _is_its(plugin, backbone):
        return
    request = _request(name, backbone, device)
    proof = memory / f"{_key(plugin, name, backbone, request)}.json" if memory is not None else None
    if proof is not None and proof.is_file():
        return
    _try(plugin, request, seconds)
    if proof is not None:
        with suppress(OSError):  # of a read-only cache: the next run tries it again
            proof.parent.mkdir(parents=True, exist_ok=True)
            proof.write_text(json.dumps({"name": name, "plugin": f"{plugin.distribution} {plugin.version}"}))


def _is_its(plugin: Plugin, backbone: Backbone) -> bool:
    """Say whether another process finds this object under its name: not one that merely uses the name."""
    inner = backbone.wrapped if isinstance(backbone, Configured) else backbone
    return plugin.family is not None or plugin.backbone is inner


def _request(name: str, backbone: Backbone, device: str) -> dict[str, Any]:
    local = weights_info(name, backbone).local
    return {"name": name, "device": device, "pretrained": local, "options": _options(backbone)}


def _options(backbone: Backbone) -> dict[str, Any]:
    """Return the user's overrides as JSON values for `configure`."""
    if not isinstance(backbone, Configured):
        return {}
    file = backbone.weights_file
    return {
        "weights": str(file.resolve()) if file is not None else None,
        "mean": backbone.own_mean,
        "std": backbone.own_std,
        "input_size": backbone.own_input_size,
    }


def requested_backbone(request: dict[str, Any]) -> Backbone:
    """Return, in the child, the backbone that a request names, with its overrides."""
    return configure(request["name"], get_backbone(request["name"]), **request["options"])


def _try(plugin: Plugin, request: dict[str, Any], seconds: float) -> None:
    events: list[dict[str, Any]] = []
    ending = run_in_child(_CHILD, request, seconds=seconds, on_event=events.append)
    fault = next((event for event in events if "fault" in event), None)
    if fault is not None:
        raise (WeightsError if fault["weights"] else BackboneError)(fault["fault"])
    if ending.kind != "done":
        whose = f"{request['name']} ({plugin.distribution} {plugin.version})"
        limit = f"; {VARIABLE} sets the limit" if ending.kind == "hang" else ""
        raise BackboneError(f"{whose}: built and run on one batch in a process of its own, it {ending.text}{limit}")


def _key(plugin: Plugin, name: str, backbone: Backbone, request: dict[str, Any]) -> str:
    facts = {
        **request,
        "plugin": [plugin.distribution, plugin.version, plugin.target, _source(plugin)],
        "weights": asdict(weights_info(name, backbone)),
        "versions": [__version__, sys.version, metadata.version("torch")],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _source(plugin: Plugin) -> list[tuple[str, int, int]]:
    """Return the files of the plugin with size and time of change."""
    found = [(str(one), one.stat()) for one in source_files(plugin)]
    return [(name, status.st_size, status.st_mtime_ns) for name, status in found]
