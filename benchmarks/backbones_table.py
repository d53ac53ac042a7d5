"""Write the tables of published facts: datasets_meta/backbones.csv and the timm plugin's catalogue.csv.

    python benchmarks/backbones_table.py TABLES

TABLES is a folder with files of timm's `results/` (Apache-2.0), under the names below. The rest comes from
the `pretrained_cfg`s of the installed timm. Nothing is downloaded and no network is run.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pandas as pd
import timm
import torch
from automl_tl_timm.catalogue import COLUMNS, FILE, Entry, from_config, to_row

ROOT = Path(__file__).resolve().parents[1]
PRIOR = ROOT / "datasets_meta" / "backbones.csv"
TOP1 = "timm-results-imagenet.csv"
CPU = "timm-infer-cpu-i7_12700h.csv"
GPU = "timm-infer-gpu-rtx4090-amp.csv"
BUNDLED = {f"efficientnet_lite{n}": f"tf_efficientnet_lite{n}.in1k" for n in (0, 1, 2)}


def main(tables: Path) -> None:
    top1 = pd.read_csv(tables / TOP1, thousands=",")
    cpu, gpu = pd.read_csv(tables / CPU), pd.read_csv(tables / GPU)
    entries = published(parameter_counts(top1, cpu, gpu))
    write_catalogue(entries)
    prior = prior_table(entries, top1, cpu, gpu)
    prior.to_csv(PRIOR, index=False, float_format="%.6g", lineterminator="\n")
    print(f"{len(entries)} sets of weights in {FILE.name}, {len(prior)} rows in {PRIOR.name}")


def parameter_counts(top1: pd.DataFrame, *speeds: pd.DataFrame) -> dict[str, float]:
    """Return parameters in millions, by full name where known, else by architecture."""
    by_arch = pd.concat(speeds).drop_duplicates("model").set_index("model")["param_count"]
    by_name = top1.drop_duplicates("model").set_index("model")["param_count"]
    return {**by_arch.to_dict(), **by_name.to_dict()}


def published(params: dict[str, float]) -> list[Entry]:
    """Return every set of weights of the installed timm, an architecture's default first."""
    entries = []
    for arch in sorted(timm.list_models()):
        default = timm.get_pretrained_cfg(arch)
        full = timm.list_pretrained(f"{arch}.*")
        full.sort(key=lambda name: (default is None or name != f"{arch}.{default.tag}", name))
        for name in full:
            config = timm.get_pretrained_cfg(name)
            if config.input_size[0] != 3 or config.input_size[1] != config.input_size[2]:
                continue
            millions = params.get(name) or params.get(arch) or counted(arch)
            entries.append(from_config(arch, config, round(millions, 2)))
    return entries


def counted(arch: str) -> float:
    """Count the parameters of a network that no table has, in millions, without memory."""
    with torch.device("meta"):
        net = timm.create_model(arch, pretrained=False)
    return sum(parameter.numel() for parameter in net.parameters()) / 1e6


def write_catalogue(entries: list[Entry]) -> None:
    with FILE.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(to_row(entry) for entry in entries)


def prior_table(entries: list[Entry], top1: pd.DataFrame, cpu: pd.DataFrame, gpu: pd.DataFrame) -> pd.DataFrame:
    """Return one row per backbone about which something was measured, the bundled ones first."""
    defaults = {entry.arch: entry.name for entry in reversed(entries)}
    rows = []
    for entry in entries:
        name = entry.arch if defaults[entry.arch] == entry.name else entry.name
        rows.append(facts(f"timm:{name}", entry, top1, cpu, gpu))
    by_name = {entry.name: entry for entry in entries}
    bundled = [facts(name, by_name[full], top1, cpu, gpu) for name, full in BUNDLED.items()]
    table = pd.DataFrame(bundled + rows)
    return table.dropna(subset=["top1", "cpu_pictures_per_s", "gpu_pictures_per_s"], how="all")


def facts(name: str, entry: Entry, top1: pd.DataFrame, cpu: pd.DataFrame, gpu: pd.DataFrame) -> dict[str, object]:
    accuracy = at_size(top1, entry.name, "img_size", entry.input_size, exact=False)
    on_cpu = at_size(cpu, entry.arch, "infer_img_size", entry.input_size, exact=True)
    on_gpu = at_size(gpu, entry.arch, "infer_img_size", entry.input_size, exact=True)
    macs = on_cpu if on_cpu is not None else on_gpu
    return {
        "name": name,
        "top1": None if accuracy is None else accuracy["top1"],
        "params_millions": entry.params_millions,
        "gmacs": None if macs is None else macs["infer_gmacs"],
        "cpu_pictures_per_s": None if on_cpu is None else on_cpu["infer_samples_per_sec"],
        "gpu_pictures_per_s": None if on_gpu is None else on_gpu["infer_samples_per_sec"],
        "input_size": entry.input_size,
        "pretrained_on": entry.pretrained_on,
        "tag": entry.tag,
        "licence": entry.licence,
    }


def at_size(table: pd.DataFrame, model: str, column: str, size: int, *, exact: bool) -> pd.Series | None:
    """Return a model's row at `size` pixels, or at the nearest size if it need not be exact."""
    rows = table[table["model"] == model]
    if exact:
        rows = rows[rows[column] == size]
    if rows.empty:
        return None
    return rows.iloc[(rows[column] - size).abs().argmin()]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
