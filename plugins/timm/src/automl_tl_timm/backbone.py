"""One timm classifier as a backbone. Importing this module imports neither torch nor timm."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_tl_timm import hub
from automl_tl_timm.catalogue import Entry, Triple

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class TimmBackbone:
    """An architecture with one set of its weights; the facts are timm's `pretrained_cfg`."""

    entry: Entry
    name: str
    """As the user gave it, for messages."""
    api_version: int = 1

    @property
    def input_size(self) -> int:
        """S, pixels."""
        return self.entry.input_size

    @property
    def mean(self) -> Triple:
        """RGB, of inputs in [0, 1]."""
        return self.entry.mean

    @property
    def std(self) -> Triple:
        """RGB, of inputs in [0, 1]."""
        return self.entry.std

    @property
    def pretrained_on(self) -> str:
        """The set that it was trained on last."""
        return self.entry.pretrained_on

    @property
    def interpolation(self) -> str:
        """As in timm's evaluation."""
        return self.entry.interpolation

    @property
    def labels(self) -> tuple[str, ...]:
        """Readable names of its own classifier's outputs; empty where unknown."""
        from automl_tl_timm.heads import labels

        return labels(self.entry.n_labels)

    def weights(self) -> dict[str, Any]:
        """Return where the weights are, from the hub's cache folder; no torch, no network."""
        source, params = self.entry.source, self.entry.params_millions
        cached = hub.cached_file(source) if source else None
        if cached is not None:
            file, revision = cached
            identity = f"{source}@{revision}" if revision else source
            about = {
                "identity": identity,
                "n_bytes": file.stat().st_size,
                "local": True,
                "address": str(file),
            }
        else:
            address = source if "://" in source or not source else f"hf-hub: {source}"
            n_bytes = round(params * 4e6) if params is not None else None
            about = {"identity": source or "none", "n_bytes": n_bytes, "local": False, "address": address}
        return {**about, "licence": self.entry.licence}

    def build(
        self, *, pretrained: bool = True, weights: Path | None = None, input_size: int | None = None
    ) -> nn.Module:
        """Return a new network in float32 on the CPU.

        Args:
            pretrained: Load weights: from the hub's cache folder, else from the hub; False for random ones.
            weights: A local file (.safetensors, or a weights-only .pth, .pt, .bin) in place of these;
                the classifier may be missing from it.
            input_size: S, pixels, where it is not timm's; position embeddings are resampled.

        Raises:
            FileNotFoundError: There is no such file, or timm publishes no weights.
            ConnectionError: The weights are not here and cannot be fetched; says how to give a local file.
            ValueError: The local file lacks something that the stages need.
        """
        from automl_tl_timm import loading

        return loading.build(self.entry, self.name, pretrained=pretrained, file=weights, input_size=input_size)

    def stages(self, module: nn.Module) -> list[nn.Module]:
        """Return the network's stages; run in order they are timm's `forward_features`."""
        from automl_tl_timm.splitting import split

        return split(module, self.entry.input_size)

    def tokens(self, output: Tensor) -> Tensor:
        """Return (N, P, C): positions by channels, without class, distillation and register tokens."""
        from automl_tl_timm.layout import layout_of

        return layout_of(self.entry.arch).tokens(output)

    def pooled(self, output: Tensor) -> Tensor:
        """Return (N, D): the class token where timm's classifier reads it, else the mean over positions."""
        from automl_tl_timm.layout import layout_of

        return layout_of(self.entry.arch).pooled(output)

    def classifier(self, module: nn.Module) -> nn.Module | None:
        """Return the network's own classifier, (N, D) -> (N, n_labels) logits.

        None where it has none, or where it does not read the pooled vector.
        """
        from automl_tl_timm.heads import classifier

        return classifier(self.entry, module)

    def fine_tuning(self, module: nn.Module) -> dict[str, Any]:
        """Return what is published of fine-tuning this architecture."""
        from automl_tl_timm import fine_tuning

        return fine_tuning.fine_tuning(module, len(self.stages(module)))
