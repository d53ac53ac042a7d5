from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tasks import RIDGE, SOFTMAX, TUNED
from tiny_backbone import TinyBackbone

from automl_tl.backbones.stages import Network, build_network
from automl_tl.errors import OptionError
from automl_tl.lab.networks import Networks
from automl_tl.searcher.space import limits as module
from automl_tl.searcher.space.limits import Limits, measure_limits

SIZES = (240, 1140, 2916)
"""Parameters of the small backbone up to every cut: kernels, biases and norms."""
SECONDS = {"tiny": (0.001, 0.0015, 0.004), "wide": (0.005, 0.006, 0.007, 0.008)}
NETWORKS = {
    "tiny": build_network("tiny", TinyBackbone()),
    "wide": build_network("wide", TinyBackbone((16, 24, 32, 40))),
}


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> Networks:
    """Return networks of two backbones whose stages take the times of SECONDS."""

    def latencies(network: Network, engine: Any) -> tuple[float, ...]:
        return SECONDS[network.name]

    monkeypatch.setattr(module, "latencies", latencies)
    return cast(Networks, SimpleNamespace(network=NETWORKS.__getitem__, engine=None))


def measured(networks: Networks, *names: str, params: int | None = None, ms: float | None = None) -> Any:
    return measure_limits(networks, names, max_params=params, max_latency_ms=ms)


@pytest.mark.parametrize(("most", "cut"), [(240, 1), (1139, 1), (1140, 2), (2915, 2), (2916, 3), (10**9, 3)])
def test_a_cut_may_have_so_many_parameters(networks: Networks, most: int, cut: int) -> None:
    names, limits = measured(networks, "tiny", params=most)
    assert names == ("tiny",)
    assert limits.largest_cut == {"tiny": cut}
    if cut < 3:
        expected = f"tiny up to stage {cut + 1} has {SIZES[cut]:,} parameters, more than {most:,}"
        assert limits.reasons["tiny"] == expected


@pytest.mark.parametrize(("most", "cut"), [(1.0, 1), (1.4, 1), (1.5, 2), (3.9, 2), (4.0, 3), (100.0, 3)])
def test_a_cut_may_take_so_long(networks: Networks, most: float, cut: int) -> None:
    names, limits = measured(networks, "tiny", ms=most)
    assert names == ("tiny",)
    assert limits.largest_cut == {"tiny": cut}
    if cut < 3:
        slow = 1000 * SECONDS["tiny"][cut]
        assert limits.reasons["tiny"] == f"tiny up to stage {cut + 1} takes {slow:.1f} ms a picture, more than {most:g}"


def test_of_two_limits_the_narrower_one_counts(networks: Networks) -> None:
    _, limits = measured(networks, "tiny", params=1140, ms=1.0)
    assert limits.largest_cut == {"tiny": 1}
    assert "1.5 ms a picture" in limits.reasons["tiny"]
    _, limits = measured(networks, "tiny", params=240, ms=1.5)
    assert limits.largest_cut == {"tiny": 1}
    assert "1,140 parameters" in limits.reasons["tiny"]


def test_a_backbone_of_which_nothing_fits_is_left_out(networks: Networks) -> None:
    names, limits = measured(networks, "wide", "tiny", ms=4.0)
    assert names == ("tiny",)
    assert limits.largest_cut == {"wide": 0, "tiny": 3}


def test_where_nothing_fits_every_backbone_has_its_reason(networks: Networks) -> None:
    with pytest.raises(OptionError) as caught:
        measured(networks, "tiny", "wide", ms=0.5)
    assert str(caught.value) == (
        "no backbone fits: tiny up to stage 1 takes 1.0 ms a picture, more than 0.5; "
        "wide up to stage 1 takes 5.0 ms a picture, more than 0.5; allow more, or name another backbone"
    )


def test_without_a_limit_nothing_is_measured() -> None:
    names, limits = measured(cast(Networks, None), "tiny", "wide")
    assert names == ("tiny", "wide")
    assert limits.fault(TUNED) is None


def test_sizes_alone_need_no_clock(networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "latencies", None)
    assert measured(networks, "tiny", params=1140)[1].largest_cut == {"tiny": 2}


def test_a_configuration_is_as_large_as_its_last_cut() -> None:
    limits = Limits({"tiny": 2}, {"tiny": "the third stage is too slow"})
    assert limits.fault(replace(RIDGE, cuts=(2,))) is None
    assert limits.fault(replace(RIDGE, cuts=(1, 2))) is None
    for configuration in (RIDGE, SOFTMAX, TUNED):
        assert limits.fault(configuration) == "the third stage is too slow"
    assert limits.fault(replace(RIDGE, backbone="other")) is None
