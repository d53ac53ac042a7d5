"""Random numbers of one's own: what is drawn within costs nobody outside any."""

from __future__ import annotations

import pytest
import torch

from automl_tl.devices import own_numbers


@pytest.mark.parametrize("seed", [None, 7])
def test_what_is_drawn_within_costs_nobody_outside_any(seed: int | None) -> None:
    before = torch.get_rng_state()
    with own_numbers(seed):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(RuntimeError, match="negative"), own_numbers(seed):
        torch.rand(int(torch.rand(3).sum()) - 9)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seed_makes_them_the_same_again() -> None:
    def drawn(seed: int | None) -> float:
        with own_numbers(seed):
            return float(torch.rand(()))

    assert drawn(3) == drawn(3) != drawn(4)
    assert drawn(None) == float(torch.rand(()))
