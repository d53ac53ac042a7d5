"""What will be fetched, said before it is."""

from __future__ import annotations

from collections.abc import Mapping

from automl_tl.backbones.contract import WeightsInfo


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
