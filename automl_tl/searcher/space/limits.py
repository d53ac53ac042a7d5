"""What a model may be at most: parameters, latency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from automl_tl.errors import OptionError
from automl_tl.lab.networks import Networks
from automl_tl.lab.timing import latencies
from automl_tl.learning.configuration import Configuration


@dataclass(frozen=True)
class Limits:
    """The largest cut of every backbone that may be used; without a limit all of them may."""

    largest_cut: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    """By backbone, why not more."""

    def fault(self, configuration: Configuration) -> str | None:
        """Return why a configuration may not be used, or None."""
        ruled_out = self.rules_out(configuration.backbone, configuration.cuts)
        return self.reasons[configuration.backbone] if ruled_out else None

    def rules_out(self, backbone: str, cuts: Iterable[int]) -> bool:
        """Return whether one of a backbone's cuts is too large."""
        return backbone in self.largest_cut and max(cuts) > self.largest_cut[backbone]


def measure_limits(
    networks: Networks, names: tuple[str, ...], *, max_params: int | None, max_latency_ms: float | None
) -> tuple[tuple[str, ...], Limits]:
    """Return the backbones of which anything may be used, and how much of each.

    Raises:
        OptionError: nothing fits.
    """
    if max_params is None and max_latency_ms is None:
        return names, Limits()
    largest: dict[str, int] = {}
    reasons: dict[str, str] = {}
    for name in names:
        largest[name], reasons[name] = _largest_cut(networks, name, max_params, max_latency_ms)
    fitting = tuple(name for name in names if largest[name] > 0)
    if not fitting:
        raise OptionError(f"no backbone fits: {'; '.join(reasons.values())}; allow more, or name another backbone")
    return fitting, Limits(largest, reasons)


def _largest_cut(
    networks: Networks, name: str, max_params: int | None, max_latency_ms: float | None
) -> tuple[int, str]:
    network = networks.network(name)
    sizes = [
        sum(p.numel() for stage in network.stages[: k + 1] for p in stage.parameters()) for k in range(network.n_stages)
    ]
    slow = [1000 * s for s in latencies(network, networks.engine)] if max_latency_ms is not None else []
    cut = 0
    for k in range(network.n_stages):
        if max_params is not None and sizes[k] > max_params:
            return cut, f"{name} up to stage {k + 1} has {sizes[k]:,} parameters, more than {max_params:,}"
        if max_latency_ms is not None and slow[k] > max_latency_ms:
            return cut, f"{name} up to stage {k + 1} takes {slow[k]:.1f} ms a picture, more than {max_latency_ms:g}"
        cut = k + 1
    return cut, ""
