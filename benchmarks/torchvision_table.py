"""Write the torchvision plugin's catalogue.csv from the installed torchvision's own enums of weights.

    python benchmarks/torchvision_table.py

Nothing is downloaded and no network is built.
"""

from __future__ import annotations

import csv

from automl_tl_torchvision.catalogue import COLUMNS, FILE, Entry, from_weights, to_row
from torchvision import models


def published() -> list[Entry]:
    """Return every set of weights of torchvision's classifiers, an architecture's default first."""
    entries = []
    for arch in sorted(models.list_models(module=models)):
        weights = models.get_model_weights(arch)
        members = sorted(weights, key=lambda one: (one is not weights.DEFAULT, one.name))
        entries += [from_weights(arch, one) for one in members]
    return entries


def main() -> None:
    entries = published()
    with FILE.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(to_row(entry) for entry in entries)
    print(f"{len(entries)} sets of weights of {len({entry.arch for entry in entries})} architectures in {FILE.name}")


if __name__ == "__main__":
    main()
