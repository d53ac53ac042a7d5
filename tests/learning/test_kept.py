from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.learning.kept import Kept


@given(keys=st.lists(st.integers(0, 9)), most=st.integers(0, 40))
def test_what_is_kept_is_right_and_within_bounds(keys: list[int], most: int):
    kept = Kept(most)
    for key in keys:
        result = kept.get(key, lambda key=key: np.full(key, key, np.int8))
        assert result.tolist() == [key] * key
        assert kept.nbytes <= most


def test_the_latest_used_are_computed_once():
    kept, computed = Kept(20), []

    def ask(key: str) -> None:
        kept.get(key, lambda: computed.append(key) or np.zeros(10, np.int8))

    for key in ("a", "b", "a", "c", "a", "b"):
        ask(key)
    assert computed == ["a", "b", "c", "b"]
