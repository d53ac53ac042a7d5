"""The two backbones: what is known of them without torch, and where their weights are published."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from torch import Tensor, nn

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class FaceBackbone:
    """A network that maps a face to a descriptor: near one another for one person, far apart for two."""

    name: str
    """The entry point."""
    module: str
    """The one in this package that holds its `Network`."""
    input_size: int
    """S, pixels."""
    mean: Triple
    std: Triple
    source: str
    """Where its weights are published; nothing is ever fetched from there."""
    licence: str
    reference: Path | None = None
    """Its pretraining domain, as automl-tl keeps it; of one weights file, whose identity stands in it."""
    pretrained_on: str = "faces"
    api_version: int = 1

    def build(self, *, pretrained: bool = True, weights: Path | None = None) -> nn.Module:
        """Return a new network in float32 on the CPU.

        Args:
            pretrained: Load weights; False gives a random network.
            weights: The local file to read: .safetensors, or a weights-only .pt, .pth.

        Raises:
            FileNotFoundError: No file was given, or there is none.
            ValueError: The file is not of this network.
        """
        from automl_tl_faces.reading import fill

        net = self._module().Network()
        if pretrained:
            if weights is None:
                raise FileNotFoundError(
                    f"the weights of {self.name} are not part of this plugin and are never downloaded; get them from "
                    f"{self.source} and give the file with --weights {self.name}=FILE"
                )
            fill(net, Path(weights), self.name)
        return cast("nn.Module", net)

    def stages(self, module: nn.Module) -> list[nn.Module]:
        """Return the stages from picture to descriptor (N, D, H, W)."""
        return cast("list[nn.Module]", cast(Any, module).stages())

    def pooled(self, output: Tensor) -> Tensor:
        """Return the published descriptor (N, D) of the last stage's output."""
        return cast("Tensor", self._module().Network.descriptor(output))

    def weights(self) -> dict[str, Any]:
        """Return where the weights are published, without importing torch: never on this machine by themselves."""
        return {"identity": self.source, "local": False, "address": self.source, "licence": self.licence}

    def _module(self) -> Any:
        return import_module(f"automl_tl_faces.{self.module}")


face_resnet29 = FaceBackbone(
    name="face_resnet29",
    module="resnet29",
    input_size=150,
    mean=(122.782 / 255, 117.001 / 255, 104.298 / 255),
    std=(1.0, 1.0, 1.0),
    source="npm: @vladmandic/face-api@1.7.15",
    licence="mit",
    reference=Path(__file__).with_name("face_resnet29.safetensors"),
)
inception_resnet_v1 = FaceBackbone(
    name="inception_resnet_v1",
    module="inception",
    input_size=160,
    mean=(127.5 / 255, 127.5 / 255, 127.5 / 255),
    std=(128 / 255, 128 / 255, 128 / 255),
    source="https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt",
    licence="mit",
)
