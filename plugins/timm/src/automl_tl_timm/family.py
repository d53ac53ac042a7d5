"""The family itself: names, and one backbone by name."""

from __future__ import annotations

from dataclasses import dataclass

from automl_tl_timm import catalogue, hub
from automl_tl_timm.backbone import TimmBackbone


@dataclass(frozen=True)
class TimmFamily:
    """timm's classifiers: `timm:resnet50`, or `timm:resnet50.a1_in1k` for other weights than the default."""

    api_version: int = 1

    def names(self) -> list[str]:
        """Return the architectures for which timm publishes weights."""
        return sorted(catalogue.defaults())

    def local_names(self) -> list[str]:
        """Return the names whose weights are in the hub's cache folder on this machine."""
        defaults = catalogue.defaults()
        found = [entry for entry in catalogue.entries().values() if entry.source and hub.cached_file(entry.source)]
        return [entry.arch if defaults[entry.arch] is entry else entry.name for entry in found]

    def get(self, name: str) -> TimmBackbone:
        """Return the backbone `arch` or `arch.tag`.

        Raises:
            ValueError: timm has no such architecture, or no such weights for it.
        """
        return TimmBackbone(catalogue.find(name), name)


family = TimmFamily()
