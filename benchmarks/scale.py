"""How time and memory grow with pictures, classes and backbones, on generated photos.

    python benchmarks/scale.py [--out benchmarks/results/scale.csv] [--only features memory classes ...]

- features: 500 photos, one backbone. The features stage on a cold cache against decoding alone plus the forward pass
  alone, the rest of the command, and the whole on a warm cache.
- memory: `recommend` with 500, 5,000 and 50,000 pictures.
- classes: `recommend --no-try-training` with 2, 10, 100 and 1,000 classes of 10 pictures, as a short fine-tuning would
  fill two minutes of each.
- backbones: the same with one to six of them, 500 photos, and with each of them alone: the three that are
  bundled, and three of timm with random weights, which cost what real ones do.
- views: five frozen trials on 2,000 pictures, of each picture alone and in further views.
- search: `search --budget 10m` of 20,000 pictures of 50 classes, by default and with the three backbones.
- hundred_thousand: `recommend` on 100,000 pictures of 96 pixels, 50 classes.

Every command starts on a cold cache, in a process of its own. Resident memory counts mapped files, which the system
may drop at any time; anonymous memory does not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

BUNDLED = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
BACKBONE = BUNDLED[0]
UNTRIED = "--no-try-training"
RANDOM = ("timm:mobilenetv3_small_100", "timm:resnet10t", "timm:regnetx_002")
"""Backbones whose weights are made up here."""
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


@dataclass(frozen=True)
class Measured:
    """What a command printed and took."""

    text: str
    wall: float
    """Seconds."""
    anonymous: float
    """Peak of the memory that is not mapped from files, MB."""
    resident: float
    """Peak of all, with mapped files that could be dropped at any time, MB."""


def run(data: Path, cache: Path, *options: str) -> tuple[dict[str, float], Measured]:
    """Return the seconds of every part of `recommend`, and what it took in a new process."""
    backbones = () if "--backbone" in options else ("--backbone", BACKBONE)
    took = measured("recommend", str(data), "--format", "json", "--cache-dir", str(cache), *backbones, *options)
    return json.loads(took.text)["seconds"], took


def measured(*arguments: str) -> Measured:
    """Run a command in a new process."""
    return measured_python("-m", "automl_tl", *arguments)


def measured_python(*arguments: str) -> Measured:
    """Run Python with these arguments in a new process."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    peak = [0.0]
    watching = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
    watching.start()
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)} failed with status {status}")
    return Measured(text, time.perf_counter() - start, peak[0], usage.ru_maxrss / 1024)


def _watch(pid: int, peak: list[float]) -> None:
    """Keep the largest anonymous memory of a process, MB, until it ends."""
    with contextlib.suppress(OSError):
        while found := re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()):
            peak[0] = max(peak[0], int(found[1]) / 1024)
            time.sleep(0.1)


def decode_alone(files: list[Path]) -> float:
    from automl_tl.data.decode import Preprocessing
    from automl_tl.features.picture import Picture
    from automl_tl.features.pixels import batches

    pictures = [Picture(str(file), "") for file in files]
    start = time.perf_counter()
    for _ in batches(pictures, Preprocessing(224, "squash", "bicubic"), 32):
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
    cold, first = run(data, folder / "cache")
    warm, second = run(data, folder / "cache")
    files = sorted(data.rglob("*.jpg"))[::5] * 4  # a fifth is held aside as the test part, so 400 are looked at
    decode, forward = decode_alone(files), forward_alone(len(files))
    rest = first.wall - cold["features"]
    return [
        row("features stage, cold", cold["features"], "s"),
        row("decoding alone", decode, "s"),
        row("forward pass alone", forward, "s"),
        row("features stage over decoding + forward pass", cold["features"] / (decode + forward), "ratio"),
        row("rest of the command, cold", rest, "s"),
        row("whole command, warm", second.wall, "s"),
        row("features stage, warm", warm["features"], "s"),
    ]


def memory(folder: Path) -> list[dict[str, object]]:
    rows = []
    for per_class in (50, 500, 5000):
        data = write_photos(folder / f"photos{per_class}", 10, per_class, (160, 120))
        rows += recommended(f"{10 * per_class} pictures", data, folder / f"cache{per_class}")
        shutil.rmtree(data)
    return rows


