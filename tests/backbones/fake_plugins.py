"""Fake plugins: distributions written into a folder on the path; and a hub cache that is empty."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from automl_tl.backbones import plugins

GOOD = """
import torch
from torch import nn

class Tiny:
    api_version = 1
    input_size = 16
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    pretrained_on = "none"

    def build(self, *, pretrained=True):
        return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 8, 3, 2, 1))

    def stages(self, module):
        return [nn.Sequential(module[0], module[1]), module[2]]

backbone = Tiny()
"""

Install = Callable[..., Path]


def isolate_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let no test see this machine's own hub cache or the network; return the empty cache folder."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", plugins.DISABLE, plugins.STRICT):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "hf" / "hub"


def installer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Install]:
    """Yield a function that writes a distribution with one module and its entry points."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)

    def write(
        distribution: str,
        source: str = GOOD,
        *,
        name: str = "tiny",
        module: str | None = None,
        attribute: str = "backbone",
        version: str = "1.2",
        entry_points: str | None = None,
    ) -> Path:
        module = module or f"fake_{distribution.replace('-', '_')}"
        about = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        about.mkdir()
        text = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (about / "METADATA").write_text(text)
        points = f"[automl_tl.backbones]\n{name} = {module}:{attribute}\n"
        (about / "entry_points.txt").write_text(points if entry_points is None else entry_points)
        (folder / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(folder))
        plugins._load_all.cache_clear()
        return folder

    yield write
    plugins._load_all.cache_clear()
    plugins._told.clear()
    for module in set(sys.modules) - before:
        if module.startswith("fake_"):
            del sys.modules[module]
