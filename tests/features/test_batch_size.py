"""How many pictures go through a network at once: by the device, its memory, or the user."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_backbone import tiny_network
from tiny_models import register

from automl_tl.data.decode import Preprocessing
from automl_tl.errors import OptionError
from automl_tl.features import engine as module
from automl_tl.features.batch_size import LEAST, MOST, ON_CPU, pictures_at_once
from automl_tl.features.engine import Engine, choose_engine
from automl_tl.features.extract import Pass
from automl_tl.features.picture import pictures_of
from automl_tl.lab.lab import open_lab
from automl_tl.options import RecommendOptions
from automl_tl.options.texts import parse_device

CPU = Engine("cpu", "float32")


def test_a_cpu_takes_as_many_as_before() -> None:
    assert pictures_at_once(tiny_network()) == ON_CPU


@pytest.mark.parametrize(
    ("free", "expected"), [(80e9, MOST), (1e3, LEAST), (64 * 4 * 4 * 8 * 3 * 32**2, 64), (16e6, 32)]
)
def test_a_gpu_takes_what_a_quarter_of_its_free_memory_holds(
    monkeypatch: pytest.MonkeyPatch, free: float, expected: int
) -> None:
    network = replace(tiny_network(), sizes=(2048, 768, 256))
    monkeypatch.setattr("automl_tl.backbones.network.Network.device", torch.device("cuda:1"))
    held = 4e5
    monkeypatch.setattr(torch.cuda, "mem_get_info", {torch.device("cuda:1"): (free - held, 80e9)}.get)
    monkeypatch.setattr(torch.cuda, "memory_reserved", {torch.device("cuda:1"): 2 * held}.get)
    monkeypatch.setattr(torch.cuda, "memory_allocated", {torch.device("cuda:1"): held}.get)
    assert pictures_at_once(network) == expected


def test_what_the_user_says_goes_before_what_suits_the_device() -> None:
    network, how = tiny_network(), Preprocessing(32)
    assert Pass(network, how, CPU).at_once == ON_CPU
    assert Pass(network, how, replace(CPU, batch_size=7)).at_once == 7
    assert Pass(network, how, replace(CPU, batch_size=7), batch_size=5).at_once == 5
    chosen = choose_engine("cpu", batch_size=7, workers=3)
    assert (chosen.batch_size, chosen.workers, chosen.for_training.batch_size) == (7, 3, 7)
    assert chosen.name == choose_engine("cpu").name  # features are the same


# --- which device -----------------------------------------------------------------------------------


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two CUDA devices, of which the second has no bfloat16."""
    current = [0]

    class Chosen:
        def __init__(self, index: int) -> None:
            self.index = index

        def __enter__(self) -> None:
            current[0] = self.index

        def __exit__(self, *_: object) -> None:
            current[0] = 0

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device", Chosen)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: current[0] == 0)
    monkeypatch.setattr(module, "tune_malloc", lambda: True)


@pytest.mark.parametrize(
    ("given", "device", "dtype"),
    [
        ("auto", "cuda", "bfloat16"),
        ("CUDA", "cuda", "bfloat16"),
        ("0", "cuda:0", "bfloat16"),
        ("cuda:1", "cuda:1", "float16"),
        ("1", "cuda:1", "float16"),
    ],
)
def test_a_gpu_may_be_called_by_its_number(two_gpus: None, given: str, device: str, dtype: str) -> None:
    engine = choose_engine(given)
    assert (engine.device, engine.dtype, engine.kind) == (device, dtype, "cuda")
    assert engine.for_training == engine


def test_a_device_that_is_not_there_is_one_sentence(two_gpus: None) -> None:
    with pytest.raises(OptionError, match=r"^--device cuda:2: there are 2 CUDA devices, counted from 0$"):
        choose_engine("2")
    for nonsense in ("-1", "cuda:", "1.5", "gpu0", "100"):
        with pytest.raises(OptionError, match="is no device; use auto, cpu, cuda, cuda:0 \\(or 0\\) or mps"):
            choose_engine(nonsense)


def test_a_number_that_is_no_gpu_here_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(OptionError, match="--device cuda:0: torch sees no CUDA device here; use --device cpu or auto"):
        choose_engine(parse_device("0"))


def test_a_laboratory_works_as_the_user_says(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    monkeypatch.setenv("AUTOML_TL_PREFLIGHT_SECONDS", "0")
    lab = open_lab(pictures, RecommendOptions(device="cpu", batch_size=4, workers=1))
    assert (lab.engine.batch_size, lab.networks.pixels.threads) == (4, 1)
    passed: list[int] = []
    lab.networks.network("tiny").stages[0].register_forward_pre_hook(lambda _, inputs: passed.append(len(inputs[0])))
    lab.features("tiny", pictures_of(lab.dataset.frame))
    assert passed == [4, 4, 4, 4, 2]
