"""A runtime that takes time to prepare is chosen for many pictures, by measurement, and the choice is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_backbone import tiny_network

from automl_tl.backbones.stages import Network
from automl_tl.errors import EngineError
from automl_tl.features.engine import Engine
from automl_tl.lab import runtime_choice
from automl_tl.lab.networks import Networks
from automl_tl.lab.runtime_choice import agreement, choose_runtime
from automl_tl.lab.timing import forward_batch

EAGER = Engine("cpu", "float32")
FOLDED = Engine("cpu", "float32", runtime="folded")
OPENVINO = Engine("cpu", "bfloat16", runtime="openvino")
MANY = 10_000


class Stopwatch:
    """Says that engines take so many seconds per picture."""

    def __init__(self, **seconds: float) -> None:
        self.seconds = seconds
        self.asked: list[str] = []

    def __call__(self, network: Network, engine: Engine, folder: Path) -> float:
        self.asked.append(engine.runtime)
        return self.seconds[engine.runtime]


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    watch = Stopwatch(eager=0.01, folded=0.008, openvino=0.004)
    monkeypatch.setattr(runtime_choice, "forward_seconds", watch)
    monkeypatch.setattr(runtime_choice, "installed_openvino", lambda: "2026.1")
    monkeypatch.setattr(runtime_choice, "fastest_dtype", lambda: "bfloat16")
    monkeypatch.setattr(runtime_choice, "agreement", lambda network, engine: 1.0)
    return watch


def test_a_graph_that_fills_batches_up_is_timed_with_whole_ones() -> None:
    """Half a batch takes it as long as a whole one, so it would look half as fast as it is."""
    network = tiny_network()
    assert forward_batch(network, OPENVINO) == 2 * forward_batch(network, EAGER) == 2 * forward_batch(network, FOLDED)


def test_few_pictures_are_not_worth_measuring(stopwatch: Stopwatch, tmp_path: Path) -> None:
    assert choose_runtime(tiny_network(), EAGER, 499, tmp_path) == EAGER
    assert stopwatch.asked == []


def test_a_quick_pass_is_not_worth_preparing_anything(stopwatch: Stopwatch, tmp_path: Path) -> None:
    assert choose_runtime(tiny_network(), EAGER, 1999, tmp_path) == EAGER
    assert set(stopwatch.asked) == {"eager"}


def test_the_fastest_is_chosen_and_remembered(stopwatch: Stopwatch, tmp_path: Path) -> None:
    assert choose_runtime(tiny_network(), EAGER, MANY, tmp_path) == OPENVINO
    stopwatch.seconds.update(openvino=1.0)
    assert choose_runtime(tiny_network(), EAGER, 2 * MANY, tmp_path) == OPENVINO
    assert choose_runtime(tiny_network(), EAGER, MANY, tmp_path / "elsewhere") == FOLDED


def test_who_is_in_a_hurry_measures_nothing_but_takes_what_is_known(stopwatch: Stopwatch, tmp_path: Path) -> None:
    assert choose_runtime(tiny_network(), EAGER, MANY, tmp_path, hurried=True) == EAGER
    assert set(stopwatch.asked) == {"eager"}
    choose_runtime(tiny_network(), EAGER, MANY, tmp_path)
    assert choose_runtime(tiny_network(), EAGER, MANY, tmp_path, hurried=True) == OPENVINO


def test_eager_stays_where_nothing_is_faster(stopwatch: Stopwatch, tmp_path: Path) -> None:
    stopwatch.seconds.update(folded=0.02, openvino=0.02)
    assert choose_runtime(tiny_network(), EAGER, MANY, tmp_path) == EAGER


def test_what_gives_other_features_is_not_chosen(
    stopwatch: Stopwatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_choice, "agreement", lambda network, engine: 0.97 if engine == OPENVINO else 1.0)
    assert choose_runtime(tiny_network(), EAGER, MANY, tmp_path) == FOLDED


def test_what_cannot_run_a_network_is_not_chosen(
    stopwatch: Stopwatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(network: Network, engine: Engine) -> float:
        raise EngineError("no")

    monkeypatch.setattr(runtime_choice, "agreement", refusing)
    assert choose_runtime(tiny_network(), EAGER, MANY, tmp_path) == EAGER


def test_installing_the_extra_asks_again(stopwatch: Stopwatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_choice, "installed_openvino", lambda: "")
    assert choose_runtime(tiny_network(), EAGER, MANY, tmp_path) == FOLDED
    monkeypatch.setattr(runtime_choice, "installed_openvino", lambda: "2026.1")
    assert choose_runtime(tiny_network(), EAGER, MANY, tmp_path) == OPENVINO


def test_a_gpu_keeps_torch(stopwatch: Stopwatch, tmp_path: Path) -> None:
    cuda = Engine("cuda", "bfloat16")
    assert choose_runtime(tiny_network(), cuda, MANY, tmp_path) == cuda


def test_agreement_is_the_least_cosine_over_pictures_and_stages() -> None:
    assert agreement(tiny_network(), EAGER) == pytest.approx(1.0, abs=1e-6)
    assert 0.9 < agreement(tiny_network(), Engine("cpu", "bfloat16")) < 1 - 1e-7


def test_all_that_goes_through_a_network_goes_the_same_way(
    stopwatch: Stopwatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Networks, "network", lambda self, name: tiny_network())
    monkeypatch.setattr(Networks, "preprocessing", lambda self, name, fit: fit)
    few, many = (Networks(EAGER, tmp_path, n_pictures=n) for n in (80, MANY))
    assert few.way("tiny", "squash").engine == EAGER
    assert {many.way("tiny", "squash", view).engine for view in ("plain", "hflip")} == {OPENVINO}
