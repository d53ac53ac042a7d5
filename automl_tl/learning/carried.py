"""What a trained model hands on to the training that goes on from it: its stages, and the columns of its classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from automl_tl.learning.linear import LinearHead
from automl_tl.learning.network_head import NetworkHead


@dataclass(frozen=True, eq=False)
class Carried:
    """What was learned before."""

    state: Mapping[str, Tensor]
    """`learned_state` of the same source and layers, for the classes of then."""
    n_known: int
    """Classes of then."""
    places: tuple[int | None, ...]
    """Of every class now, its column then; None where it is new."""


def widened(head: NetworkHead, places: tuple[int | None, ...], solved: LinearHead | None) -> NetworkHead:
    """Return a head for more classes: the columns of known ones as they are, those of new ones as they were solved.

    Scores of a softmax mean the same whatever is added to all of them, so a new class takes its solved distance from
    the mean of the known ones to their mean in `head`.

    Args:
        head: of the classes of then.
        places: see `Carried`.
        solved: softmax on the features that `head` reads, for the classes of now; None where none of them is new.
    """
    known = [now for now, then in enumerate(places) if then is not None]
    new = [now for now, then in enumerate(places) if then is None]
    then = [place for place in places if place is not None]
    wide = NetworkHead(head.d, len(places), hidden=head.hidden, channels=head.channels)
    before = {name: value.cpu() for name, value in head.state_dict().items()}
    classwise = {name for name in before if name.startswith(_by_class(head))}
    wide.load_state_dict({name: value for name, value in before.items() if name not in classwise}, strict=False)
    with torch.no_grad():
        for name in classwise:
            values = wide.get_parameter(name)
            values.copy_(torch.zeros_like(values).index_copy(0, torch.tensor(known), before[name][then]))
        parts = zip((wide.linear.weight, wide.linear.bias), _in_terms_of(head, solved), strict=True) if solved else ()
        for columns, own in parts:
            columns[new] = own[new] - own[known].mean(dim=0) + columns[known].mean(dim=0)
    return wide


def _by_class(head: NetworkHead) -> tuple[str, ...]:
    """Return what the names of the tensors begin with that have a row for every class."""
    added = head.fully_connected
    return ("linear.",) if added is None else ("linear.", f"fully_connected.{len(added) - 1}.")


def _in_terms_of(head: NetworkHead, solved: LinearHead) -> tuple[Tensor, Tensor]:
    """Return weight (C, d) and bias (C,) of a solved head on features that are scaled as `head` does it."""
    weight, bias, center, scale = (
        torch.as_tensor(part).double() for part in (solved.weight, solved.bias, solved.center, solved.scale)
    )
    own_center, own_scale = head.center.cpu().double(), head.scale.cpu().double()
    moved = bias + weight @ ((own_center - center) / scale)
    return (weight * (own_scale / scale)).float(), moved.float()
