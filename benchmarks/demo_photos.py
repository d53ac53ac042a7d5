"""Choose the photos of the demo: a few of each class, the same ones every time.

    python benchmarks/demo_photos.py ../shared/data/clothing/train datasets_meta/demo

Files are copied byte for byte; those larger than 40 kB are passed over: the sample stays under 1.8 MB.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import click

LARGEST_FILE = 40_000
LARGEST_TOTAL = 1_800_000


def choose(source: Path, per_class: int, seed: int) -> list[Path]:
    """Return `per_class` files of every class folder of `source`, sorted; the draw depends on names alone."""
    chosen: list[Path] = []
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        files = sorted(path for path in folder.iterdir() if path.stat().st_size <= LARGEST_FILE)
        chosen += sorted(random.Random(f"{seed}/{folder.name}").sample(files, per_class))
    return chosen


def copy(files: list[Path], target: Path) -> None:
    """Replace the class folders of `target` by copies of `files`."""
    if target.exists():
        shutil.rmtree(target)
    for file in files:
        folder = target / file.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / file.name)


@click.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--per-class", default=8, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(source: Path, target: Path, per_class: int, seed: int) -> None:
    """Copy PER_CLASS photos of every class in SOURCE to TARGET."""
    files = choose(source, per_class, seed)
    total = sum(file.stat().st_size for file in files)
    if total > LARGEST_TOTAL:
        raise click.ClickException(f"{total:,} bytes are more than {LARGEST_TOTAL:,}; choose fewer per class")
    copy(files, target)
    print(f"{len(files)} photos, {total:,} bytes, in {target}")


if __name__ == "__main__":
    main()
