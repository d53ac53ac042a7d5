"""Compute the references of the bundled backbones' pretraining domain from a folder of ImageNet pictures.

    python benchmarks/references.py ../shared/data/imagenet_sample

Writes `datasets_meta/references/NAME.safetensors`, about 75 KB each: mean maps, no picture.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from automl_tl.backbones.registry import get_backbone
from automl_tl.backbones.stages import build_network
from automl_tl.domain.library import reference_file
from automl_tl.domain.reference import build_reference, save_reference
from automl_tl.features.engine import choose_engine
from automl_tl.features.picture import Picture

BUNDLED = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
TARGET = Path(__file__).parents[1] / "datasets_meta" / "references"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="a folder of ImageNet pictures, one or more per class")
    parser.add_argument("--backbone", action="append", help=f"default: {', '.join(BUNDLED)}")
    arguments = parser.parse_args()
    files = sorted(arguments.pictures.glob("*.jpg"))
    pictures = [Picture(str(f), hashlib.sha256(f.read_bytes()).hexdigest()) for f in files]
    engine = choose_engine()
    for name in arguments.backbone or BUNDLED:
        network = build_network(name, get_backbone(name), device=engine.device)
        reference = build_reference(network, pictures, engine, name=f"ImageNet-1k ({len(pictures):,} pictures)")
        path = TARGET / reference_file(name)
        save_reference(reference, path)
        degraded = ", ".join(f"{label} {value:.3f}" for label, value in reference.degraded.items())
        print(f"{name}: scale {reference.scale:.4f}, null {reference.null:.4f}; {degraded}; {path.stat().st_size:,} B")


if __name__ == "__main__":
    main()
