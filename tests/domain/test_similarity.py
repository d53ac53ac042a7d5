from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from automl_tl.domain import kernel
from automl_tl.domain.depth import DepthProfile
from automl_tl.domain.reference import DomainReference
from automl_tl.domain.similarity import DEPTH_BORDERS, RELATIVE_BORDERS, Domain, judge, proxy

NO_PROFILE = DepthProfile((math.nan,) * 2, math.nan)


def rows(shift: float, n: int = 150, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 16)) + shift * np.eye(16)[0]


def reference() -> DomainReference:
    source = kernel.unit(rows(0.0, 400, seed=0))
    width = 0.4 * kernel.median_distance(source)
    own = kernel.self_similarity(kernel.gaussian(source, source, width))
    maps = np.stack([kernel.mean_map(source, width)] * 2).astype(np.float16)
    half = (0.5, 0.5, 0.5)
    return DomainReference(
        "source", "tiny", "w", 32, half, half, 400, (width,) * 2, (own,) * 2, 0.0, {"edges": 0.05}, maps
    )


def profile(distance: float) -> DepthProfile:
    return DepthProfile((distance, distance), distance)


def verdict(shift: float, depth: float | None = None, n: int = 150) -> Domain:
    return judge("tiny", rows(shift, n), reference(), NO_PROFILE if depth is None else profile(depth))


def test_near_is_similar_far_is_different_and_confidence_grows_with_the_distance() -> None:
    near, far, farther = verdict(0.0), verdict(5.0), verdict(9.0)
    assert near.verdict == "similar"
    assert far.verdict == farther.verdict == "different"
    assert near.confidence > 0.8
    assert farther.confidence >= far.confidence > 0.8
    assert near.measure == "embedding"


@pytest.mark.parametrize("shift", [0.0, 6.0])
def test_thirty_pictures_give_the_same_verdict(shift: float) -> None:
    assert verdict(shift, n=30).verdict == verdict(shift, n=1000).verdict


def test_views_that_disagree_are_said_and_make_it_borderline() -> None:
    torn = verdict(0.0, depth=0.9)
    assert torn.verdict == "borderline"
    assert not torn.agree
    assert "similar" in torn.note
    assert "different" in torn.note
    assert torn.confidence < verdict(0.0, depth=0.05).confidence


@pytest.mark.parametrize(
    ("distance", "expected"),
    [(DEPTH_BORDERS[0] / 3, "similar"), (sum(DEPTH_BORDERS) / 2, "borderline"), (0.6, "different")],
)
def test_without_a_reference_depth_decides_and_says_so(distance: float, expected: str) -> None:
    domain = judge("tiny", rows(0.0), None, profile(distance))
    assert (domain.verdict, domain.measure) == (expected, "depth")
    assert "no reference" in domain.note


def test_with_nothing_to_compare_it_is_unknown() -> None:
    domain = judge("tiny", rows(0.0), None, NO_PROFILE)
    assert (domain.verdict, domain.distance, domain.different, domain.confidence) == (
        "unknown",
        None,
        None,
        0.0,
    )


def test_a_proxy_is_declared() -> None:
    unknown = judge("other", rows(0.0), None, NO_PROFILE)
    stand_in = proxy(unknown, verdict(6.0))
    assert stand_in.backbone == "other"
    assert stand_in.verdict == "different"
    assert "seen by tiny (proxy)" in stand_in.reference
    assert stand_in.note == "measured with tiny, which was pretrained on the same domain"


def test_a_proxy_of_a_wider_set_says_so() -> None:
    unknown = judge("other", rows(0.0), None, NO_PROFILE)
    note = proxy(unknown, verdict(6.0), wider="lvd-142m").note
    assert note.startswith("measured with tiny, as lvd-142m has no reference; it holds such photographs and many more")


def test_a_network_without_batchnorm_gets_its_depth_from_the_reference() -> None:
    data = rows(3.0)
    domain = judge("tiny", data, reference(), NO_PROFILE, (data, data))
    assert len(domain.by_depth) == 2
    assert domain.by_depth[0] == pytest.approx(domain.distance)


def test_the_dictionary_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    values = json.loads(json.dumps(judge("tiny", rows(0.0), None, NO_PROFILE).to_dict(), allow_nan=False))
    assert values["by_depth"] == [None, None]


@pytest.mark.parametrize("n_groups", [10, 30])
def test_frames_of_one_video_are_no_sign_of_another_domain(n_groups: int) -> None:
    groups = np.repeat(np.arange(n_groups), 150 // n_groups)
    frames = rows(0.0, n_groups)[groups] + 0.05 * rows(0.0, 150, seed=3)
    alone, told = (judge("tiny", frames, reference(), NO_PROFILE, groups=given) for given in (None, groups))
    assert alone.relative > told.relative + 0.3
    assert abs(told.relative) < 0.5
    assert told.verdict == "similar"


def test_pictures_that_are_no_groups_are_judged_as_before() -> None:
    data = rows(3.0)
    apart = judge("tiny", data, reference(), NO_PROFILE, groups=np.arange(150))
    assert apart.relative == pytest.approx(judge("tiny", data, reference(), NO_PROFILE).relative)
    assert apart.different == pytest.approx(verdict(3.0).different)


def test_no_verdict_is_less_sure_than_a_coin() -> None:
    for shift, depth, n in product(np.linspace(0, 6, 13), np.linspace(0.1, 0.3, 9), (10, 150)):
        domain = verdict(float(shift), float(depth), n)
        assert domain.confidence >= 0.5
        assert domain.verdict == "borderline" or (domain.verdict == "different") == (domain.different > 0.5)


def test_borders_are_ordered() -> None:
    assert 0 < RELATIVE_BORDERS[0] < RELATIVE_BORDERS[1]
    assert 0 < DEPTH_BORDERS[0] < DEPTH_BORDERS[1]
