"""Benchmarks run for hours and seldom; that they are still of this code is seen before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDS_MORE = ("face_reference",)
"""Scripts about plugins that are not installed with automl-tl."""


def test_every_benchmark_can_be_imported() -> None:
    names = [file.stem for file in sorted((ROOT / "benchmarks").glob("*.py"))]
    able = [name for name in names if name not in NEEDS_MORE]
    program = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    environment = {"PYTHONPATH": f"{ROOT / 'benchmarks'}:{ROOT}", "PATH": "", "HOME": str(Path.home())}
    result = subprocess.run(
        [sys.executable, "-c", program, *able], capture_output=True, text=True, env=environment, timeout=120
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert len(able) > 20


@pytest.mark.parametrize("module", ["", ".table", ".environments"])
def test_the_peers_can_be_asked_for_help(module: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", f"benchmarks.peers{module}", "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr[-2000:]
