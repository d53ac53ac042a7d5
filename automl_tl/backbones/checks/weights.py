"""Checks of loading: every tensor comes from the weights, and the weights are not random ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from automl_tl.backbones.checks.result import CheckResult, skipped, verdict
from automl_tl.backbones.checks.subject import Subject, few, gap_text, relative_difference
from automl_tl.backbones.network import Network

COUNTER = "num_batches_tracked"  # of BatchNorm; evaluation does not read it, and old files lack it


def all_weights_are_loaded(subject: Subject) -> CheckResult:
    """The stages have nothing that the weights lack, and the weights nothing that the stages' layers lack.

    Missing are tensors that `load_state_dict` did not find, that differ between two builds (so they are random),
    or that still have the constant that they were initialised with, unless it was found in what was loaded. A file's
    tensors for a part that the network does not have at all, such as a classifier, may be left out.
    """
    if subject.without_weights:
        return skipped(all_weights_are_loaded, subject.without_weights)
    with _recorded_loads() as loads:
        network = subject.fresh()
    found = _found(loads, network)
    constant = [name for name in _initial(network, subject) if not found.get(name, False)]
    lacking = [name for name, is_there in found.items() if not is_there]
    missing = sorted({*lacking, *_random(network, subject.second), *constant})
    unexpected = [name for load in loads for name in load.unexpected if _belongs(name, load.module)]
    left_out = [name for load in loads for name in load.unexpected if name not in unexpected]
    n_tensors = len(_reached(network))
    return verdict(
        all_weights_are_loaded,
        not missing and not unexpected,
        expected="every tensor of the stages from the weights, and no tensor of the weights without a place",
        actual=f"{n_tensors - len(missing)} of {n_tensors} tensors loaded"
        + (f", missing {few(missing)}" if missing else "")
        + (f", unexpected {few(unexpected)}" if unexpected else "")
        + (f", {len(left_out)} of a part that the network lacks left out" if left_out else ""),
        advice="compare the names in the file with module.state_dict(), map them, and load with strict=True",
    )


def pretrained_differs_from_random(subject: Subject) -> CheckResult:
    """build(pretrained=True) and build(pretrained=False) are different networks."""
    if subject.without_weights:
        return skipped(pretrained_differs_from_random, subject.without_weights)
    own, random = (subject.outputs(subject.x, network)[-1] for network in (subject.network, subject.untrained))
    gap = relative_difference(own, random)
    return verdict(
        pretrained_differs_from_random,
        gap > 1e-3,
        expected="outputs that differ from those of build(pretrained=False)",
        actual=f"they differ by {gap_text(gap)}",
        advice="let build() load weights only where pretrained is true, and check that it loads them then",
    )


@dataclass
class _Load:
    """One call of load_state_dict."""

    module: nn.Module
    missing: set[int] = field(default_factory=set)
    """Ids of tensors that the state lacked."""
    unexpected: list[str] = field(default_factory=list)


@contextmanager
def _recorded_loads() -> Iterator[list[_Load]]:
    """Write down what every load_state_dict in the block finds missing and unexpected."""
    original, loads = nn.Module.load_state_dict, []

    def load_state_dict(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        result = original(module, *args, **kwargs)
        own = module.state_dict(keep_vars=True)
        missing = {id(own[name]) for name in result.missing_keys if name in own and not name.endswith(COUNTER)}
        loads.append(_Load(module, missing, list(result.unexpected_keys)))
        return result

    with patch.object(nn.Module, "load_state_dict", load_state_dict):
        yield loads


def _reached(network: Network) -> dict[str, Tensor]:
    """Return the parameters and buffers of the stages by the module's names; counters left out."""
    stages = nn.ModuleList(network.stages)
    reached = {id(tensor) for tensor in [*stages.parameters(), *stages.buffers()]}
    own = network.module.state_dict(keep_vars=True)
    return {name: t for name, t in own.items() if id(t) in reached and not name.endswith(COUNTER)}


def _found(loads: list[_Load], network: Network) -> dict[str, bool]:
    """Return by name whether a load found a tensor that it covers; what no load covers is not among them."""
    found: dict[int, bool] = {}
    for load in loads:
        for tensor in load.module.state_dict(keep_vars=True).values():
            found[id(tensor)] = id(tensor) not in load.missing or found.get(id(tensor), False)
    return {name: found[id(tensor)] for name, tensor in _reached(network).items() if id(tensor) in found}


def _random(network: Network, second: Network) -> list[str]:
    """Return tensors that two builds with pretrained weights do not agree on."""
    other = _reached(second)
    return [name for name, t in _reached(network).items() if name not in other or not torch.equal(t, other[name])]


def _initial(network: Network, subject: Subject) -> list[str]:
    """Return parameters and running statistics that still have the constant of an untrained network."""
    untrained = _reached(subject.untrained)
    trained = {id(p) for p in network.module.parameters()}
    return [
        name
        for name, tensor in _reached(network).items()
        if (id(tensor) in trained or "running_" in name)
        and name in untrained
        and tensor.is_floating_point()
        and tensor.numel() > 1
        and bool(tensor.min() == tensor.max())  # a fixed table, such as of positions, is no constant
        and torch.equal(tensor, untrained[name])
    ]


def _belongs(name: str, module: nn.Module) -> bool:
    """Say whether a tensor's name lies in a part of `module` that has tensors."""
    part = dict(module.named_children()).get(name.partition(".")[0])
    return part is not None and bool(part.state_dict())
