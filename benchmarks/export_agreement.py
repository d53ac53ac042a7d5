"""How well exported models agree with their bundles: several kinds of models, on real pictures.

    python benchmarks/export_agreement.py PICTURES [--kind ensemble] [--formats onnx torch] [--per-class 20]

PICTURES is a folder of class folders. Models of 20 pictures per class are fitted (what is trained learns for a few
steps only; the ViT has random weights), written as bundles, and exported with the command's own check on 100 of the
pictures: the largest difference of a probability at the model's size, and how many files get the same label in their
own size.
Appends to `results/export_agreement.csv`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from automl_tl.backbones.registry import get_backbone
from automl_tl.backbones.stages import Network, build_network
from automl_tl.data.dataset import open_dataset
from automl_tl.data.decode import Preprocessing, preprocess
from automl_tl.exporter.export import FORMATS, export
from automl_tl.learning.heads import solve_head
from automl_tl.learning.network_head import NetworkHead
from automl_tl.learning.tunable import copy_network
from automl_tl.model.bundle import save_bundle
from automl_tl.model.forward import forward, share_stages
from automl_tl.model.member import Member
from automl_tl.model.model import Model

RESULTS = Path(__file__).parent / "results" / "export_agreement.csv"
STEPS, BATCH = 12, 16


class Pictures:
    """Some labelled pictures of a folder."""

    def __init__(self, folder: Path, per_class: int) -> None:
        frame = open_dataset(folder).frame
        frame = frame.groupby("label").head(per_class)
        self.files = [Path(path) for path in frame["path"]]
        self.classes = tuple(sorted(frame["label"].unique()))
        self.y = frame["label"].map({label: i for i, label in enumerate(self.classes)}).to_numpy(np.int64)

    def prepared(self, how: Preprocessing) -> torch.Tensor:
        return torch.from_numpy(np.stack([preprocess(file, how) for file in self.files]))


def solved(pictures: Pictures, network: Network, cuts: tuple[int, ...], pooling: str) -> Member:
    """Return a softmax classifier on a frozen network."""
    backbone = network.backbone
    how = Preprocessing(backbone.input_size, interpolation=getattr(backbone, "interpolation", "bilinear"))
    d = {"mean": 1, "mean+std": 2, "grid": 4}[pooling] * sum(network.channels[cut - 1] for cut in cuts)
    blank = Member(network, cuts, pooling, NetworkHead(d, len(pictures.classes)).eval(), "softmax", how)
    seen: list[torch.Tensor] = []
    hook = blank.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    for batch in pictures.prepared(how).split(BATCH):
        forward([blank], {how: batch})
    hook.remove()
    X = torch.cat(seen).numpy()
    head = solve_head("softmax", X, pictures.y, len(pictures.classes), 0.1 * d / len(X))
    return replace(blank, head=NetworkHead.from_linear(head).eval())


def trained(pictures: Pictures, start: Member) -> Member:
    """Return a member whose last two stages and head went on learning, through `Model.module` as anybody may."""
    network = copy_network(start.network)
    head = NetworkHead(start.head.d, start.head.n_classes, hidden=64).eval()
    head.load_state_dict(start.head.state_dict(), strict=False)
    member = replace(start, network=network, head=head, kind="fully_connected")
    module = Model((member,), pictures.classes, 1.0, "squash").module()
    learning = [*head.parameters(), *(p for stage in network.stages[-2:] for p in stage.parameters())]
    optimiser = torch.optim.AdamW(learning, lr=1e-4)
    pixels, y = pictures.prepared(member.preprocessing), torch.tensor(pictures.y)
    for step in range(STEPS):
        rows = torch.randperm(len(y), generator=torch.Generator().manual_seed(step))[:BATCH]
        loss = torch.nn.functional.nll_loss(module(pixels[rows].float() / 255).clamp_min(1e-9).log(), y[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return member


def network_of(name: str, *, pretrained: bool = True) -> Network:
    torch.manual_seed(0)
    return build_network(name, get_backbone(name), pretrained=pretrained)


def feature_extractor(pictures: Pictures) -> list[Member]:
    return [solved(pictures, network_of("efficientnet_lite0"), (9,), "mean")]


def early_cut(pictures: Pictures) -> list[Member]:
    return [solved(pictures, network_of("efficientnet_lite0"), (4,), "mean+std")]


def fine_tuned(pictures: Pictures) -> list[Member]:
    return [trained(pictures, solved(pictures, network_of("efficientnet_lite0"), (9,), "mean"))]


def ensemble(pictures: Pictures) -> list[Member]:
    frozen = solved(pictures, network_of("efficientnet_lite0"), (7, 8), "mean+std")
    tuned = trained(pictures, solved(pictures, frozen.network, (9,), "mean"))
    return [replace(frozen, weight=0.4), replace(tuned, weight=0.6)]


def ensemble_of_two_sizes(pictures: Pictures) -> list[Member]:
    larger = solved(pictures, network_of("efficientnet_lite2"), (8,), "grid")
    members = zip((*ensemble(pictures), larger), (0.3, 0.3, 0.4), strict=True)
    return [replace(member, weight=weight) for member, weight in members]


def vit(pictures: Pictures) -> list[Member]:
    network = network_of("timm:vit_tiny_patch16_224", pretrained=False)
    return [solved(pictures, network, (6, network.n_stages), "mean")]


KINDS: dict[str, Callable[[Pictures], list[Member]]] = {
    "feature_extractor": feature_extractor,
    "early_cut": early_cut,
    "fine_tuned": fine_tuned,
    "ensemble": ensemble,
    "ensemble_of_two_sizes": ensemble_of_two_sizes,
    "vit": vit,
}


def measure(kind: str, folder: Path, formats: Sequence[str], per_class: int) -> list[dict[str, object]]:
    pictures = Pictures(folder, per_class)
    model = Model(share_stages(KINDS[kind](pictures)), pictures.classes, 1.5, "squash")
    rows = []
    with tempfile.TemporaryDirectory() as place:
        bundle = save_bundle(model, Path(place) / "bundle")
        for name in formats:
            begun = time.perf_counter()
            found = export(bundle, Path(place) / f"model{FORMATS[name].suffix}", format=name, check=folder)
            agreement, seconds = found.agreement, time.perf_counter() - begun
            rows.append(
                {
                    "data": folder.name,
                    "model": kind,
                    "format": name,
                    "megabytes": round(found.n_bytes / 1e6, 1),
                    "pictures": agreement.n,
                    "difference": f"{agreement.difference:.1e}",
                    "files": agreement.n_files,
                    "same_label": agreement.n_same,
                    "seconds": round(seconds, 1),
                }
            )
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--formats", choices=list(FORMATS), nargs="+", default=["onnx", "torch"])
    parser.add_argument("--per-class", type=int, default=20)
    options = parser.parse_args()
    for kind in options.kind or KINDS:
        rows = measure(kind, options.pictures, options.formats, options.per_class)
        pd.DataFrame(rows).to_csv(RESULTS, mode="a", header=not RESULTS.exists(), index=False)


if __name__ == "__main__":
    main()
