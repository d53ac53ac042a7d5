"""A backbone as one module: pictures in, the statistics of every stage out."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from automl_tl.backbones.stages import Network, Pooled, pool_stage, stage_outputs


class PooledStages(nn.Module):
    """The stages of a network and how each is pooled, as torch runs them and as a graph can be traced from them.

    Args:
        network: built, in eval mode; its modules are shared, not copied.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.stages = nn.ModuleList(network.stages)  # so that a trace finds their parameters

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return float32 (N, d) by names like "3/mean" of `inputs`, normalised float32 (N, 3, S, S)."""
        network, found = self.network, dict[str, Tensor]()
        for cut, output in enumerate(stage_outputs(network, inputs), 1):
            found.update(_named(cut, pool_stage(network, output, cut)))
        return found


def _named(cut: int, pooled: Pooled) -> Iterator[tuple[str, Tensor]]:
    yield f"{cut}/mean", pooled.mean
    if pooled.std is not None:
        yield f"{cut}/std", pooled.std
    if pooled.grid is not None:
        yield f"{cut}/grid", pooled.grid
    if pooled.patches is not None:
        yield f"{cut}/patches", pooled.patches
