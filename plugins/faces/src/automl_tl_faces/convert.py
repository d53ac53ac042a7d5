"""Make face_resnet29's weights file from the npm package that publishes it.

    npm pack @vladmandic/face-api@1.7.15 && tar xzf vladmandic-face-api-1.7.15.tgz
    python -m automl_tl_faces.convert package/model face_resnet29.safetensors

The same package always gives the same bytes, so the file has the identity that its reference was made for.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

MODEL = "face_recognition_model"
NAMES = (("/", "."), ("conv.filters", "conv.weight"), ("scale.weights", "g"), ("scale.biases", "b"))


def convert(folder: Path) -> dict[str, np.ndarray]:
    """Return the tensors by the network's names, convolution kernels in float16, the rest in float32.

    Raises:
        FileNotFoundError: The folder does not hold the model.
    """
    manifest = json.loads((folder / f"{MODEL}-weights_manifest.json").read_text(encoding="utf-8"))
    data = (folder / f"{MODEL}.bin").read_bytes()
    position, tensors = 0, {}
    for about in manifest[0]["weights"]:
        name, values, position = _named(about, data, position)
        tensors[name] = values
    return tensors


def _named(about: dict[str, Any], data: bytes, position: int) -> tuple[str, np.ndarray, int]:
    """Return one tensor's name and values, and where the next one begins."""
    scaled = about.get("quantization")
    stored = np.dtype(np.uint8 if scaled else np.float32)
    values = np.frombuffer(data, stored, int(np.prod(about["shape"])), position)
    end = position + values.nbytes
    if scaled:
        values = values.astype(np.float32) * np.float32(scaled["scale"]) + np.float32(scaled["min"])
    values = values.reshape(about["shape"])
    name = about["name"]
    for old, new in NAMES:
        name = name.replace(old, new)
    if values.ndim == 4:  # height, width, in, out
        return name, np.ascontiguousarray(values.transpose(3, 2, 0, 1).astype(np.float16)), end
    return (f"{name}.weight", np.ascontiguousarray(values.T), end) if name == "fc" else (name, values, end)


if __name__ == "__main__":
    save_file(convert(Path(sys.argv[1])), sys.argv[2])
