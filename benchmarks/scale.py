"""Time and memory of `recommend` against what they are made of, on generated photos.

    python benchmarks/scale.py [--out benchmarks/results/scale.csv] [--only features memory classes]

- features: 500 photos, one backbone. The features stage on a cold cache against decoding alone plus the forward pass
  alone, the rest of the command, and the whole on a warm cache.
- memory: peak resident memory of the whole command with 500 and with 5,000 photos.
- classes: 1,000 classes with 10 pictures each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

BACKBONE = "efficientnet_lite0"
DEFAULT_OUT = Path(__file__).parent / "results" / "scale.csv"


def write_photos(root: Path, n_classes: int, per_class: int, size: tuple[int, int] = (640, 480)) -> Path:
    """Write JPEG pictures of smooth noise, every class with a pattern of its own."""
    for label in range(n_classes):
        folder = root / f"class{label:04d}"
        folder.mkdir(parents=True)
        pattern = np.random.default_rng(label).integers(0, 256, (6, 8, 3))
        for number in range(per_class):
            noise = np.random.default_rng([label, number]).integers(0, 256, (6, 8, 3))
            coarse = (0.6 * pattern + 0.4 * noise).astype(np.uint8)
            Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(folder / f"{number}.jpg", quality=90)
    return root


def run(data: Path, cache: Path, *options: str) -> tuple[dict[str, float], float, float]:
    """Return the seconds of every part, the wall clock and the peak memory (MB) of the command in a new process."""
    command = [sys.executable, "-m", "automl_tl", "recommend", str(data), "--backbone", BACKBONE, "--format", "json"]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--cache-dir", str(cache), *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"recommend failed with status {status}")
    return json.loads(text)["seconds"], time.perf_counter() - start, usage.ru_maxrss / 1024


def decode_alone(files: list[Path]) -> float:
    from automl_tl.data.decode import Preprocessing
    from automl_tl.features.engine import choose_engine
    from automl_tl.features.extract import Picture, batches

    pictures = [Picture(str(file), "") for file in files]
    start = time.perf_counter()
    for _ in batches(pictures, Preprocessing(224, "squash", "bicubic"), 32, choose_engine().threads):
        pass
    return time.perf_counter() - start


def forward_alone(n: int) -> float:
    from automl_tl.backbones.registry import get_backbone
    from automl_tl.backbones.stages import build_network
    from automl_tl.features.engine import choose_engine

    engine = choose_engine()
    network = build_network(BACKBONE, get_backbone(BACKBONE), device=engine.device)
    batch = torch.rand(32, 3, 224, 224, device=engine.device).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), engine.autocast():
        network.module.forward_features(batch)  # type: ignore[operator]
        start = time.perf_counter()
        for _ in range(n // 32):
            network.module.forward_features(batch)  # type: ignore[operator]
        return (time.perf_counter() - start) * n / (n // 32 * 32)


def features(folder: Path) -> list[dict[str, object]]:
    data = write_photos(folder / "photos", 10, 50)
    cold, cold_wall, _ = run(data, folder / "cache")
    warm, warm_wall, _ = run(data, folder / "cache")
    files = sorted(data.rglob("*.jpg"))[::5] * 4  # a fifth is held aside as the test part, so 400 are looked at
    decode, forward = decode_alone(files), forward_alone(len(files))
    rest = cold_wall - cold["features"]
    return [
        row("features stage, cold", cold["features"], "s"),
        row("decoding alone", decode, "s"),
        row("forward pass alone", forward, "s"),
        row("features stage over decoding + forward pass", cold["features"] / (decode + forward), "ratio"),
        row("rest of the command, cold", rest, "s"),
        row("whole command, warm", warm_wall, "s"),
        row("features stage, warm", warm["features"], "s"),
    ]


def memory(folder: Path) -> list[dict[str, object]]:
    rows = []
    for per_class in (50, 500):
        data = write_photos(folder / f"photos{per_class}", 10, per_class)
        _, wall, peak = run(data, folder / f"cache{per_class}")
        rows += [
            row(f"peak memory, {10 * per_class} photos", peak, "MB"),
            row(f"wall, {10 * per_class} photos", wall, "s"),
        ]
    return rows


def classes(folder: Path) -> list[dict[str, object]]:
    data = write_photos(folder / "many", 1000, 10, (160, 120))
    parts, wall, peak = run(data, folder / "cache")
    print(parts)
    return [row("1,000 classes x 10, wall", wall, "s"), row("1,000 classes x 10, peak memory", peak, "MB")]


def row(what: str, value: float, unit: str) -> dict[str, object]:
    print(f"{what:48s} {value:10.2f} {unit}", flush=True)
    return {"what": what, "value": round(value, 3), "unit": unit}


PARTS: dict[str, Callable[[Path], list[dict[str, object]]]] = {
    "features": features,
    "memory": memory,
    "classes": classes,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    done = pd.read_csv(arguments.out).to_dict("records") if arguments.out.exists() else []
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            fresh = PARTS[name](Path(folder))
        known = {entry["what"] for entry in fresh}
        done = [entry for entry in done if entry["what"] not in known] + fresh
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(done).to_csv(arguments.out, index=False)


if __name__ == "__main__":
    main()
