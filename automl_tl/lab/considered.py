"""Which backbones are considered: those that can be built, after saying what will be fetched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from automl_tl.backbones import presets
from automl_tl.backbones.contract import WeightsInfo
from automl_tl.backbones.plugins import is_strict
from automl_tl.backbones.presets import EVERYTHING, expand
from automl_tl.backbones.registry import local_backbones, weights_info
from automl_tl.errors import BackboneError, ShortageError
from automl_tl.lab.networks import Networks
from automl_tl.spare_time import UNLIMITED, SpareTime

T = TypeVar("T")


def usable_backbones(
    networks: Networks, wanted: Sequence[str], say: Callable[[str], None], spare: SpareTime = UNLIMITED
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the backbones to consider, and a note for each that had to be left out.

    One that the user gave a weights file for is considered in any case. Of a preset those are left out that cannot
    be fetched or built.

    Args:
        networks: builds them.
        wanted: names and presets that the user gave; "all" or none means all whose weights are on this machine.
        say: told, line by line and before anything is fetched, what is not on this machine, with sizes and licences.
        spare: time for more than one backbone.

    Raises:
        BackboneError: a backbone that the user named cannot be used, or none is left; any one that cannot be
            used where $AUTOML_TL_STRICT_PLUGINS is set.
    """
    default = local_backbones() if EVERYTHING in wanted or not wanted else []
    asked = [name for name in wanted if name != EVERYTHING]
    candidates = tuple(dict.fromkeys([*expand(asked, networks.engine.device), *networks.overrides.weights, *default]))
    for line in announcement(_known_weights(networks, candidates)):
        say(line)

    def build(name: str) -> None:  # returns nothing: of many networks only a few are kept
        networks.network(name)

    built, notes = without_broken(networks, candidates, build, spare)
    if not built:
        raise BackboneError(_none_left([name for name in asked if name in presets.NAMES], notes))
    return tuple(built), notes


def without_broken(
    networks: Networks, names: Sequence[str], work: Callable[[str], T], spare: SpareTime = UNLIMITED
) -> tuple[dict[str, T], tuple[str, ...]]:
    """Return what `work` gives by backbone, and a note for each backbone that fails at it and is left out.

    Args:
        networks: knows what the user asked for by name, and whose weights were given.
        names: backbones, in order.
        work: called with each name.
        spare: time for more than one backbone.

    Raises:
        BackboneError: one that was named, or has the user's weights, fails; any one in strict mode.
        ShortageError: the same, where memory did not suffice for it.
    """
    results: dict[str, T] = {}
    notes = []
    for name in names:
        if results and spare.is_over:
            notes.append(f"{name} is left out: there was no time for it; give a longer --budget, or fewer backbones")
            continue
        try:
            results[name] = work(name)
        except (BackboneError, ShortageError) as error:
            if name in networks.named or name in networks.overrides.weights or is_strict():
                raise
            notes.append(f"{name} is left out: {error}")
    return results, tuple(notes)


def _known_weights(networks: Networks, names: Sequence[str]) -> dict[str, WeightsInfo]:
    """Return where the weights of those backbones are that can say so; the others fail when they are built."""
    found = {}
    for name in names:
        with suppress(BackboneError):
            found[name] = weights_info(name, networks.backbone(name))
    return found


def _none_left(asked: Sequence[str], notes: Sequence[str]) -> str:
    """Return the sentence for no backbone at all; after a preset, with the way out that needs no hub."""
    if not notes:
        return "no backbone can be used: none is installed with its weights on this machine"
    if not asked:
        return f"no backbone can be used: {'; '.join(notes)}"
    first = notes[0].partition(" is left out: ")[2]
    more = f" (and {len(notes) - 1} more)" if len(notes) > 1 else ""
    here = ", ".join(local_backbones()[:3])
    way_out = f"; without --backbone those on this machine are considered ({here})" if here else ""
    return f"nothing of the preset {' or '.join(asked)} can be used: {first}{more}{way_out}"


def announcement(weights: Mapping[str, WeightsInfo]) -> tuple[str, ...]:
    """Return the lines that announce weights files which are not on this machine; none where all are.

    Args:
        weights: by backbone name; those that are local are passed over.
    """
    missing = {name: one for name, one in weights.items() if not one.local}
    if not missing:
        return ()
    known = [one.n_bytes for one in missing.values() if one.n_bytes is not None]
    count = "1 weights file is" if len(missing) == 1 else f"{len(missing)} weights files are"
    together = f", about {_size(sum(known))} in all" if len(known) > 1 else ""
    unknown = f" and {len(missing) - len(known)} of unknown size" if together and len(known) < len(missing) else ""
    return (
        f"{count} not on this machine and will be fetched{together}{unknown}:",
        *(_line(name, one) for name, one in missing.items()),
    )


def _line(name: str, weights: WeightsInfo) -> str:
    size = f"about {_size(weights.n_bytes)}" if weights.n_bytes is not None else "size unknown"
    licence = f"licence {weights.licence}" if weights.licence else "licence unknown"
    return f"  {name}: {size}, {licence}, from {weights.address or 'where its plugin says'}"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"
