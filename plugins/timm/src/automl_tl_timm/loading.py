"""Build a timm network and fill it: from the hub's cache folder, from the hub, or from a local file."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn

from automl_tl_timm import hub
from automl_tl_timm.catalogue import Entry
from automl_tl_timm.splitting import split

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Keys under which training programs keep the tensors of a checkpoint."""
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")
"""Put before every name by training programs."""
NOT_A_WEIGHT = "num_batches_tracked"
"""A counter of BatchNorm that evaluation does not read and old files lack."""

State = dict[str, Tensor]


def build(entry: Entry, name: str, *, pretrained: bool, file: Path | None, input_size: int | None) -> nn.Module:
    """Return a new network; see `TimmBackbone.build`."""
    size = _size_arguments(entry.name, input_size)
    if not pretrained:
        return _without_head(_create(entry.arch, **_headless(entry.arch), **size), entry.input_size)
    if file is not None:
        return _from_file(entry, name, Path(file), size)
    if not entry.source:
        raise FileNotFoundError(f"timm publishes no weights for {entry.arch}; {_way_out(name)}")
    cached = hub.cached_file(entry.source)
    if cached is None:
        net = _downloaded(entry, name, size)
    elif _head_needs_a_map(entry.arch):
        return _from_file(entry, name, cached[0], size)
    else:
        # timm itself asks the hub even for a file that is here, and waits for long without a network.
        overlay = {"file": str(cached[0]), "custom_load": False}
        net = _create(entry.name, pretrained=True, pretrained_cfg_overlay=overlay, **size)
    return _without_head(net, entry.input_size) if _head_needs_a_map(entry.arch) else net


def _downloaded(entry: Entry, name: str, arguments: dict[str, Any]) -> nn.Module:
    """Let timm fetch its weights from the hub, once the hub is known to answer."""
    reason = hub.offline_reason(entry.source)
    if reason is not None:
        raise ConnectionError(
            f"the weights of timm:{name} are not on this machine and cannot be fetched from "
            f"{entry.source} ({reason}); {_way_out(name)}"
        )
    try:
        return _create(entry.name, pretrained=True, **arguments)
    except Exception as error:
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConnectionError(
            f"the weights of timm:{name} could not be fetched from {entry.source} ({told}); {_way_out(name)}"
        ) from error


def _way_out(name: str) -> str:
    return f"give a local file with --weights timm:{name}=FILE"


def _create(name: str, **arguments: Any) -> nn.Module:
    net = timm.create_model(name, **arguments).float()
    if "img_size" in arguments:
        net.built_for = arguments["img_size"]
    return net


def _size_arguments(name: str, input_size: int | None) -> dict[str, Any]:
    """Return `img_size` for a network that must know its input size; the others take any."""
    if input_size is None:
        return {}
    config = timm.get_pretrained_cfg(name)
    return {"img_size": input_size} if config is not None and config.fixed_input_size else {}


def _head_needs_a_map(arch: str) -> bool:
    """Say whether the fully connected layers read a map and not a vector: VGG's are most of its weights."""
    return arch.startswith("vgg")


def _headless(arch: str) -> dict[str, Any]:
    """Return the arguments for a network without its classifier.

    VGG's other fully connected layers are made tiny, since to initialise them takes seconds.
    """
    return {"num_classes": 0, "mlp_ratio": 1 / 4096} if _head_needs_a_map(arch) else {"num_classes": 0}


def _without_head(net: nn.Module, input_size: int) -> nn.Module:
    """Drop the layers that no stage reaches."""
    reached = {id(tensor) for tensor in _reached(net, input_size).values()}
    for name, part in list(net.named_children()):
        own = {id(parameter) for parameter in part.parameters()}
        if own and not own & reached:
            setattr(net, name, nn.Identity())
    return net


