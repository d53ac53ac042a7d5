"""The tensors of a model by name, each stored once: `members.0.stages.3.conv.weight`, `members.0.head.linear.bias`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from automl_tl.model.member import Member
from automl_tl.model.model import Model

NEIGHBOURS = "novelty.neighbours"


def gather(model: Model) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors to store, on the CPU, and for each that an earlier member has bit by bit, {name: its name}.

    Parts of one backbone that both members use as it was pretrained are so stored once.
    """
    stored: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    known: dict[object, str] = {}
    for number, member in enumerate(model.members):
        own = {name: _plain(tensor) for name, tensor in _of(member, f"members.{number}")}
        bits = {name: _bits(tensor) for name, tensor in own.items()}
        aliases.update({name: known[bits[name]] for name in own if bits[name] in known})
        stored.update({name: tensor for name, tensor in own.items() if name not in aliases})
        for name in own:
            known.setdefault(bits[name], name)
    if model.novelty is not None:
        stored[NEIGHBOURS] = torch.from_numpy(model.novelty.neighbours.astype("float32"))
    return stored, aliases


def parts(member: Member, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules of a member that its scores depend on: the stages up to the last cut, and the head."""
    for number, stage in enumerate(member.network.stages[: max(member.cuts)], 1):
        yield f"{prefix}.stages.{number}", stage
    yield f"{prefix}.head", member.head


def fill(member: Member, prefix: str, state: Mapping[str, Tensor]) -> str | None:
    """Put stored tensors into a member's modules; return the first that does not fit, in words, or None.

    Args:
        member: is changed in place. Its head may be on the device "meta", without memory, which it gets once all fits.
        prefix: of its tensors.
        state: all tensors of the bundle by name.
    """
    wanted = dict(_of(member, prefix))
    found = {name: tensor for name, tensor in state.items() if name.startswith(f"{prefix}.")}
    for name in sorted(wanted.keys() | found.keys()):
        here, there = _shape(wanted.get(name)), _shape(found.get(name))
        if here != there:
            return f"{name.removeprefix(f'{prefix}.')} is {here} there and {there} in the bundle"
    if member.head.center.is_meta:
        member.head.to_empty(device=member.network.device)
    for place, module in parts(member, prefix):
        own = {name.removeprefix(f"{place}."): found[name] for name, _ in _named(place, module)}
        module.load_state_dict(own, strict=False)  # its tensors were compared; extra states are none of them
    return None


def _of(member: Member, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for place, module in parts(member, prefix):
        yield from _named(place, module)


def _named(place: str, module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, value in module.state_dict().items():
        if isinstance(value, Tensor):
            yield f"{place}.{name}", value


def _plain(tensor: Tensor) -> Tensor:
    """Return a copy on the CPU that shares its memory with nothing, in the plain order of its axes."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _bits(tensor: Tensor) -> object:
    content = tensor.reshape(-1).view(torch.uint8).numpy()
    return str(tensor.dtype), tuple(tensor.shape), hashlib.sha256(content.tobytes()).digest()


def _shape(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else str(tuple(tensor.shape))
