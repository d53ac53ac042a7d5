"""`automl-tl predict --explain FOLDER`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tiny_models import register, trained_model

from automl_tl.cli import main
from automl_tl.model.bundle import save_bundle


@pytest.fixture
def bundle(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    register(monkeypatch)
    return save_bundle(trained_model(pictures), tmp_path / "bundle")


def explained(bundle: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["predict", str(bundle), *map(str, arguments)])


def test_rows_stay_as_they_are_and_every_row_has_a_map(bundle: Path, pictures: Path, tmp_path: Path) -> None:
    (pictures / "sky" / "002.png").write_bytes(b"broken")
    folder = tmp_path / "maps"
    plain = explained(bundle, pictures / "sky", "--format", "jsonl")
    result = explained(bundle, pictures / "sky", "--format", "jsonl", "--explain", folder)
    assert result.exit_code == 1
    assert result.stdout == plain.stdout
    assert f"The heat maps are in {folder}" in result.stderr
    good = [row for row, line in enumerate(result.stdout.splitlines(), start=1) if json.loads(line)["error"] is None]
    assert sorted(file.name for file in folder.iterdir()) == [f"{row}-{row - 1:03d}.png" for row in good]


def test_a_folder_in_use_is_refused_before_anything_is_done(bundle: Path, pictures: Path) -> None:
    before = sorted(pictures.rglob("*"))
    result = explained(bundle, pictures, "--explain", pictures)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "is not empty; name a new folder" in result.stderr
    assert sorted(pictures.rglob("*")) == before
