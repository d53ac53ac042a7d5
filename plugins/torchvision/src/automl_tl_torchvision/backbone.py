"""One torchvision classifier as a backbone. Importing this module imports neither torch nor torchvision."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_tl_torchvision import checkpoints
from automl_tl_torchvision.catalogue import Entry, Triple

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class TorchvisionBackbone:
    """An architecture with one set of its weights; the facts are those of torchvision's enum of weights."""

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
        """The set that the network was trained on last."""
        return self.entry.pretrained_on

    @property
    def interpolation(self) -> str:
        """As in torchvision's evaluation."""
        return self.entry.interpolation

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of its own classifier's outputs; empty where it has no trained classifier."""
        from automl_tl_torchvision.heads import labels

        return labels(self.entry.arch, self.entry.tag) if self.entry.n_labels else ()

    def weights(self) -> dict[str, Any]:
        """Return where the weights are, from torch's folder of checkpoints; no torch, no network."""
        file = checkpoints.cached(self.entry.file_name)
        return {
            "identity": f"torchvision/{self.entry.file_name}",
            "n_bytes": file.stat().st_size if file else self.entry.n_bytes,
            "local": file is not None,
            "address": str(file) if file else self.entry.url,
            "licence": self.entry.licence,
        }

    def build(
        self, *, pretrained: bool = True, weights: Path | None = None, input_size: int | None = None
    ) -> nn.Module:
        """Return a new network in float32 on the CPU.

        Args:
            pretrained: Load weights: from torch's folder of checkpoints, else from their address; False for
                random ones.
            weights: A local file (.safetensors, or a weights-only .pth, .pt) in place of these; the classifier
                may be missing from it.
            input_size: S, pixels, where it is not torchvision's; a vision transformer's position embeddings
                are resampled, the others take any size.

        Raises:
            FileNotFoundError: There is no such file.
            ConnectionError: The weights are not here and cannot be fetched; says how to give a local file.
            ValueError: The local file lacks something that the stages need.
        """
        from automl_tl_torchvision import loading

        return loading.build(self.entry, self.name, pretrained=pretrained, file=weights, input_size=input_size)

    def stages(self, module: nn.Module) -> list[nn.Module]:
        """Return the network's stages; run in order they give what its classifier reads, before the pooling."""
        from automl_tl_torchvision.splitting import split

        return split(module, self.entry.input_size)

    def tokens(self, output: Tensor) -> Tensor:
        """Return (N, P, C) of (N, C, H, W), Swin's (N, H, W, C), ViT's (N, 1 + P, C) or (N, C)."""
        from automl_tl_torchvision.splitting import tokens

        return tokens(self.entry.arch, output)

    def pooled(self, output: Tensor) -> Tensor:
        """Return (N, D): ViT's class token, else the mean over positions."""
        from automl_tl_torchvision.splitting import pooled

        return pooled(self.entry.arch, output)

    def classifier(self, module: nn.Module) -> nn.Module | None:
        """Return the network's own classifier, (N, D) -> (N, n_labels) logits.

        None where it has none, or where it does not read the pooled vector.
        """
        from automl_tl_torchvision.heads import classifier

        return classifier(self.entry.arch, module, self.entry.input_size)

    def fine_tuning(self, module: nn.Module) -> dict[str, Any] | None:
        """Return what is published of fine-tuning this architecture; None for ConvNets with BatchNorm."""
        from automl_tl_torchvision import fine_tuning

        return fine_tuning.fine_tuning(module, len(self.stages(module)))
