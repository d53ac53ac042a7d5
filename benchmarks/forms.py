"""What it costs to read the same pictures as files, from Parquet, and from archives: speed and memory.

    python benchmarks/forms.py [--pictures 5000] [--rounds 3] [--out benchmarks/results/forms.csv]

Every form is read in a process of its own, on an empty cache: listed, scanned, decoded alone, and features extracted by
a real network, at 64 pixels, where it takes so little that a form weighs more than it will. Pictures are asked for in
the order of a recommendation, which is no file's; a fifth of them is held aside and not extracted. Forms take turns;
of the rounds the fastest counts, and the most memory. The network has one thread. Beside seconds by the clock (`_s`)
stand those of processors (`_cpu`, of every thread and child), which other load on the machine hardly changes. `ratio`
is the speed of extraction, reading included, over that from files; `decode_ratio` is the same without a network;
`cpu_ratio` and `decode_cpu_ratio` are of processor time.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
from PIL import Image
from pyarrow import parquet

BACKBONE = "efficientnet_lite0"
SIDE = 64  # pixels that the network sees
SIZE = (256, 192)
CLASSES = 10
ROWS = 100  # of a group, as Hugging Face writes data sets of pictures
SHARD = 1000  # pictures of a tar
RESULTS = Path(__file__).parent / "results" / "forms.csv"


def photo(label: int, number: int) -> bytes:
    """Return a JPEG of smooth noise; every class has a pattern of its own."""
    pattern = np.random.default_rng(label).integers(0, 256, (6, 8, 3))
    noise = np.random.default_rng([label, number]).integers(0, 256, (6, 8, 3))
    coarse = Image.fromarray((0.6 * pattern + 0.4 * noise).astype(np.uint8))
    file = io.BytesIO()
    coarse.resize(SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def as_files(root: Path, content: list[tuple[str, bytes]]) -> Path:
    for number, (label, picture) in enumerate(content):
        file = root / "files" / label / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture)
    return root / "files"


def as_parquet(root: Path, content: list[tuple[str, bytes]]) -> Path:
    table = pyarrow.table(
        {
            "image": [{"bytes": picture, "path": None} for _, picture in content],
            "label": [label for label, _ in content],
        }
    )
    parquet.write_table(table, root / "a.parquet", row_group_size=ROWS)
    return root / "a.parquet"


def as_one_group(root: Path, content: list[tuple[str, bytes]]) -> Path:
    """Write all rows in one group, as pandas does."""
    file = as_parquet(root, content)
    parquet.write_table(parquet.read_table(file), root / "one.parquet")
    return root / "one.parquet"


def as_tar(root: Path, content: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(root / "a.tar", "w") as file:
        for number, (label, picture) in enumerate(content):
            add(file, f"{label}/{number}.jpg", picture)
    return root / "a.tar"


def as_webdataset(root: Path, content: list[tuple[str, bytes]]) -> Path:
    (root / "shards").mkdir()
    for start in range(0, len(content), SHARD):
        with tarfile.open(root / "shards" / f"{start // SHARD:06d}.tar", "w") as file:
            for number, (label, picture) in enumerate(content[start : start + SHARD], start):
                add(file, f"{number:08d}.jpg", picture)
                add(file, f"{number:08d}.cls", label.encode())
    return root / "shards"


def add(file: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    file.addfile(info, io.BytesIO(content))


def as_zip(root: Path, content: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(root / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for number, (label, picture) in enumerate(content):
            file.writestr(f"{label}/{number}.jpg", picture)
    return root / "a.zip"


FORMS: dict[str, Callable[[Path, list[tuple[str, bytes]]], Path]] = {
    "files": as_files,
    "Parquet": as_parquet,
    "Parquet, one group": as_one_group,
    "tar": as_tar,
    "WebDataset": as_webdataset,
    "zip": as_zip,
}


def measure(data: Path, cache: Path) -> dict[str, float]:
    """Return what listing, scanning, decoding and extraction take, in this process."""
    from automl_tl.data import assign_splits, open_dataset, scan
    from automl_tl.data.decode import Preprocessing
    from automl_tl.features.engine import choose_engine
    from automl_tl.features.extract import Pass, extract
    from automl_tl.features.pixels import batches
    from automl_tl.features.store import FeatureStore
    from automl_tl.lab.networks import Networks, Overrides
    from automl_tl.lab.sample import draw_sample
    from automl_tl.memory import tune_malloc

    tune_malloc()
    networks = Networks(choose_engine("cpu"), cache, Overrides({}), frozenset())
    way = Pass(networks.network(BACKBONE), Preprocessing(SIDE), networks.engine)
    found: dict[str, float] = {}
    with clock("list", found):
        listed = open_dataset(data)
    with clock("scan", found):
        scanned = scan(listed, cache_dir=cache)[0]
    pictures = draw_sample(assign_splits(scanned, 0), len(scanned), 0).pictures
    ordered = sorted(pictures, key=lambda one: one.place)
    with clock("decode", found):
        for _ in batches(ordered, way.how, way.at_once):
            pass
    with clock("extract", found):
        extract(way, pictures, FeatureStore(cache))
    return {"pictures": len(pictures), **found}


@contextmanager
def clock(name: str, found: dict[str, float]) -> Iterator[None]:
    start, used = time.perf_counter(), processor_seconds()
    yield
    found[f"{name}_s"] = time.perf_counter() - start
    found[f"{name}_cpu"] = processor_seconds() - used


def processor_seconds() -> float:
    """Return what this process, all its threads and its children that have ended have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def in_a_process(data: Path) -> dict[str, float]:
    """Return what `measure` does in a new process, and its peak memory, MB."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, __file__, "--measure", str(data), "--cache", cache]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{data} failed with status {status}")
    return {**json.loads(text.splitlines()[-1]), "peak_mb": usage.ru_maxrss / 1024}


def table(n: int, rounds: int) -> pd.DataFrame:
    content = [(f"class{number % CLASSES}", photo(number % CLASSES, number)) for number in range(n)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = {}
        for name, write in FORMS.items():
            (root := Path(folder) / name.replace(" ", "")).mkdir()
            data[name] = write(root, content)
        for turn in range(rounds):
            for name, path in data.items():
                rows.append({"form": name, **in_a_process(path)})
                print(turn, rows[-1], flush=True)
    every = pd.DataFrame(rows).groupby("form", sort=False)
    frame = every.min().assign(peak_mb=every["peak_mb"].max()).reset_index()
    for part, prefix in (("decode", "decode_"), ("extract", "")):
        for unit, ratio in (("s", "ratio"), ("cpu", "cpu_ratio")):
            seconds = frame[f"{part}_{unit}"]
            frame[f"{prefix}{ratio}"] = seconds.iloc[0] / seconds
    return frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        print(json.dumps(measure(arguments.measure, arguments.cache)))
        return
    frame = table(arguments.pictures, arguments.rounds).round(3)
    frame.to_csv(arguments.out, index=False)
    print(frame.to_string(index=False))


if __name__ == "__main__":
    main()
