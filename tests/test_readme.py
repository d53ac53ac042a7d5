"""Every command of the README runs, with small backbones and generated pictures in place of the reader's own."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from generated_pictures import write_pictures
from tiny_backbone import TinyBackbone
from torch import nn

import automl_tl
from automl_tl.backbones import registry
from automl_tl.cli import main
from automl_tl.lab import considered, networks
from automl_tl.model import bundle

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\w*\n(.*?)^```", README, flags=re.M | re.S)
LINES = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
IN_ORDER = [line for line in LINES if re.match("automl-tl (search|report|predict|evaluate|export|train MORE) ", line)]
"""Commands that go on with what the one before made."""
COMMANDS = [
    line
    for line in LINES
    # A check runs in a process of its own, which knows no backbones of ours, and `try` until it is interrupted:
    # test_scaffold.py and test_cli_tryout.py run them for real.
    if line.startswith("automl-tl ") and line not in IN_ORDER and not re.match("automl-tl (backbones check|try) ", line)
]
PYTHON = re.findall(r"^```python\n(.*?)^```", README, flags=re.M | re.S)


class Loadable(TinyBackbone):
    def build(self, *, pretrained: bool = True, weights: Path | None = None) -> nn.Module:
        return super().build(pretrained=pretrained)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the README's commands name, and small backbones under every name."""
    monkeypatch.chdir(tmp_path)
    pictures = write_pictures(tmp_path / "FOLDER", per_class=10)
    write_pictures(tmp_path / "SOURCE_PICTURES", per_class=20)
    write_pictures(tmp_path / "MORE", ("apple", "grape", "leaf", "sky"), per_class=10)
    for name in ("NEW_PICTURES", "LABELLED"):
        write_pictures(tmp_path / name, per_class=2, seed=1)
    rows = [(str(p.relative_to(tmp_path)), p.parent.name, p.stem) for p in sorted(pictures.rglob("*.png"))]
    pd.DataFrame(rows, columns=["path", "label", "patient"]).to_csv("table.csv", index=False)
    Path("resnet50.safetensors").write_bytes(b"weights")
    for module in (registry, networks, bundle):
        monkeypatch.setattr(module, "get_backbone", lambda name: Loadable())
    monkeypatch.setattr(considered, "local_backbones", lambda: ["efficientnet_lite0"])
    return tmp_path


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("command", list(dict.fromkeys(COMMANDS)))
def test_a_command_of_the_readme(command: str, desk: Path) -> None:
    result = CliRunner().invoke(main, shlex.split(command)[1:])
    assert result.exit_code == 0, result.output


def test_the_commands_around_a_model_run_one_after_the_other(desk: Path) -> None:
    assert len(IN_ORDER) >= 4
    for number, command in enumerate(IN_ORDER, start=1):
        quick = re.sub(r"--budget \S+", f"--trials {number}", command)  # no test waits for ten minutes
        result = CliRunner().invoke(main, shlex.split(quick)[1:])
        assert result.exit_code == 0, result.output
    assert {file.name for file in (desk / "RUN").iterdir()} >= {"bundle", "leaderboard.csv"}


@pytest.mark.parametrize("block", PYTHON, ids=range(len(PYTHON)))
def test_a_python_block_of_the_readme(block: str, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "budget=600" in block
    exec(block.replace("budget=600", "trials=1"), {})
    assert "apple" in capsys.readouterr().out


def test_the_python_call_of_the_readme(desk: Path) -> None:
    assert 'automl_tl.recommend("FOLDER")' in README
    assert automl_tl.recommend("FOLDER").frozen.backbone == "efficientnet_lite0"
