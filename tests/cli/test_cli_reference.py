"""`reference build` makes a file that can be read, or says in one sentence why not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from automl_tl.backbones import registry
from automl_tl.cli import main
from automl_tl.domain.reference import load_reference


class Tiny:
    api_version = 1
    input_size = 32
    mean = std = (0.5, 0.5, 0.5)
    pretrained_on = "toys"

    def build(self, *, pretrained: bool = True) -> nn.Module:
        torch.manual_seed(0)
        stages = [nn.Conv2d(3, 8, 3, 2), nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2))]
        return nn.Sequential(*stages)

    def stages(self, module: nn.Module) -> list[nn.Module]:
        return list(module.children())


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "get_backbone", lambda name: Tiny())


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["reference", "build", "tiny", *map(str, arguments)])


def test_a_reference_is_written(tmp_path: Path, make_pictures: Callable[..., Path]) -> None:
    out = tmp_path / "new" / "tiny.safetensors"
    result = run(make_pictures(per_class=20), "--out", out, "--name", "toys", "--device", "cpu", "--verbose")
    assert result.exit_code == 0, result.output
    made = load_reference(out)
    assert (made.name, made.backbone, made.n_pictures, made.n_stages) == ("toys (60 pictures)", "tiny", 60, 2)
    assert f"Wrote {out}" in result.stdout
    assert "grey: " in result.stdout
    assert "Reading pictures (60)" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--out", "{tmp}"], "is a folder"),
        (["--out", "{tmp}/pictures/apple/000.png/x"], "cannot be written"),
        (["--out", "{tmp}/x", "--weights", "other={tmp}/pictures/apple/000.png"], "--weights names 'other'"),
        (["--out", "{tmp}/x", "--device", "gpu"], "'gpu' is no device"),
        (["--out", "{tmp}/x"], "at least 50 pictures of the source domain, got 18"),
    ],
)
def test_a_sentence_and_exit_code_2(tmp_path: Path, pictures: Path, arguments: list[str], sentence: str) -> None:
    result = run(pictures, *(argument.format(tmp=tmp_path) for argument in arguments))
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "x").exists()
