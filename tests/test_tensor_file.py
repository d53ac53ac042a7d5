"""Tensors on disk have the mode that other files have."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from automl_tl.tensor_file import write_tensors


@pytest.mark.parametrize("facts", [None, {"a": "b"}])
def test_others_may_read_what_they_may_read_elsewhere(tmp_path: Path, facts: dict[str, str] | None) -> None:
    (usual := tmp_path / "usual").touch()
    file = tmp_path / "x.safetensors"
    write_tensors(file, {"x": torch.arange(3)}, facts)
    assert file.stat().st_mode == usual.stat().st_mode
    with safe_open(file, "pt") as opened:
        assert opened.get_tensor("x").tolist() == [0, 1, 2]
        assert opened.metadata() == facts