def classes(folder: Path) -> list[dict[str, object]]:
    rows = []
    for n_classes in (2, 10, 100, 1000):
        data = write_photos(folder / f"classes{n_classes}", n_classes, 10, (160, 120))
        rows += recommended(f"{n_classes} classes x 10", data, folder / f"cache{n_classes}", UNTRIED)
    return rows


def backbones(folder: Path) -> list[dict[str, object]]:
    data, rows = write_photos(folder / "photos", 10, 50), []
    chosen = [*((name, []) for name in BUNDLED), *((name, random_weights(folder, name)) for name in RANDOM)]
    options = [["--backbone", name, *weights] for name, weights in chosen]
    alone = []
    for (name, _), own in zip(chosen, options, strict=True):
        alone.append(run(data, folder / f"cache of {name}", *own, UNTRIED)[1].wall)
        rows.append(row(f"500 photos, {name} alone: wall", alone[-1], "s"))
    for n in range(1, len(chosen) + 1):
        first = [word for own in options[:n] for word in own]
        _, took = run(data, folder / f"cache{n}", *first, UNTRIED)
        rows += rows_of(f"500 photos, {n} backbones", took)
        rows.append(row(f"500 photos, {n} backbones: over the sum of each alone", took.wall / sum(alone[:n]), "ratio"))
    return rows


def random_weights(folder: Path, name: str) -> list[str]:
    """Write weights that nothing has learned; return the options that name their file."""
    import timm
    from safetensors.torch import save_file

    file = folder / f"{name.partition(':')[2]}.safetensors"
    state = timm.create_model(name.partition(":")[2], pretrained=False).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, file)
    return ["--weights", f"{name}={file}"]


def views(folder: Path) -> list[dict[str, object]]:
    data, rows = write_photos(folder / "photos", 10, 200, (160, 120)), []
    for name, without in (("alone", ["augmented"]), ("in further views", [])):
        options = {
            "trials": 5, "strategies": ["feature_extractor"], "backbones": [BACKBONE], "without": without,
            "out": str(folder / f"run {name}"), "cache_dir": str(folder / f"cache {name}"),
        }  # fmt: skip
        code = f"import automl_tl; automl_tl.search({str(data)!r}, **{options!r})"
        rows += rows_of(f"5 frozen trials, 2000 pictures {name}", measured_python("-c", code))
    return rows


def search(folder: Path) -> list[dict[str, object]]:
    data, rows = write_photos(folder / "photos", 50, 400, (96, 96)), []
    for n in (1, len(BUNDLED)):
        chosen = [option for name in BUNDLED[:n] for option in ("--backbone", name)]
        where = ("--cache-dir", str(folder / f"cache{n}"), "--out", str(folder / f"run{n}"))
        took = measured("search", str(data), "--budget", "10m", *where, *chosen)
        rows += rows_of(f"search of 600 s, 20000 pictures, {n} backbones", took)
    return rows


def hundred_thousand(folder: Path) -> list[dict[str, object]]:
    data = write_photos(folder / "photos", 50, 2000, (96, 96))
    return recommended("100000 pictures of 96 pixels", data, folder / "cache")


def recommended(what: str, data: Path, cache: Path, *options: str) -> list[dict[str, object]]:
    parts, took = run(data, cache, *options)
    print({name: round(seconds, 1) for name, seconds in parts.items()})
    return rows_of(what, took)


def rows_of(what: str, took: Measured) -> list[dict[str, object]]:
    return [
        row(f"{what}: wall", took.wall, "s"),
        row(f"{what}: peak of anonymous memory", took.anonymous, "MB"),
        row(f"{what}: peak of resident memory", took.resident, "MB"),
    ]


def row(what: str, value: float, unit: str) -> dict[str, object]:
    print(f"{what:48s} {value:10.2f} {unit}", flush=True)
    return {"what": what, "value": round(value, 3), "unit": unit}


PARTS: dict[str, Callable[[Path], list[dict[str, object]]]] = {
    "features": features,
    "memory": memory,
    "classes": classes,
    "backbones": backbones,
    "views": views,
    "search": search,
    "hundred_thousand": hundred_thousand,
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
