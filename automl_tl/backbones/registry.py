"""Every installed backbone by name: look one up, list them all, ask where their weights are.

Nothing here builds a network or imports torch. How plugins are loaded, and what a broken one does, is in
`automl_tl.backbones.plugins`.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from automl_tl.backbones import presets, validation
from automl_tl.backbones.contract import Backbone, Family, WeightsInfo
from automl_tl.backbones.plugins import Plugin, load_plugins, said, tell_once
from automl_tl.backbones.time_limit import TimeUpError, time_limit
from automl_tl.chatter import chatter
from automl_tl.errors import BackboneError

__all__ = [
    "BackboneRow",
    "Plugin",
    "describe",
    "get_backbone",
    "installed_name",
    "installed_plugin",
    "load_plugins",
    "local_backbones",
    "origin",
    "weights_info",
]


@dataclass(frozen=True)
class BackboneRow:
    """One line of the list of backbones; nothing was built for it."""

    name: str
    distribution: str
    version: str
    source: str
    """The entry point's target."""
    pretrained_on: str = ""
    input_size: int | None = None
    """S, pixels; None where the plugin is broken."""
    weights: WeightsInfo | None = None
    """None where the plugin is broken."""
    problem: str | None = None
    disabled: bool = False
    """Switched off by the user; `problem` says so."""


def get_backbone(name: str) -> Backbone:
    """Return the backbone called `name`: "efficientnet_lite0", or "timm:resnet50" from a family.

    Raises:
        BackboneError: No such name (close matches are given), or its plugin is broken or switched off.
    """
    plugins = load_plugins()
    first, colon, rest = name.partition(":")
    plugin = plugins.get(first)
    if first in presets.NAMES:
        example = presets.members(first, "cpu")[0].backbone
        raise BackboneError(f"{first!r} is a preset of several backbones; name one of them here, such as {example}")
    if plugin is None:
        raise BackboneError(f"there is no backbone {name!r}{_hint(name, plugins)}")
    if plugin.error is not None:
        raise BackboneError(f"the backbone {name!r} cannot be used: {plugin.error}")
    if plugin.family is not None:
        return _member(plugin, rest, plugins)
    if colon:
        raise BackboneError(f"{first!r} is a backbone, not a family, so {name!r} names nothing; use {first!r}")
    return cast(Backbone, plugin.backbone)


def installed_plugin(name: str) -> Plugin | None:
    """Return the plugin that "resnet" or "timm:resnet50" belongs to, broken or not; None where there is none."""
    return load_plugins().get(name.partition(":")[0])


def origin(name: str) -> str:
    """Return the distribution and version behind a backbone's name, "some-plugin 1.2"; empty where there is none."""
    plugin = installed_plugin(name)
    return f"{plugin.distribution} {plugin.version}" if plugin is not None else ""


def installed_name(backbone: object) -> str:
    """Return the entry point's name of this very object; empty where no plugin is it."""
    return next((name for name, plugin in load_plugins().items() if plugin.backbone is backbone), "")


def weights_info(name: str, backbone: Backbone) -> WeightsInfo:
    """Return where the weights of `backbone` come from, without building it.

    A backbone without `weights()` gets its distribution's name and version as the identity.

    Raises:
        BackboneError: `weights()` raises or returns something else than the contract says.
    """
    given = _ask(name, "cannot say where its weights are", backbone.weights) if hasattr(backbone, "weights") else None
    if given is None:
        plugin = installed_plugin(name)
        source = f"{plugin.distribution}=={plugin.version}" if plugin is not None else type(backbone).__qualname__
        return WeightsInfo(identity=f"{source}/{name}")
    fault = validation.weights_fault(given)
    if fault is not None:
        raise BackboneError(f"{_whose(name)}: {fault}")
    found = given if isinstance(given, WeightsInfo) else WeightsInfo(**given)
    return replace(found, address=found.address or "", licence=found.licence or "")  # a plugin may say None


def local_backbones() -> list[str]:
    """Return the names of all backbones whose weights are on this machine, bundled ones first.

    One that cannot say where its weights are is left out with a warning, once per process.
    """
    rows = list(_rows(load_plugins(), local_only=True))
    for row in rows:
        if row.problem is not None and not row.disabled:
            tell_once(row.problem)
    return [row.name for row in rows if row.weights is not None and row.weights.local]


