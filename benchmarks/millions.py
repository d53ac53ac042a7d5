"""How time and memory grow with the number of pictures: listing, splitting, `inspect`, and `recommend` of a sample.

    python benchmarks/millions.py [--out benchmarks/results/millions.csv] [--sizes 10000 100000 1000000]
                                  [--only listing split recommend inspect] [--most-inspected 1000000] [--data FOLDER]

The pictures are BMPs of 8 pixels a side, all different, in 100 classes. Every step runs in a process of its own on a
cold cache. Memory is the peak of what is not mapped from files; the bytes per picture are its growth from the size
before. Those of split are the listing's too, with a hash of each picture that stands for the scan's; those of inspect
between 100,000 and a million are fewer, as above 200,000 pictures their comparison ends.
"""

from __future__ import annotations

import argparse
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scale import BACKBONE, measured_python

DEFAULT_OUT = Path(__file__).parent / "results" / "millions.csv"
N_CLASSES, SIDE = 100, 8
HEADER = struct.pack(
    "<2sIIIIiiHHIIiiII", b"BM", 54 + 3 * SIDE**2, 0, 54, 40, SIDE, SIDE, 1, 24, 0, 3 * SIDE**2, *[0] * 4
)
LISTING = "import sys; from automl_tl.data.dataset import open_dataset; open_dataset(sys.argv[1])"
SPLIT = """
import hashlib, sys
from automl_tl.data.dataset import open_dataset
from automl_tl.data.split import assign_splits
listed = open_dataset(sys.argv[1])
hashes = [hashlib.sha256(path.encode()).hexdigest() for path in listed.frame["path"]]
scanned = listed.frame.assign(sha256=hashes, width=8, height=8, cluster=range(len(hashes)))
assign_splits(listed.with_frame(scanned), 0)
"""
STEPS = ("listing", "split", "recommend", "inspect")


def write_pictures(root: Path, n: int) -> Path:
    """Write n small pictures of noise about the colour of their class, unless they are there."""
    for label in range(N_CLASSES):
        folder, rng = root / f"class{label:03d}", np.random.default_rng([label, n])
        folder.mkdir(parents=True, exist_ok=True)
        colour = rng.integers(0, 200, 3)
        for number in range(n // N_CLASSES):
            pixels = (rng.integers(0, 56, (SIDE, SIDE, 3)) + colour).astype(np.uint8)
            if not (file := folder / f"{number:06d}.bmp").exists():
                file.write_bytes(HEADER + pixels.tobytes())
    return root


def arguments_of(step: str, data: Path, cache: Path) -> tuple[str, ...]:
    """Return what is measured, as arguments of Python."""
    if step in ("listing", "split"):
        return ("-c", LISTING if step == "listing" else SPLIT, str(data))
    options = ("--backbone", BACKBONE, "--no-try-training") if step == "recommend" else ()
    return ("-m", "automl_tl", step, str(data), "--format", "json", "--cache-dir", str(cache), *options)


def rows_of(data: Path, n: int, steps: list[str], before: dict[str, tuple[int, float]]) -> Iterator[dict[str, object]]:
    """Yield what every step takes; `before` holds the pictures and the peak of the size before, by the step."""
    for step in steps:
        with tempfile.TemporaryDirectory() as cache:
            took = measured_python(*arguments_of(step, data, Path(cache)))
        row = {"step": step, "pictures": n, "wall_s": round(took.wall, 1), "peak_mb": round(took.anonymous)}
        if step in before:
            smaller, least = before[step]
            row["bytes_per_picture"] = round((took.anonymous - least) * 2**20 / (n - smaller))
        before[step] = n, took.anonymous
        print(row, flush=True)
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--most-inspected", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, help="where the pictures lie, or are written, to stay")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    before: dict[str, tuple[int, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for n in sorted(arguments.sizes):
            data = write_pictures((arguments.data or Path(folder)) / f"p{n}", n)
            steps = [one for one in arguments.only if one != "inspect" or n <= arguments.most_inspected]
            rows += rows_of(data, n, steps, before)
            pd.DataFrame(rows).to_csv(arguments.out, index=False)


if __name__ == "__main__":
    main()