def _reached(net: nn.Module, input_size: int) -> State:
    """Return the parameters and buffers that the stages reach, by the network's own names."""
    stages = nn.ModuleList(split(net, input_size))
    reached = {id(tensor) for tensor in [*stages.parameters(), *stages.buffers()]}
    own = net.state_dict(keep_vars=True)
    return {name: tensor for name, tensor in own.items() if id(tensor) in reached}


def _from_file(entry: Entry, name: str, file: Path, size: dict[str, Any]) -> nn.Module:
    state = read(file)
    n_labels = _labels_in(state, entry)
    head = {"num_classes": n_labels} if n_labels else _headless(entry.arch)
    net = _create(entry.arch, **head, **size)
    needed = _reached(net, entry.input_size)
    fill(net, needed, state, f"{file} for timm:{name}")
    return net if n_labels else _without_head(net, entry.input_size)


def _labels_in(state: State, entry: Entry) -> int:
    """Return how many labels a file's classifier has, if it is the published one's number; else 0."""
    config = timm.get_pretrained_cfg(entry.name)
    name = config.classifier if config is not None else None
    weight = state.get(f"{name}.weight") if isinstance(name, str) else None
    expected = entry.n_labels
    fits = weight is not None and expected > 0 and weight.shape[0] == expected
    return expected if fits and not _head_needs_a_map(entry.arch) else 0


def read(file: Path) -> State:
    """Return the tensors of a local file by name, unwrapped, without a common prefix.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read as weights only.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no weights file {file}")
    try:
        found = _read_any(file)
    except Exception as error:
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{file} cannot be read as weights only: {told}") from error
    state = _unwrapped(found)
    if not state:
        raise ValueError(f"{file} holds no tensors by name, but {type(found).__name__}")
    return _without_prefix(state)


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


def fill(net: nn.Module, reached: State, state: State, what: str) -> None:
    """Load `state` into `net`, under its own names or as timm converts them.

    What the stages reach must be there, each tensor in its shape; the rest is filled where it fits.

    Raises:
        ValueError: Something that the stages need is missing or has another shape.
    """
    needed = {name: t for name, t in reached.items() if not name.endswith(NOT_A_WEIGHT)}
    chosen = next((one for one in _readings(state, net) if not _misfits(one, needed)), None)
    if chosen is None:
        raise ValueError(f"{what} does not fit: {_told(state, needed)}")
    own = net.state_dict()
    fitting = {
        name: tensor.to(own[name].dtype)
        for name, tensor in chosen.items()
        if name in own and tensor.shape == own[name].shape
    }
    net.load_state_dict(fitting, strict=False)


def _readings(state: State, net: nn.Module) -> Iterator[State]:
    """Yield the state as it is, then as timm's own conversions of other programs' files read it."""
    yield state
    for convert in _conversions(net):
        arguments = (dict(state), net)[: len(inspect.signature(convert).parameters)]
        try:
            yield cast(State, convert(*arguments))
        except Exception:  # a conversion of some other format
            continue


def _conversions(net: nn.Module) -> list[Callable[..., Any]]:
    module = vars(sys.modules[type(net).__module__])
    names = ("checkpoint_filter_fn", "_filter_fn", "_filter_torchvision_pretrained")
    return [module[name] for name in names if callable(module.get(name))]


def _misfits(state: State, needed: State) -> list[str]:
    return [name for name, tensor in needed.items() if name not in state or state[name].shape != tensor.shape]


def _told(state: State, needed: State) -> str:
    """Say what is missing and what has another shape, with counts and the first few names."""
    missing = [name for name in needed if name not in state]
    odd = [name for name in needed if name in state and state[name].shape != needed[name].shape]
    parts = []
    if missing:
        parts.append(f"{len(missing)} of the {len(needed)} tensors that the stages need are missing ({_few(missing)})")
    if odd:
        name = odd[0]
        shapes = f"{name}: {tuple(needed[name].shape)} expected, {tuple(state[name].shape)} found"
        parts.append(f"{len(odd)} of {len(needed)} have another shape ({shapes})")
    return f"{'; '.join(parts)}; the file has {len(state)} tensors ({_few(list(state))})"


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
