"""Members in one forward pass: as each alone, and what they share runs once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_backbone import TinyBackbone
from tiny_models import member

from automl_tl.backbones.stages import build_network
from automl_tl.data.decode import Preprocessing
from automl_tl.learning.tunable import copy_network
from automl_tl.model.forward import forward, share_stages
from automl_tl.model.member import Member

PICTURES = torch.randint(0, 256, (3, 32, 32, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
IMAGES = {Preprocessing(32, "squash"): PICTURES, Preprocessing(32, "pad"): PICTURES.flip(1)}


def tuned(one: Member, stage: int) -> Member:
    """Return a member with a network of its own, in which one stage has learned."""
    network = copy_network(one.network)
    with torch.no_grad():
        for parameter in network.stages[stage - 1].parameters():
            parameter.add_(0.25)
    return replace(one, network=network)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([(1,), (2,), (3,), (1, 3), (2, 3)]),
            st.sampled_from(["mean", "mean+std", "grid"]),
            st.sampled_from([0, 1, 2, 3]),
            st.sampled_from(["squash", "pad"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_together_members_answer_bit_by_bit_as_each_alone(some: list[tuple[tuple[int, ...], str, int, str]]) -> None:
    network = build_network("tiny", TinyBackbone())
    members = []
    for seed, (cuts, pooling, stage, fit) in enumerate(some):
        one = member(network, cuts=cuts, pooling=pooling, seed=seed, fit=fit)
        members.append(tuned(one, stage) if stage else one)
    together = forward(share_stages(members), IMAGES)
    for (scores, embeddings), one in zip(together, members, strict=True):
        alone_scores, alone_embeddings = forward([one], IMAGES)[0]
        assert torch.equal(scores, alone_scores)
        assert torch.equal(embeddings, alone_embeddings)


def test_a_convolution_block_is_its_own_members_only() -> None:
    network = build_network("tiny", TinyBackbone())
    members = [member(network, channels=16), member(network, cuts=(2, 3), seed=1)]
    for (scores, _), one in zip(forward(members, IMAGES), members, strict=True):
        assert torch.equal(scores, forward([one], IMAGES)[0][0])


@pytest.mark.parametrize(("stage", "passes"), [(0, 1), (3, 1), (2, 1), (1, 2)])
def test_what_is_shared_runs_once(stage: int, passes: int) -> None:
    backbone = TinyBackbone()
    network = build_network("tiny", backbone)
    first, second = member(network), member(network, cuts=(2, 3), seed=1)
    members = share_stages([first, tuned(second, stage) if stage else second])
    before = backbone.passes
    forward(members, IMAGES)
    assert backbone.passes - before == passes


def test_a_plugin_may_hold_its_mean_as_a_list() -> None:
    backbone = TinyBackbone()
    backbone.mean = list(backbone.mean)  # type: ignore[assignment]
    one = member(build_network("tiny", backbone))
    (scores, _), _ = forward(share_stages([one, tuned(one, 3)]), IMAGES)
    assert torch.equal(scores, forward([member(build_network("tiny", TinyBackbone()))], IMAGES)[0][0])


def test_a_stage_that_writes_into_its_input_disturbs_no_other_member() -> None:
    class InPlace(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mul_(2)

    network = build_network("tiny", TinyBackbone())
    first, second = member(network), member(network, seed=1)
    stages = [torch.nn.Sequential(InPlace(), stage) for stage in (network.stages[2], copy_network(network).stages[2])]
    members = [
        replace(one, network=replace(network, stages=(*network.stages[:2], stage)))
        for one, stage in zip((first, second), stages, strict=True)
    ]
    for (scores, _), one in zip(forward(members, IMAGES), members, strict=True):
        assert torch.equal(scores, forward([one], IMAGES)[0][0])


def test_another_backbones_stages_are_not_shared() -> None:
    one, other = (member(build_network(name, TinyBackbone())) for name in ("tiny", "twin"))
    shared = share_stages([one, other])
    assert shared[1].network.stages[0] is other.network.stages[0]


def test_where_memory_does_not_suffice_the_halves_are_classified() -> None:
    members = [member(build_network("tiny", TinyBackbone())), member(build_network("tiny", TinyBackbone()), seed=1)]
    expected = forward(members, IMAGES)

    def hook(_: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if len(inputs[0]) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    members[0].network.stages[1].register_forward_pre_hook(hook)
    for found, whole in zip(forward(members, IMAGES), expected, strict=True):
        torch.testing.assert_close(found, whole)
