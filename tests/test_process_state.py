"""Importing automl_tl changes nothing in the process, but for the modules that are then there."""

from __future__ import annotations

import ast
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PACKAGES = (ROOT / "automl_tl", *ROOT.glob("plugins/*/src/*"))


def modules() -> dict[str, Path]:
    """Return {dotted name: file} of every module of automl-tl and its plugins, but `__main__`, which runs."""
    found = {}
    for package in PACKAGES:
        for file in package.rglob("*.py"):
            parts = file.relative_to(package.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return {name: file for name, file in found.items() if not name.endswith("__main__")}


def imported(file: Path) -> Iterator[str]:
    """Yield the modules that a file imports when it is imported, wherever they come from."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def changes(own: list[str], others: list[str], *path: Path) -> dict[str, Any]:
    """Return what importing `own` after `others` changes in a process: {what: [before, after]}."""
    places = os.pathsep.join(str(one) for one in (ROOT, *(package.parent for package in PACKAGES), *path))
    result = subprocess.run(
        [sys.executable, TESTS / "process_state.py"], input=json.dumps({"own": own, "others": others}),
        env={**os.environ, "PYTHONPATH": places}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout.splitlines()[-1]))


def test_importing_every_module_changes_nothing() -> None:
    own = modules()
    assert len(own) > 150
    others = {name for file in own.values() for name in imported(file)}
    assert {"torch", "optuna"} <= others
    tops = {name.partition(".")[0] for name in own}
    assert changes(sorted(own), sorted(name for name in others if name.partition(".")[0] not in tops)) == {}


GUILTY = {
    "environment": "import os; os.environ['OMP_NUM_THREADS'] = '7'",
    "warnings": "import warnings; warnings.simplefilter('ignore')",
    "logging": "import logging; logging.basicConfig()",
    "loggers": "import logging; logging.getLogger('automl_tl').setLevel('ERROR')",
    "pictures": "import PIL.Image; PIL.Image.MAX_IMAGE_PIXELS = None",
    "random numbers": "import torch; torch.manual_seed(1)",
    "signals": "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
    "malloc": "import ctypes; ctypes.CDLL(None).mallopt(-4, 65536)",
}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone has mallopt")
def test_what_an_import_could_change_is_seen(tmp_path: Path) -> None:
    (tmp_path / "guilty.py").write_text("\n".join(GUILTY.values()))
    assert changes(["guilty"], [], tmp_path).keys() == GUILTY.keys()
