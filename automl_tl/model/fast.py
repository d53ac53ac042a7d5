"""A model in the fastest way that its device knows: for many pictures, where the third digit does not matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from automl_tl.backbones.network import Network
from automl_tl.backbones.stages import normalise
from automl_tl.data.decode import Preprocessing
from automl_tl.errors import BackboneError, EngineError
from automl_tl.features.engine import choose_engine
from automl_tl.features.runtimes import OpenVinoGraph, fastest_dtype, folded, installed_openvino
from automl_tl.model.decoding import Images
from automl_tl.model.forward import Result, forward, normalisation, run, share_stages
from automl_tl.model.member import Member
from automl_tl.model.model import Model
from automl_tl.model.predict import Answers

TOLERANCE = 0.05
"""Largest difference of a probability on noise, which is hard, from the exact model's; else that one is used."""
_N = 8
Compute = Callable[[Images], list[Result]]
"""Scores and embeddings of pictures for every member, as `forward` returns them."""


@dataclass(frozen=True, eq=False)
class FastModel:
    """The answers of a model, computed faster: a `Scorer`."""

    exact: Model
    compute: Compute
    how: str
    """By what, in words."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Of the model."""
        return self.exact.classes

    @property
    def preprocessings(self) -> tuple[Preprocessing, ...]:
        """Of the model."""
        return self.exact.preprocessings

    def answer(self, images: Images) -> Answers:
        """Return what `Model.answer` does, within TOLERANCE; itself where a short number format overflows."""
        try:
            return self.computed(images)
        except BackboneError:
            return self.exact.answer(images)

    def computed(self, images: Images) -> Answers:
        """Return the answers as they are computed faster; BackboneError where scores are no numbers."""
        results = self.compute(images)
        return self.exact.judged([scores for scores, _ in results], results[0][1], images)


def fast(model: Model) -> FastModel:
    """Return the fastest way to the answers of a model, prepared once and compared with the model itself.

    On a CPU that is OpenVINO where it is installed, in bfloat16 where the CPU has it, else torch with every BatchNorm
    folded into its convolution; elsewhere the device's short number format. What fails or differs is not used.
    """
    noise = _noise(model)
    expected = model.answer(noise).probabilities
    for prepare in (_by_openvino, _by_folding) if model.device.type == "cpu" else (_by_autocast,):
        try:
            found = prepare(model)
            if np.abs(found.computed(noise).probabilities - expected).max() <= TOLERANCE:
                return found
        except (EngineError, BackboneError):  # not installed, not for this network, or scores that are no numbers
            continue
    return FastModel(model, partial(forward, model.members), "torch, as without --fast")


def _noise(model: Model) -> Images:
    generator = torch.Generator().manual_seed(0)
    return {
        how: torch.randint(0, 256, (_N, how.size, how.size, 3), dtype=torch.uint8, generator=generator)
        for how in model.preprocessings
    }


def _by_autocast(model: Model) -> FastModel:
    engine = choose_engine(str(model.device))

    def compute(images: Images) -> list[Result]:
        with engine.autocast():
            return forward(model.members, images)

    return FastModel(model, compute, f"torch in {engine.dtype}")


def _by_folding(model: Model) -> FastModel:
    networks = {id(member.network): folded(member.network) for member in model.members}
    members = share_stages([replace(member, network=networks[id(member.network)]) for member in model.members])
    return FastModel(model, partial(forward, members), "torch with folded BatchNorm")


def _by_openvino(model: Model) -> FastModel:
    if not installed_openvino():
        raise EngineError("OpenVINO is not installed: pip install 'automl-tl[openvino]'")
    graph, dtype = MembersGraph(model.members), fastest_dtype()
    run_graph = OpenVinoGraph(graph, [(how.size, how.size) for _, how in graph.starts], dtype, "this model")

    def compute(images: Images) -> list[Result]:
        inputs = [normalise(images[how], *normalisation(network)) for network, how in graph.starts]
        values = list(map(torch.from_numpy, run_graph(inputs)))
        return list(zip(values[::2], values[1::2], strict=True))

    return FastModel(model, compute, f"OpenVINO in {dtype}")


class MembersGraph(nn.Module):
    """Members as one module of normalised pictures, whose shared stages run once.

    Args:
        members: of a model.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        super().__init__()
        self.members = tuple(members)
        self.starts = self._starts()
        stages = [stage for member in members for stage in member.network.stages[: max(member.cuts)]]
        self.stages = nn.ModuleList(dict.fromkeys(stages))  # so that a trace finds their parameters
        self.heads = nn.ModuleList(member.head for member in members)
        self.eval()

    def _starts(self) -> list[tuple[Network, Preprocessing]]:
        """Return what each input is prepared for, in the order of `forward`'s arguments."""
        starts: Mapping[object, tuple[Network, Preprocessing]] = {
            (one.preprocessing, normalisation(one.network)): (one.network, one.preprocessing) for one in self.members
        }
        return list(starts.values())

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return scores (N, C) and embeddings (N, D) of every member in turn, of normalised float32 (N, 3, S, S)."""
        given = {(how, normalisation(network)): x for (network, how), x in zip(self.starts, inputs, strict=True)}
        results = run(self.members, lambda network, how: given[how, normalisation(network)])
        return tuple(values for both in results for values in both)