def describe() -> list[BackboneRow]:
    """Return one row per backbone, broken plugins and switched-off ones with the reason; builds nothing."""
    return list(_rows(load_plugins(shown=True), local_only=False))


def _rows(plugins: dict[str, Plugin], *, local_only: bool) -> Iterator[BackboneRow]:
    for key, plugin in plugins.items():
        if plugin.error is not None:
            yield _row(key, plugin, problem=plugin.error, disabled=plugin.disabled)
        elif plugin.family is None:
            yield _filled_row(key, plugin)
        else:
            try:
                names = _family_names(plugin, local_only=local_only)
            except BackboneError as error:
                yield _row(key, plugin, problem=str(error))
                continue
            yield from (_filled_row(f"{key}:{name}", plugin) for name in names)


def _row(name: str, plugin: Plugin, **more: Any) -> BackboneRow:
    return BackboneRow(name, plugin.distribution, plugin.version, plugin.target, **more)


def _filled_row(name: str, plugin: Plugin) -> BackboneRow:
    try:
        backbone = plugin.backbone or _member(plugin, name.partition(":")[2], None)
        weights = weights_info(name, backbone)
    except BackboneError as error:
        return _row(name, plugin, problem=str(error))
    on, size = backbone.pretrained_on, backbone.input_size
    return _row(name, plugin, pretrained_on=on, input_size=size, weights=weights)


def _family_names(plugin: Plugin, *, local_only: bool) -> list[str]:
    """Return a family's names; those that only `local_names` knows come last."""
    family = cast(Any, plugin.family)
    local: list[str] = []
    if hasattr(family, "local_names"):
        local = _ask(plugin.name, "cannot say which weights are on this machine", lambda: list(family.local_names()))
        if local_only:
            return local
    names: list[str] = _ask(plugin.name, "cannot list its names", lambda: list(family.names()))
    known = set(names)
    return names + [name for name in local if name not in known]


def _member(plugin: Plugin, name: str, plugins: dict[str, Plugin] | None) -> Backbone:
    """Return one backbone of a family, checked. `plugins` serves the hint for a wrong name."""
    family = cast(Family, plugin.family)
    if not name:
        example = next(iter(_family_names(plugin, local_only=False)), "NAME")
        raise BackboneError(f"{plugin.name!r} is a family; name one of its backbones, such as {plugin.name}:{example}")
    try:
        with chatter(), time_limit():
            backbone = family.get(name)
    except (Exception, SystemExit, TimeUpError) as error:
        hint = _hint(f"{plugin.name}:{name}", plugins or {})
        raise BackboneError(f"{_of(plugin)} has no backbone {name!r} ({said(error)}){hint}") from error
    fault = validation.backbone_fault(backbone)
    if fault is not None:
        raise BackboneError(f"{_of(plugin)} gives a backbone {name!r} that breaks the contract: {fault}")
    return backbone


def _hint(name: str, plugins: dict[str, Plugin]) -> str:
    """Return "; did you mean ...?" with close matches, or where to look."""
    candidates = [key for key, plugin in plugins.items() if plugin.error is None and plugin.family is None]
    for key, plugin in plugins.items():
        if plugin.family is not None:
            with contextlib.suppress(BackboneError):
                candidates += [f"{key}:{member}" for member in _family_names(plugin, local_only=False)]
    exact = [one for one in candidates if one.partition(":")[2] == name]
    close = exact or difflib.get_close_matches(name, candidates, n=3, cutoff=0.7)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return "; `automl-tl backbones list` shows those that exist"


def _ask(name: str, what: str, call: Any) -> Any:
    """Call a plugin's method; whatever it raises becomes a BackboneError: NAME `what`: it raised ..."""
    try:
        with chatter(), time_limit():
            return call()
    except BackboneError:
        raise
    except (Exception, SystemExit, TimeUpError) as error:
        raise BackboneError(f"{_whose(name)} {what}: it raised {said(error)}") from error


def _whose(name: str) -> str:
    plugin = installed_plugin(name)
    return f"backbone {name!r} of {plugin.distribution} {plugin.version}" if plugin else f"backbone {name!r}"


def _of(plugin: Plugin) -> str:
    return f"family {plugin.name!r} of {plugin.distribution} {plugin.version}"
