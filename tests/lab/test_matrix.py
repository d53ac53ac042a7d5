from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.lab.matrix import Borders, judge_size, place
from automl_tl.strategies import FROZEN, STRATEGIES, frozen_strategy

LITE = 4_000_000
BORDERS = Borders(large=1000, large_doubt=0.5, different=0.5, largest=1500)


@pytest.mark.parametrize(
    ("n", "per_class", "verdict"),
    [
        (80, 8, "small"),
        (100, 10, "small"),
        (348, 60, "small"),
        (500, 50, "small"),
        (3068, 300, "large"),
        (3388, 350, "large"),
    ],
)
def test_data_sets_fall_on_their_side_of_the_border(n: int, per_class: float, verdict: str) -> None:
    size = judge_size(n, per_class, LITE, BORDERS)
    assert size.verdict == verdict
    assert size.confidence > 0.8


@given(st.integers(2, 10**7), st.integers(1, 10**5), st.integers(10**5, 10**9))
def test_more_pictures_are_never_smaller_and_a_larger_network_never_makes_them_larger(
    n: int, per_class: int, parameters: int
) -> None:
    size = judge_size(n, per_class, parameters, BORDERS)
    assert judge_size(2 * n, per_class, parameters, BORDERS).large >= size.large
    assert judge_size(n, per_class, 4 * parameters, BORDERS).large <= size.large
    assert (size.verdict == "large") == (size.ratio >= 1)
    assert 0.5 <= size.confidence <= 1


def test_the_border_grows_with_the_root_of_the_parameters() -> None:
    assert judge_size(1, 1, 928_000_000, BORDERS).border_total == pytest.approx(15_000, rel=0.2)


def test_more_than_was_measured_is_an_extrapolation() -> None:
    assert judge_size(100_000, 1000, LITE, BORDERS).extrapolated
    assert not judge_size(1000, 100, LITE, BORDERS).extrapolated


@given(st.floats(0, 1), st.floats(0, 1))
def test_probabilities_are_a_distribution_and_the_cell_is_its_mode(large: float, different: float) -> None:
    matrix = place(large, different)
    assert sum(matrix.probabilities.values()) == pytest.approx(1)
    assert matrix.cell is not None
    assert matrix.probabilities[matrix.cell] == max(matrix.probabilities.values())
    assert matrix.runner_up != matrix.cell


def test_the_four_corners() -> None:
    corners = [place(large, different).cell for large in (0.1, 0.9) for different in (0.1, 0.9)]
    assert corners == [
        "feature_extractor",
        "early_feature_extractor",
        "fine_tuning",
        "pretrained_initialization",
    ]


@given(st.floats(0.02, 0.98), st.floats(0, 1))
def test_the_column_of_the_different_begins_at_its_border(border: float, different: float) -> None:
    unlike = place(0.1, different, border).cell == "early_feature_extractor"
    assert unlike == (different > border) or different == pytest.approx(border)


def test_an_unknown_domain_names_no_cell() -> None:
    assert place(0.2, None).cell is None


@given(st.integers(1, 40), st.data())
def test_every_frozen_cut_has_exactly_one_name(n_stages: int, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(1, n_stages), min_size=1, unique=True))
    name = frozen_strategy(cuts, n_stages)
    assert name in FROZEN
    assert (name == "early_feature_extractor") == all(cut <= 0.6 * n_stages for cut in cuts)
    assert frozen_strategy([n_stages], n_stages) == "feature_extractor"
    assert set(FROZEN) < set(STRATEGIES)
