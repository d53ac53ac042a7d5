"""Members in one forward pass: pixels in, scores out, in float32; a stage that several members share runs once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from automl_tl.backbones.blame import blaming
from automl_tl.backbones.network import Network
from automl_tl.backbones.stages import Pooled, normalise, pool_stage
from automl_tl.data.decode import Preprocessing
from automl_tl.devices import to_device, to_host
from automl_tl.features.halving import halving
from automl_tl.model.member import Member, join

Result = tuple[Tensor, Tensor]
"""Scores (N, C) and embeddings (N, D), float32."""
Inputs = Callable[[Network, Preprocessing], Tensor]
"""What gives the pictures as a network takes them, normalised float32 (N, 3, S, S), prepared in one way."""


def forward(members: Sequence[Member], images: Mapping[Preprocessing, Tensor]) -> list[Result]:
    """Return scores and embeddings of the pictures for every member, on the CPU, without gradients.

    The embedding is the mean-pooled output of a member's last cut, by which unusual pictures are known. Networks and
    heads must be in eval mode; nothing is autocast. Where memory does not suffice for the batch it is halved.

    Args:
        members: of a model.
        images: the pictures for each preprocessing, uint8 (N, S, S, 3).

    Raises:
        ShortageError: one picture at a time does not fit into memory.
    """
    return halving(partial(_in_parts, members, images), len(next(iter(images.values()))))[0]


def _in_parts(members: Sequence[Member], images: Mapping[Preprocessing, Tensor], parts: int) -> list[Result]:
    if parts == 1:
        return _forward(members, images)
    split = {how: pixels.tensor_split(min(parts, len(pixels))) for how, pixels in images.items()}
    n_parts = len(next(iter(split.values())))
    results = [_forward(members, {how: some[i] for how, some in split.items()}) for i in range(n_parts)]
    return [(torch.cat([s for s, _ in own]), torch.cat([e for _, e in own])) for own in zip(*results, strict=True)]


def _forward(members: Sequence[Member], images: Mapping[Preprocessing, Tensor]) -> list[Result]:
    def inputs(network: Network, how: Preprocessing) -> Tensor:
        return normalise(to_device(images[how], network.device), *normalisation(network))

    with torch.inference_mode():
        results = run(members, inputs)
    found = to_host({(row, part): values for row, both in enumerate(results) for part, values in enumerate(both)})
    return [(torch.from_numpy(found[row, 0]), torch.from_numpy(found[row, 1])) for row in range(len(results))]


def run(members: Sequence[Member], inputs: Inputs) -> list[Result]:
    """Return scores and embeddings for every member, where the inputs are; differentiable, and can be traced."""
    passes = [_Run(member) for member in members]
    for start in dict.fromkeys(one.start for one in passes):
        group = [one for one in passes if one.start == start]
        x = inputs(group[0].network, group[0].member.preprocessing)
        _advance(group, x.contiguous(memory_format=torch.channels_last), 0)
    return [one.result() for one in passes]


def share_stages(members: Sequence[Member]) -> tuple[Member, ...]:
    """Return the members with every leading stage that an earlier one has bit by bit taken from that one.

    So `forward` runs those stages once: two heads on one frozen backbone take hardly longer than one.
    """
    shared: list[Member] = []
    for member in members:
        stages = list(member.network.stages)
        alike = [m.network for m in shared if _same_plugin(m.network, member.network)]
        for position, stage in enumerate(stages[: max(member.cuts)]):
            alike = [other for other in alike if _equal(other.stages[position], stage)]
            if not alike:
                break
            stages[position] = alike[0].stages[position]
        shared.append(replace(member, network=replace(member.network, stages=tuple(stages))))
    return tuple(shared)


class _Run:
    """A member on its way through its stages."""

    def __init__(self, member: Member) -> None:
        self.member, self.network, self.last = member, member.network, max(member.cuts)
        self.start = (member.preprocessing, normalisation(self.network))
        self.pooled: dict[int, Pooled] = {}

    def next_stage(self, done: int) -> nn.Module:
        return self.network.stages[done]

    def keep(self, output: Tensor, done: int) -> None:
        """Take from the output of stage `done` what the head reads."""
        refined = self.member.head.refine(output) if done == self.last else output
        self.pooled[done] = pool_stage(self.network, refined, done, self.member.pooling)

    def result(self) -> Result:
        with blaming(self.network.name, "puts out what the head of this model cannot read"):
            scores = self.member.head(join(self.pooled, self.member.cuts, self.member.pooling))
        return scores.float(), self.pooled[self.last].mean.float()


def _advance(passes: Sequence[_Run], x: Tensor, done: int) -> None:
    """Take members on that have the first `done` stages in common, whose output is `x`."""
    for one in passes:
        if done in one.member.cuts:
            one.keep(x, done)
    branches: dict[int, list[_Run]] = {}
    for one in passes:
        if one.last > done:
            branches.setdefault(id(one.next_stage(done)), []).append(one)
    for branch in branches.values():
        own = x if len(branches) == 1 else x.clone()  # a stage may write into what it is given
        with blaming(branch[0].network.name, "could not classify these pictures"):
            output = branch[0].next_stage(done)(own)
        _advance(branch, output, done + 1)


def normalisation(network: Network) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation; a plugin may hold them as lists."""
    return tuple(network.backbone.mean), tuple(network.backbone.std)


def _same_plugin(one: Network, other: Network) -> bool:
    ways = [(n.name, n.n_stages, n.backbone.input_size, normalisation(n)) for n in (one, other)]
    return ways[0] == ways[1]


def _equal(one: nn.Module, other: nn.Module) -> bool:
    """Return whether two builds of a stage hold the same values; not where it keeps others than tensors."""
    if one is other:
        return True
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(
        isinstance(value, Tensor) and torch.equal(value, theirs[name]) for name, value in ours.items()
    )
