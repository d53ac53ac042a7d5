"""Memory that does not suffice: batches are halved on a CPU as on a GPU, and no backbone is blamed."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_backbone import tiny_network
from torch import Tensor

from automl_tl.backbones.blame import blaming
from automl_tl.backbones.stages import Network
from automl_tl.cli.failures import report_failure
from automl_tl.errors import BackboneError, ShortageError, WeightsError
from automl_tl.features.engine import Engine
from automl_tl.features.extract import statistics
from automl_tl.features.halving import halving
from automl_tl.lab.considered import without_broken
from automl_tl.lab.networks import Networks
from automl_tl.memory import is_shortage

CPU = Engine("cpu", "float32")
SHORTAGES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried to"),
    RuntimeError("[enforce fail] . DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    MemoryError("Unable to allocate 8.00 GiB for an array"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]
OTHERS = [RuntimeError("the shapes differ"), OSError(errno.ENOSPC, "No space left on device"), ValueError("memory")]
each_shortage = pytest.mark.parametrize("error", SHORTAGES, ids=lambda error: str(error)[:30])


@each_shortage
def test_a_lack_of_memory_is_known(error: Exception) -> None:
    assert is_shortage(error)


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_other_errors_are_none(error: Exception) -> None:
    assert not is_shortage(error)
    with pytest.raises(type(error)):
        halving(lambda parts: raised(error), 8)


def raised(error: Exception) -> Any:
    raise error


@given(st.integers(1, 100), st.integers(1, 120), st.integers(1, 8))
def test_there_are_no_more_parts_than_needed(n: int, room: int, parts: int) -> None:
    """Every try begins anew; the parts at last fit into the room, and half as many would not have."""

    def work(some: int) -> list[int]:
        sizes = [len(part) for part in np.array_split(np.arange(n), min(some, n))]
        if max(sizes) > room:
            raise MemoryError
        return sizes

    sizes, used = halving(work, n, parts)
    assert sum(sizes) == n
    assert used == parts or -(-n // min(used // 2, n)) > room


@each_shortage
def test_no_backbone_is_blamed(error: Exception) -> None:
    with (
        pytest.raises(ShortageError, match="memory did not suffice: tiny could not be run") as caught,
        blaming("tiny", "could not be run"),
    ):
        raise error
    assert not isinstance(caught.value, BackboneError | WeightsError)


@each_shortage
def test_features_are_extracted_in_halves(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    network, images = tiny_network(), torch.randint(0, 256, (10, 32, 32, 3), dtype=torch.uint8)
    expected = statistics(network, images, CPU)
    sizes = short_of_memory(network, 3, error)
    found = statistics(network, images, CPU)
    assert max(sizes[-4:]) <= 3
    assert found.keys() == expected.keys()
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-5)


def test_one_picture_that_does_not_fit_is_a_sentence() -> None:
    network = tiny_network()
    short_of_memory(network, 0, SHORTAGES[1])
    with pytest.raises(ShortageError, match="one picture at a time does not fit into memory: give a smaller"):
        statistics(network, torch.zeros(4, 32, 32, 3, dtype=torch.uint8), CPU)


def short_of_memory(network: Network, most: int, error: Exception) -> list[int]:
    """Let the network's first stage refuse more than so many pictures; return the sizes of its batches."""
    sizes: list[int] = []

    def hook(_: Any, inputs: tuple[Tensor]) -> None:
        sizes.append(len(inputs[0]))
        if len(inputs[0]) > most:
            raise error

    network.stages[0].register_forward_pre_hook(hook)
    return sizes


def test_a_backbone_too_large_for_this_machine_is_left_out_with_a_note(tmp_path: Path) -> None:
    def work(name: str) -> str:
        if name == "huge":
            raise ShortageError("memory did not suffice: huge could not be trained for a step")
        return name

    found, notes = without_broken(Networks(CPU, tmp_path), ["huge", "tiny"], work)
    assert list(found) == ["tiny"]
    assert notes == ("huge is left out: memory did not suffice: huge could not be trained for a step",)


@each_shortage
def test_whoever_sees_it_reads_one_sentence(capsys: pytest.CaptureFixture[str], error: Exception) -> None:
    assert report_failure(error, verbose=False) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: memory did not suffice: ")
    assert "bug" not in said
