"""A container's quota counts, and what is set for torch's threads is set before torch is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from automl_tl import cores
from automl_tl.cores import available_cores, share_cores

AFFINITY = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)


@pytest.fixture
def quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file in place of the kernel's, which is not there yet."""
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    return tmp_path / "cpu.max"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max 100000", AFFINITY), ("50000 100000", 1), ("10000 100000", 1), ("100000 100000", 1), ("", AFFINITY),
     ("6400000 100000", min(64, AFFINITY)), ("150000 100000", min(2, AFFINITY)), ("nonsense", AFFINITY)],
)  # fmt: skip
def test_a_quota_bounds_the_cores(quota: Path, text: str, expected: int) -> None:
    assert available_cores() == AFFINITY
    quota.write_text(text)
    assert available_cores() == expected


@pytest.mark.usefixtures("without_torch")
def test_threads_sleep_and_are_no_more_than_a_container_is_given(quota: Path) -> None:
    environment: dict[str, str] = {}
    share_cores(environment)
    assert environment == {"GOMP_SPINCOUNT": "1000"}
    quota.write_text("100000 100000")
    share_cores(environment)
    assert environment == {"GOMP_SPINCOUNT": "1000", "OMP_NUM_THREADS": "1"}


@pytest.mark.usefixtures("without_torch")
@pytest.mark.parametrize("own", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "ACTIVE"}])
def test_what_the_user_has_set_stays(quota: Path, own: dict[str, str]) -> None:
    quota.write_text("100000 100000")
    environment = {**own, "OMP_NUM_THREADS": "5"}
    share_cores(environment)
    assert environment == {**own, "OMP_NUM_THREADS": "5"}


def test_where_torch_is_loaded_it_is_too_late() -> None:
    import torch

    assert torch.get_num_threads() >= 1
    environment: dict[str, str] = {}
    share_cores(environment)
    assert environment == {}


def test_the_command_sets_it_before_torch_is_loaded() -> None:
    code = (
        "import json, os, sys\n"
        "from automl_tl.cli import main\n"
        "main(['--version'], standalone_mode=False)\n"
        "print(json.dumps([os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules]))"
    )
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout.splitlines()[-1]) == ["1000", False]
