"""Compute the faces plugin's reference of its own domain, from ten of the twenty people of faces_orl.

    PYTHONPATH=plugins/faces/src python benchmarks/face_reference.py WEIGHTS ../shared/data/faces_orl

WEIGHTS is face_resnet29's weights file; the reference counts for this file only. The other ten people are left
for trials. Writes `plugins/faces/src/automl_tl_faces/face_resnet29.safetensors`: mean maps, no picture.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from automl_tl_faces import face_resnet29

from automl_tl.backbones.overrides import configure
from automl_tl.backbones.stages import build_network
from automl_tl.domain.reference import build_reference, save_reference
from automl_tl.features.engine import choose_engine
from automl_tl.features.picture import Picture

N_PEOPLE = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="face_resnet29's weights file")
    parser.add_argument("faces", type=Path, help="a folder with one folder of pictures for each person")
    arguments = parser.parse_args()
    people = sorted(path for path in arguments.faces.iterdir() if path.is_dir())
    files = [file for person in people[:N_PEOPLE] for file in sorted(person.glob("*.png"))]
    pictures = [Picture(str(file), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
    name = f"ORL faces of {N_PEOPLE} of {len(people)} people ({len(pictures)} pictures)"
    engine = choose_engine()
    backbone = configure(face_resnet29.name, face_resnet29, weights=arguments.weights)
    network = build_network(face_resnet29.name, backbone, device=engine.device)
    reference = build_reference(network, pictures, engine, name=name)
    assert face_resnet29.reference is not None
    save_reference(reference, face_resnet29.reference)
    degraded = ", ".join(f"{label} {value:.3f}" for label, value in reference.degraded.items())
    print(f"{name}: scale {reference.scale:.4f}, null {reference.null:.4f}; {degraded}")
    print(f"{people[0].name} to {people[N_PEOPLE - 1].name}; weights {reference.weights}")


if __name__ == "__main__":
    main()
