"""A state that `timm.create_model(NAME, num_classes=C, checkpoint_path=FILE)` loads, where timm has such a model.

timm's networks end in a linear layer on the pooled output of their last stage. A model of automl-tl is one if it reads
the same: then the scaling of its head and the temperature fold into that layer, so that the softmax of timm's
outputs is what the bundle gives. Decoding, resizing and normalisation are the user's; the file says which.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from safetensors import safe_open
from torch import Tensor, nn

from automl_tl.backbones.network import normalise
from automl_tl.exporter.errors import ExportError
from automl_tl.exporter.format import Runner
from automl_tl.exporter.metadata import metadata
from automl_tl.model.member import Member
from automl_tl.model.model import Model
from automl_tl.tensor_file import write_tensors

WAY_OUT = "use --format onnx or --format torch"


def write(model: Model, file: Path) -> None:
    """Write the state of the timm network that a model is, with its name and what its input must be as metadata.

    Raises:
        ExportError: It is none; the sentence says why.
    """
    fault = _fault(model)
    if fault is not None:
        raise ExportError(_refused(fault))
    (member,) = model.members
    state = _state(member, len(model.classes), model.temperature)
    write_tensors(file, state, {**metadata(model), **_input(member)})


def load(file: Path) -> Runner:
    """Return what runs the file in timm: pictures prepared already, uint8 (N, S, S, 3), to probabilities (N, C)."""
    with safe_open(file, "pt") as opened:
        said = opened.metadata()
    n_classes = len(json.loads(said["classes"]))
    size: dict[str, Any] = {"img_size": int(said["img_size"])} if "img_size" in said else {}
    net = timm.create_model(said["architecture"], num_classes=n_classes, checkpoint_path=str(file), **size).eval()
    mean, std = (tuple(json.loads(said[name])) for name in ("mean", "std"))

    def run(pictures: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found: np.ndarray = net(normalise(torch.from_numpy(pictures), mean, std)).softmax(1).numpy()
        return found

    return run


def _refused(reason: str) -> str:
    return f"The model has no form in timm: {reason}; {WAY_OUT}."


def _fault(model: Model) -> str | None:
    """Return why a model is no timm network with a linear layer on its pooled last stage, or None."""
    if len(model.members) > 1:
        return f"it is an ensemble of {len(model.members)} networks"
    member = model.members[0]
    n, name = member.network.n_stages, member.network.name
    faults = {
        f"{name} is no network of timm": not _config(member).get("architecture"),
        f"its head reads stage {'+'.join(map(str, member.cuts))} of {n}, and timm's the last": member.cuts != (n,),
        f"its head reads {member.pooling} of the positions, and timm's the mean": member.pooling != "mean",
        "its head has further layers beside the linear one": bool(member.head.hidden or member.head.channels),
    }
    return next((text for text, holds in faults.items() if holds), None)


def _config(member: Member) -> Mapping[str, Any]:
    """Return what timm keeps of where a network came from; empty for the networks of others."""
    found = getattr(member.network.module, "pretrained_cfg", None)
    return found if isinstance(found, Mapping) else {}


def _state(member: Member, n_classes: int, temperature: float) -> dict[str, Tensor]:
    """Return the network's tensors under timm's names, the folded head in place of its classifier."""
    config = _config(member)
    net = timm.create_model(config["architecture"], num_classes=n_classes, **_size(member))
    name, own = str(config.get("classifier")), member.network.module.state_dict()
    layer = dict(net.named_modules()).get(name)
    if not isinstance(layer, nn.Linear) or layer.in_features != member.head.d:
        raise ExportError(_refused(f"{config['architecture']} does not end in one linear layer on its means"))
    head = dict(zip((f"{name}.weight", f"{name}.bias"), _folded(member, temperature), strict=True))
    state = {key: head[key] if key in head else own.get(key) for key in net.state_dict()}
    for key, wanted in net.state_dict().items():
        found = state[key]
        if found is None or found.shape != wanted.shape:
            has = "missing" if found is None else f"{tuple(found.shape)} and not {tuple(wanted.shape)}"
            raise ExportError(_refused(f"{key} of {config['architecture']} is {has}"))
    return {key: tensor.detach().cpu().contiguous() for key, tensor in state.items() if tensor is not None}


def _size(member: Member) -> dict[str, Any]:
    """Return `img_size` for a network that must know its input size, as the plugin of timm builds it."""
    return {"img_size": member.preprocessing.size} if _config(member).get("fixed_input_size") else {}


def _folded(member: Member, temperature: float) -> tuple[Tensor, Tensor]:
    """Return weight (C, d) and bias (C,) on raw features, whose softmax needs no temperature."""
    head = member.head
    weight = head.linear.weight.double() / head.scale.double()
    bias = head.linear.bias.double() - weight @ head.center.double()
    return (weight / temperature).float(), (bias / temperature).float()


def _input(member: Member) -> dict[str, str]:
    """Return how a picture becomes timm's input."""
    backbone, how = member.network.backbone, member.preprocessing
    return {
        "architecture": str(_config(member)["architecture"]),
        **{name: str(size) for name, size in _size(member).items()},
        "mean": json.dumps(list(backbone.mean)),
        "std": json.dumps(list(backbone.std)),
        "input_size": str(how.size),
        "fit": how.fit,
        "interpolation": how.interpolation,
        "crop_pct": repr(how.crop_pct),
        "fill": json.dumps(list(how.fill)),
    }
