"""The family itself: names, and one backbone by name."""

from __future__ import annotations

from dataclasses import dataclass

from automl_tl_torchvision import catalogue, checkpoints
from automl_tl_torchvision.backbone import TorchvisionBackbone


@dataclass(frozen=True)
class TorchvisionFamily:
    """torchvision's classifiers: `torchvision:resnet50`, or `torchvision:resnet50.IMAGENET1K_V1` for other weights."""

    api_version: int = 1

    def names(self) -> list[str]:
        """Return the architectures for which torchvision publishes weights."""
        return sorted(catalogue.defaults())

    def local_names(self) -> list[str]:
        """Return the names whose weights are among torch's checkpoints on this machine."""
        here, defaults = checkpoints.names(), catalogue.defaults()
        found = [entry for entry in catalogue.entries().values() if entry.file_name in here]
        return [entry.arch if defaults[entry.arch] is entry else entry.name for entry in found]

    def get(self, name: str) -> TorchvisionBackbone:
        """Return the backbone `arch` or `arch.WEIGHTS`.

        Raises:
            ValueError: torchvision has no such classifier, or no such weights for it.
        """
        return TorchvisionBackbone(catalogue.find(name), name)


family = TorchvisionFamily()
