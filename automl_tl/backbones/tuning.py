"""How a built backbone is fine-tuned: what its plugin says of that, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from torch import nn

from automl_tl.backbones.blame import blaming
from automl_tl.backbones.contract import Backbone, FineTuning
from automl_tl.errors import BackboneError

LOWEST_RATE, HIGHEST_RATE = 1e-5, 1e-3
"""Of what is believed of AdamW's rate for pretrained stages."""


def fine_tuning_of(name: str, backbone: Backbone, module: nn.Module) -> FineTuning:
    """Return what the plugin of the backbone `name` says of training `module`, its network.

    Raises:
        BackboneError: it raises, or says what makes no sense.
    """
    own = getattr(backbone, "fine_tuning", None)
    if own is None:
        return FineTuning()
    with blaming(name, "could not say how it is fine-tuned"):
        found = own(module)
        return _checked(name, found, {parameter for parameter, _ in module.named_parameters()})


def _checked(name: str, found: object, parameters: set[str]) -> FineTuning:
    known = [field.name for field in fields(FineTuning)]
    if found is None:
        return FineTuning()
    if not isinstance(found, FineTuning | Mapping):
        raise BackboneError(f"{name}: fine_tuning() must return a mapping or None, but returned {type(found).__name__}")
    values = found if isinstance(found, Mapping) else vars(found)
    if unknown := [key for key in values if key not in known]:
        raise BackboneError(f"{name}: fine_tuning() may have the keys {', '.join(known)}, but has {unknown[0]!r}")
    said = FineTuning(**{**values, "undecayed": tuple(values.get("undecayed", ()))})
    if fault := _fault(said, parameters):
        raise BackboneError(f"{name}: {fault}")
    return said


def _fault(said: FineTuning, parameters: set[str]) -> str | None:
    """Return what makes no sense of it, or None."""
    rate, decay = said.learning_rate, said.layer_decay
    if rate is not None and not LOWEST_RATE <= rate <= HIGHEST_RATE:
        return f"the learning_rate of fine_tuning() must be {LOWEST_RATE:g} to {HIGHEST_RATE:g}, but is {rate!r}"
    if not 0 < decay <= 1:
        return f"the layer_decay of fine_tuning() must be above 0 and at most 1, but is {decay!r}"
    strange = [one for one in said.undecayed if one not in parameters]
    return f"undecayed of fine_tuning() names {strange[0]!r}, which is no parameter of the network" if strange else None
