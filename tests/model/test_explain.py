"""Heat maps: class activation maps where they exist, complete for linear heads, first order beyond, and in place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_backbone import TinyBackbone, tiny_network
from tiny_models import CLASSES, member, trained_model
from token_backbone import TokenBackbone
from torch import Tensor

from automl_tl.backbones.stages import build_network, pool, stage_outputs
from automl_tl.data.decode import Preprocessing, preprocess
from automl_tl.errors import BackboneError, OptionError, PictureError
from automl_tl.model.contributions import contributions
from automl_tl.model.explain import heat_map
from automl_tl.model.forward import forward
from automl_tl.model.member import Member, join
from automl_tl.model.model import Model
from automl_tl.model.resampling import places

INPUTS = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
POOLINGS = ("mean", "mean+std", "grid")


def outputs(one: Member, inputs: Tensor = INPUTS) -> list[Tensor]:
    with torch.no_grad():
        return list(stage_outputs(one.network, inputs))


def scores(one: Member, maps: dict[int, Tensor]) -> Tensor:
    """Return the scores of given outputs of the cuts."""
    pooled = {cut: pool(one.network, output, last=cut == one.network.n_stages) for cut, output in maps.items()}
    with torch.no_grad():
        found: Tensor = one.head(join(pooled, one.cuts, one.pooling))
    return found


def standardising(one: Member) -> Member:
    """Return the member with a head whose columns are standardised by random numbers."""
    with torch.no_grad():
        one.head.center.copy_(torch.randn(one.head.d))
        one.head.scale.copy_(torch.rand(one.head.d) + 0.5)
    return one


# --- contributions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_linear_head_on_means_gives_its_class_activation_map(cut: int) -> None:
    one = standardising(member(cuts=(cut,)))
    (found,) = contributions(one, INPUTS, 1)
    weights = (one.head.linear.weight / one.head.scale)[1].detach()
    expected = torch.einsum("c,nchw->nhw", weights, outputs(one)[cut - 1])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@given(
    cuts=st.sets(st.sampled_from([1, 2, 3]), min_size=1),
    pooling=st.sampled_from(POOLINGS),
    target=st.integers(0, 2),
    seed=st.integers(0, 99),
)
@settings(max_examples=20, deadline=None)
def test_a_linear_heads_contributions_add_up_to_its_score(cuts: set[int], pooling: str, target: int, seed: int) -> None:
    one = standardising(member(cuts=tuple(sorted(cuts)), pooling=pooling, seed=seed))
    found = sum(part.mean((1, 2)) for part in contributions(one, INPUTS, target))
    with torch.no_grad():
        constant = one.head(torch.zeros(1, one.head.d))[:, target]
    maps = dict(enumerate(outputs(one), start=1))
    expected = scores(one, {cut: maps[cut] for cut in one.cuts})[:, target] - constant
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_a_position_in_several_quarters_counts_once() -> None:
    one = member(cuts=(2,), pooling="grid")
    inputs = torch.randn(1, 3, 28, 28, generator=torch.Generator().manual_seed(3))
    (found,) = contributions(one, inputs, 1)
    (activations,) = outputs(one, inputs)[1]
    weights = one.head.linear.weight[1].detach().reshape(12, 4)
    quarters = [(rows, columns) for rows in (slice(0, 4), slice(3, 7)) for columns in (slice(0, 4), slice(3, 7))]
    total, count = torch.zeros(7, 7), torch.zeros(7, 7)
    for quarter, place in enumerate(quarters):
        total[place] += torch.einsum("c,chw->hw", weights[:, quarter], activations)[place] * 49 / 16
        count[place] += 1
    assert count[3, 3] == 4
    torch.testing.assert_close(found[0], total / count, rtol=1e-4, atol=1e-5)


def test_more_layers_count_to_first_order() -> None:
    one = member(cuts=(2, 3), pooling="mean+std", hidden=7)
    found = contributions(one, INPUTS, 2)
    maps = dict(enumerate(outputs(one), start=1))
    read = {cut: maps[cut].double() for cut in one.cuts}
    one.head.double()
    for cut, heat in zip(one.cuts, found, strict=True):
        step = 1e-4
        nudged = {**read, cut: read[cut].clone()}
        nudged[cut][:, :, 1, 2] *= 1 + step
        change = (scores(one, nudged) - scores(one, read))[:, 2] / step
        torch.testing.assert_close(heat[:, 1, 2].double() / heat[0].numel(), change, rtol=0.02, atol=1e-4)


def test_the_convolution_block_is_part_of_the_map() -> None:
    one = member(channels=16)
    (found,) = contributions(one, INPUTS, 0)
    with torch.no_grad():
        refined = one.head.refine(outputs(one)[2])
        expected = torch.einsum("c,nchw->nhw", one.head.linear.weight[0], refined)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "mean+std"])
def test_tokens_that_are_averaged_lie_at_their_positions(pooling: str) -> None:
    one = member(build_network("tokens", TokenBackbone(class_token=False)), pooling=pooling)
    (found,) = contributions(one, INPUTS, 1)
    assert found.shape == (2, 4, 4)
    if pooling == "mean":
        positions = outputs(one)[2][:, 1:]
        expected = (positions @ one.head.linear.weight[1].detach()).reshape(2, 4, 4)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_class_token_is_explained_by_the_positions_that_it_learns_from() -> None:
    one = member(build_network("tokens", TokenBackbone()))
    (found,) = contributions(one, INPUTS, 1)
    before = outputs(one)[1]
    step = 1e-2
    nudged = before.clone()
    nudged[:, 1 + 4 * 2 + 3] *= 1 + step
    with torch.no_grad():
        change = [scores(one, {3: one.network.stages[2](tokens)})[:, 1] / step for tokens in (before, nudged)]
    torch.testing.assert_close(found[:, 2, 3] / 16, change[1] - change[0], rtol=0.1, atol=1e-3)
    assert float(found.std()) > 0


def test_what_reads_no_position_cannot_be_explained() -> None:
    network = build_network("tokens", TokenBackbone())
    whole = replace(network, stages=(network.module,), layouts=network.layouts[-1:], channels=network.channels[-1:])
    with pytest.raises(BackboneError, match="stage 1 depends on no position"):
        contributions(member(whole, cuts=(1,)), INPUTS, 0)


def test_tokens_without_a_square_cannot_be_explained() -> None:
    one = member(build_network("tokens", TokenBackbone(class_token=False, extra=1)))
    with pytest.raises(BackboneError, match="stage 3 puts out 17 tokens, which are no square"):
        contributions(one, INPUTS, 0)


def test_a_model_is_left_as_it_was() -> None:
    one = member(cuts=(1, 3), pooling="grid")
    before = [parameter.requires_grad for parameter in one.network.module.parameters()]
    contributions(one, INPUTS, 0)
    assert [parameter.requires_grad for parameter in one.network.module.parameters()] == before
    assert all(parameter.grad is None for parameter in one.network.module.parameters())


# --- over the picture -------------------------------------------------------------------------------


@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
@pytest.mark.parametrize(("width", "height"), [(200, 100), (90, 160), (128, 128)])
def test_every_pixel_finds_its_place_in_the_square(fit: str, width: int, height: int, tmp_path: Path) -> None:
    across, down = np.meshgrid(np.linspace(40, 250, width), np.linspace(40, 250, height))
    Image.fromarray(np.stack([across, down, across], 2).astype(np.uint8)).save(tmp_path / "ramp.png")
    how = Preprocessing(64, fit, fill=(0, 0, 0))
    square = torch.tensor(preprocess(tmp_path / "ramp.png", how)).permute(2, 0, 1)[None].float()
    x, y = places(width, height, how), places(height, width, how)
    grid = torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], 2)
    found = torch.nn.functional.grid_sample(square, grid[None], align_corners=False, padding_mode="border")[0]
    seen = (grid.abs() < 0.9).all(2).numpy()
    seen[:6] = seen[-6:] = seen[:, :6] = seen[:, -6:] = False  # the padding shines through at the edge
    assert seen.sum() > 0.4 * min(width, height) ** 2
    assert np.abs(found[0].numpy() - across)[seen].max() < 6
    assert np.abs(found[1].numpy() - down)[seen].max() < 6


def test_what_cropping_cuts_off_adds_nothing() -> None:
    one = member(fit="crop")
    images = {one.preprocessing: torch.randint(0, 255, (1, 32, 32, 3), dtype=torch.uint8)}
    heat = heat_map([one], images, 0, (50, 100))
    assert torch.equal(heat[:, :24], torch.zeros(50, 24))
    assert torch.equal(heat[:, 76:], torch.zeros(50, 24))
    assert bool((heat[:, 26:74] != 0).all())


def test_an_ensemble_adds_its_members_by_their_shares() -> None:
    network = tiny_network()
    first = member(network, cuts=(1, 3), pooling="mean+std", weight=0.25)
    second = member(build_network("tiny", TinyBackbone(seed=1)), fit="pad", weight=0.75, seed=1)
    images = {one.preprocessing: torch.randint(0, 255, (1, 32, 32, 3), dtype=torch.uint8) for one in (first, second)}
    alone = [heat_map([replace(one, weight=1.0)], images, 2, (40, 60)) for one in (first, second)]
    both = heat_map([first, second], images, 2, (40, 60))
    torch.testing.assert_close(both, 0.25 * alone[0] + 0.75 * alone[1])


# --- Model.explain ----------------------------------------------------------------------------------


def test_a_models_map_has_the_pictures_shape_and_its_logit(pictures: Path, tmp_path: Path) -> None:
    model = replace(trained_model(pictures), temperature=2.0)
    (one,) = model.members
    Image.open(pictures / "apple" / "000.png").resize((1024, 256)).save(tmp_path / "wide.png")
    heat = model.explain(tmp_path / "wide.png", "leaf")
    assert heat.dtype == np.float32
    assert heat.shape == (128, 512)
    image = torch.tensor(preprocess(tmp_path / "wide.png", one.preprocessing))[None]
    (score, _) = forward([one], {one.preprocessing: image})[0]
    with torch.no_grad():
        constant = one.head(torch.zeros(1, one.head.d))
    assert heat.mean() == pytest.approx(float((score - constant)[0, 1]) / 2, abs=0.02)


def test_the_most_probable_class_is_explained_unless_another_is_named(pictures: Path) -> None:
    model = trained_model(pictures)
    file = pictures / "sky" / "000.png"
    assert np.array_equal(model.explain(file), model.explain(file.read_bytes(), "sky"))
    assert not np.allclose(model.explain(file), model.explain(file, "leaf"))


def test_what_cannot_be_explained_is_one_sentence(pictures: Path) -> None:
    model = Model((member(),), CLASSES, 1.0, "squash")
    with pytest.raises(OptionError, match="no class 'dog': choose from 'apple', 'leaf', 'sky'"):
        model.explain(pictures / "sky" / "000.png", "dog")
    with pytest.raises(PictureError, match="cannot be used: not a picture"):
        model.explain(b"nothing")
