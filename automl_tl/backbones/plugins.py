"""The installed plugins, each loaded alone: a broken one is a `Plugin` with an `error`, told once.

A plugin is code that runs with the user's rights; what is contained here are mistakes, not malice.
Variables of the environment, read at every call:

- `AUTOML_TL_DISABLE_PLUGINS=a,b` switches plugins off, by entry point or by distribution;
- `AUTOML_TL_STRICT_PLUGINS=1` makes a broken plugin an error;
- `AUTOML_TL_PREFLIGHT_SECONDS=120` is how long an import may take, see `automl_tl.backbones.time_limit`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import cast

from automl_tl.backbones import discovery, validation
from automl_tl.backbones.contract import Backbone, Family
from automl_tl.backbones.time_limit import time_limit
from automl_tl.errors import BackboneError
from automl_tl.torch_state import kept_state

DISABLE = "AUTOML_TL_DISABLE_PLUGINS"
STRICT = "AUTOML_TL_STRICT_PLUGINS"

_logger = logging.getLogger("automl_tl.backbones")
_told: set[str] = set()


@dataclass(frozen=True)
class Plugin:
    """One entry point: a backbone, or a family of them, or the reason why it is neither."""

    name: str
    distribution: str
    version: str
    backbone: Backbone | None = None
    family: Family | None = None
    error: str | None = None
    """One sentence that names the distribution and its version."""
    disabled: bool = False
    """Switched off by the user; `error` says so."""
    target: str = ""
    """What the entry point names, as "module:attribute"."""

    @property
    def bundled(self) -> bool:
        """Whether it came with automl-tl."""
        return self.distribution == discovery.OWN_DISTRIBUTION


def source_files(plugin: Plugin) -> list[Path]:
    """Return the Python files of the top package of a plugin that was imported: it may be edited in place."""
    module = sys.modules.get(plugin.target.partition(":")[0].partition(".")[0])
    file = getattr(module, "__file__", None)
    if not file:
        return []
    path = Path(file)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    return [one for one in files if one.is_file()]


def load_plugins(*, shown: bool = False) -> dict[str, Plugin]:
    """Return all plugins by entry-point name, broken and switched-off ones too (see `Plugin.error`).

    A broken one is a warning, once per process; not where it is `shown`, by a caller who lists the errors.

    Two entry points with one name: the bundled one wins, then the first distribution by name; the loser is
    listed as "NAME [DISTRIBUTION]" with its error. The same target twice is one plugin.

    Raises:
        BackboneError: A plugin is broken and AUTOML_TL_STRICT_PLUGINS is set.
    """
    plugins = _load_all(tuple(sys.path), _disabled())
    broken = [plugin for plugin in plugins.values() if plugin.error and not plugin.disabled]
    if broken and is_strict():
        raise BackboneError(f"{broken[0].error} ({STRICT} is set)")
    for plugin in broken:
        tell_once(cast(str, plugin.error), shown=shown)
    return dict(plugins)


def is_strict() -> bool:
    """Say whether a broken plugin is an error, by $AUTOML_TL_STRICT_PLUGINS."""
    return os.environ.get(STRICT, "").strip().lower() not in ("", "0", "false", "no")


def tell_once(sentence: str, *, shown: bool = False) -> None:
    """Warn, once per process, however often the plugins are asked for; never where it is `shown` otherwise."""
    if sentence not in _told:
        _told.add(sentence)
        if not shown:
            _logger.warning("%s", sentence)


def said(error: BaseException) -> str:
    """Return an exception as "Type: text", on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@lru_cache(maxsize=8)
def _load_all(path: tuple[str, ...], disabled: frozenset[str]) -> dict[str, Plugin]:
    """Load every entry point. The arguments are what the result depends on."""
    plugins: dict[str, Plugin] = {}
    off = {found: _switched_off(found, disabled) for found in discovery.installed()}
    for found in sorted(off, key=off.__getitem__):  # stable: one that is switched off takes no name
        winner = plugins.get(found.name)
        if winner is None:
            plugins[found.name] = _disabled_plugin(found) if off[found] else _load(found)
        elif winner.target != found.target:
            other = _disabled_plugin(found) if off[found] else _shadowed(found, winner)
            plugins[f"{found.name} [{found.distribution}]"] = other
    return plugins


def _switched_off(found: discovery.Found, disabled: frozenset[str]) -> bool:
    return found.name in disabled or any(discovery.normalised(one) == found.distribution for one in disabled)


def _unloaded(found: discovery.Found) -> Plugin:
    return Plugin(found.name, found.distribution, found.version, target=found.target)


def _disabled_plugin(found: discovery.Found) -> Plugin:
    error = f"plugin {found.name!r} of {found.distribution} {found.version} is switched off by {DISABLE}"
    return replace(_unloaded(found), error=error, disabled=True)


def _load(found: discovery.Found) -> Plugin:
    plugin = _unloaded(found)
    try:
        candidate = _imported(found)
    except BackboneError as error:
        return replace(plugin, error=str(error))
    family = validation.is_family(candidate)
    fault = validation.family_fault(candidate) if family else validation.backbone_fault(candidate)
    if fault is not None:
        return replace(plugin, error=_broken(found, fault))
    if family:
        return replace(plugin, family=cast(Family, candidate))
    return replace(plugin, backbone=cast(Backbone, candidate))


def _imported(found: discovery.Found) -> object:
    """Import what the entry point names; whatever that raises, but for Ctrl-C, becomes a BackboneError."""
    fault = found.error or validation.name_fault(found.name)
    if fault is not None or found.entry_point is None:
        raise BackboneError(found.error or _broken(found, cast(str, fault)))
    try:
        # Standard output belongs to the command's own result, such as one JSON object.
        with contextlib.redirect_stdout(sys.stderr), kept_state(), time_limit():
            return found.entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise BackboneError(_broken(found, f"importing {found.target} raised {said(error)}")) from error


def _shadowed(found: discovery.Found, winner: Plugin) -> Plugin:
    """Return the loser of two entry points with one name."""
    taken = f"the name is taken by {winner.distribution} {winner.version}"
    fault = f"{taken}; switch one of the two off with {DISABLE}=DISTRIBUTION"
    return replace(_unloaded(found), error=_broken(found, fault))


def _broken(found: discovery.Found, fault: str) -> str:
    return f"plugin {found.name!r} of {found.distribution} {found.version} is broken: {fault}"


def _disabled() -> frozenset[str]:
    parts = os.environ.get(DISABLE, "").split(",")
    return frozenset(part.strip() for part in parts if part.strip())
