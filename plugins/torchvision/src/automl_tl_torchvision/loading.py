"""Build a torchvision network and fill it: from torch's checkpoints, from their address, or from a local file."""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

from automl_tl_torchvision import checkpoints
from automl_tl_torchvision.catalogue import SCALED, Entry
from automl_tl_torchvision.heads import classifier
from automl_tl_torchvision.splitting import head_name

WRAPPERS = ("state_dict", "model_state_dict", "model", "model_ema")
"""Keys under which training programs keep the tensors of a checkpoint."""
PREFIXES = ("module.", "_orig_mod.", "model.")
"""Put before every name by training programs."""
OLD_NAMES = (
    (re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d+\.)"), r"\1\2"),
    (re.compile(r"(\.mlp)\.linear_1\."), r"\1.0."),
    (re.compile(r"(\.mlp)\.linear_2\."), r"\1.3."),
)
"""Names of tensors in files that torchvision published long ago: DenseNet's and ViT's."""
COUNTER = "num_batches_tracked"
"""A counter of BatchNorm that evaluation does not read and old files lack."""

State = dict[str, Tensor]


def build(entry: Entry, name: str, *, pretrained: bool, file: Path | None, input_size: int | None) -> nn.Module:
    """Return a new network; see `TorchvisionBackbone.build`."""
    arch, size = entry.arch, entry.input_size
    if not pretrained:
        net = _create(arch, input_size)
        _drop_head(net)
        return net
    file = Path(file) if file is not None else _published(entry, name)
    state = read(file)
    net = _unfilled(arch, input_size)
    fill(net, state, f"{file} for torchvision:{name}")
    if not entry.n_labels or classifier(arch, net, size) is None:
        _drop_head(net)  # VGG's is nine tenths of it
    return net


def _unfilled(arch: str, input_size: int | None) -> nn.Module:
    """Return a network without memory where that is possible: to initialise what is filled next takes seconds."""
    try:
        with torch.device("meta"):
            return _create(arch, input_size)
    except NotImplementedError:  # RegNet computes its widths with tensors
        return _create(arch, input_size)


def _create(arch: str, input_size: int | None) -> nn.Module:
    more: dict[str, Any] = {}
    if arch in SCALED:
        more = {"aux_logits": False, "transform_input": False, "init_weights": False}
    if arch.startswith("vit_") and input_size is not None:
        more = {"image_size": input_size}
    return cast(nn.Module, models.get_model(arch, weights=None, **more))


def _drop_head(net: nn.Module) -> None:
    if name := head_name(net):
        setattr(net, name, nn.Identity())


def _published(entry: Entry, name: str) -> Path:
    """Return the published file, downloaded where it is not here yet and its server answers."""
    file_name, url = entry.file_name, entry.url
    file = checkpoints.cached(file_name)
    if file is not None:
        return file
    way_out = f"give a local file with --weights torchvision:{name}=FILE"
    what = f"the weights of torchvision:{name}"
    if reason := checkpoints.offline_reason(url):
        raise ConnectionError(f"{what} are not on this machine and cannot be fetched from {url} ({reason}); {way_out}")
    file = checkpoints.folder() / file_name
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), hash_prefix=Path(file_name).stem.rpartition("-")[2])
    except Exception as error:
        raise ConnectionError(f"{what} could not be fetched from {url} ({_said(error)}); {way_out}") from error
    return file


def read(file: Path) -> State:
    """Return the tensors of a local file by torchvision's names, unwrapped, floating-point ones as float32.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read as weights only.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no weights file {file}")
    try:
        found = _read_any(file)
    except Exception as error:
        raise ValueError(f"{file} cannot be read as weights only: {_said(error)}") from error
    state = _unwrapped(found)
    if not state:
        raise ValueError(f"{file} holds no tensors by name, but {type(found).__name__}")
    return {_renamed(name): t.float() if t.is_floating_point() else t for name, t in _without_prefix(state).items()}


def _read_any(file: Path) -> object:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    return torch.load(file, map_location="cpu", weights_only=True)


def _unwrapped(found: object) -> State:
    while isinstance(found, dict):
        inner = next((found[key] for key in WRAPPERS if isinstance(found.get(key), dict)), None)
        if inner is None:
            return {str(key): value for key, value in found.items() if isinstance(value, Tensor)}
        found = inner
    return {}


def _without_prefix(state: State) -> State:
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _renamed(name: str) -> str:
    for old, new in OLD_NAMES:
        name = old.sub(new, name)
    return name


def fill(net: nn.Module, state: State, what: str) -> None:
    """Make the tensors of `state` the network's own; it loses a classifier that is not among them.

    Raises:
        ValueError: Something that the stages need is missing or has another shape.
    """
    if isinstance(net, VisionTransformer):
        state = _resampled(net, state)
    own, head = net.state_dict(), head_name(net)
    fitting = {name: state[name] for name, tensor in own.items() if _fits(state, name, tensor)}
    fitting |= {name: torch.zeros_like(t, device="cpu") for name, t in own.items() if name.endswith(COUNTER)}
    rest = {name: tensor for name, tensor in own.items() if name not in fitting}
    needed = {name: tensor for name, tensor in rest.items() if not (head and name.startswith(f"{head}."))}
    if needed:
        raise ValueError(f"{what} does not fit: {_told(state, needed, len(own))}")
    if rest:
        _drop_head(net)
    # Its version tells torchvision's loading that the names are today's.
    filled: Any = OrderedDict(fitting)
    filled._metadata = cast(Any, own)._metadata
    net.load_state_dict(filled, strict=False, assign=True)


def _fits(state: State, name: str, tensor: Tensor) -> bool:
    return name in state and state[name].shape == tensor.shape


def _resampled(net: VisionTransformer, state: State) -> State:
    """Return `state` with the position embeddings of the network's own input size."""
    name = "encoder.pos_embedding"
    if name not in state or state[name].shape == net.encoder.pos_embedding.shape:
        return state
    return cast(State, interpolate_embeddings(net.image_size, net.patch_size, OrderedDict(state)))


def _told(state: State, needed: State, n_own: int) -> str:
    """Say what is missing or has another shape, with counts and the first one."""
    name, tensor = next(iter(needed.items()))
    found = f"{tuple(state[name].shape)} found" if name in state else "missing"
    first = f"{name}: {tuple(tensor.shape)} expected, {found}"
    return (
        f"{len(needed)} of its {n_own} tensors are missing or have another shape ({first}); the file has {len(state)}"
    )


def _said(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
