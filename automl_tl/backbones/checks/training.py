"""Checks of training: gradients arrive everywhere, and what is frozen stays as it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from automl_tl.backbones.checks.result import CheckResult, verdict
from automl_tl.backbones.checks.subject import Subject, few, tensor_names
from automl_tl.backbones.network import Network, stage_outputs
from automl_tl.backbones.stages import freeze, train_mode

_LET_THROUGH = "remove detach() and no_grad() from the stages, and parameters that nothing uses"


def gradients_reach_every_parameter(subject: Subject) -> CheckResult:
    """A loss on the last output gives every parameter of the stages a finite gradient."""
    network = subject.fresh()
    freeze(network, 0)
    train_mode(network, 0)
    loss = _loss(network, subject.x)
    if not loss.requires_grad:
        return verdict(
            gradients_reach_every_parameter,
            False,
            expected="a finite gradient for every parameter of every stage",
            actual="the last output has no gradient at all",
            advice=_LET_THROUGH,
        )
    torch.autograd.backward(loss)
    names = tensor_names(network.module)
    trained = {id(p): p for stage in network.stages for p in stage.parameters() if p.requires_grad}
    missed = [names.get(one, "?") for one, p in trained.items() if p.grad is None]
    odd = [names.get(one, "?") for one, p in trained.items() if p.grad is not None and not p.grad.isfinite().all()]
    found = f"{len(trained) - len(missed)} of {len(trained)} parameters have one, {len(odd)} not finite"
    return verdict(
        gradients_reach_every_parameter,
        not missed and not odd,
        expected="a finite gradient for every parameter of every stage",
        actual=found + (f" ({few(missed + odd)})" if missed or odd else ""),
        advice=_LET_THROUGH,
    )


def frozen_stages_stay_still(subject: Subject) -> CheckResult:
    """A training step with the first k stages frozen leaves their parameters and BatchNorm statistics as they are.

    The other stages train, with their own BatchNorm statistics adapting.
    """
    network = subject.fresh()
    cuts = sorted({1, max(1, network.n_stages // 2), max(1, network.n_stages - 1)})
    moved: list[str] = []
    stuck: list[int] = []
    for k in cuts:
        before = [_state(stage) for stage in network.stages]
        freeze(network, k)
        train_mode(network, k, batchnorm="adapting")
        trains = _step(network, subject.x)
        changed = [_changed(stage, old) for stage, old in zip(network.stages, before, strict=True)]
        moved += [f"stage {i} {name}" for i, names in enumerate(changed[:k], 1) for name in names]
        if trains and not any(changed[k:]):
            stuck.append(k)
    return verdict(
        frozen_stages_stay_still,
        not moved and not stuck,
        expected="the first k stages unchanged, the others trained",
        actual=f"{len(moved)} frozen tensors changed at k = {', '.join(map(str, cuts))}"
        + (f" ({few(moved)})" if moved else "")
        + (f", nothing trained at k = {stuck[0]}" if stuck else ""),
        advice="let stages share nothing, and change buffers only in training mode (self.training)"
        if moved
        else _LET_THROUGH,
    )


def _loss(network: Network, x: Tensor) -> Tensor:
    *_, output = stage_outputs(network, x)
    return output.float().square().mean()


def _step(network: Network, x: Tensor) -> bool:
    """Take one small optimiser step; return whether there was anything to train."""
    trained = [p for p in network.module.parameters() if p.requires_grad]
    loss = _loss(network, x)
    if not trained or not loss.requires_grad:
        return bool(trained)
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(trained, 1.0)
    torch.optim.SGD(trained, 0.05).step()
    network.module.zero_grad()
    return True


def _state(stage: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in stage.state_dict().items()}


def _changed(stage: nn.Module, before: dict[str, Tensor]) -> list[str]:
    return [name for name, tensor in stage.state_dict().items() if not torch.equal(tensor, before[name])]
