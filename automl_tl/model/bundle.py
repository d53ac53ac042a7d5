"""A model on the disk: a folder with `model.safetensors`, `bundle.json`, `SHA256SUMS` and `README.md`.

- `model.safetensors` holds every tensor that the scores depend on, as it is; see `tensors.gather` for the names.
- `bundle.json` says everything else; see `manifest.Manifest`. It has the first file's sha256.
- `SHA256SUMS` has the sha256 of both, so that `sha256sum -c SHA256SUMS` checks the folder without automl-tl.
- `README.md` is the model card. Nothing reads it, and people may edit it, so it is in no checksum and may be missing.

To predict one needs the folder and the plugins of its backbones, but no pretrained weights. Nothing in it is code.
The folder is replaced as a whole, see `automl_tl.model.swap`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from automl_tl.backbones.contract import Backbone, WeightsInfo
from automl_tl.backbones.overrides import configure
from automl_tl.backbones.registry import get_backbone, installed_plugin, origin
from automl_tl.backbones.stages import build_network
from automl_tl.data.names import printable
from automl_tl.devices import own_numbers
from automl_tl.errors import AutomlTlError, BackboneError
from automl_tl.features.engine import choose_engine
from automl_tl.learning.network_head import NetworkHead
from automl_tl.memory import check_readable
from automl_tl.model import tensors
from automl_tl.model.card import model_card
from automl_tl.model.checking import CARD, MANIFEST, TENSORS, check_free, foreign, read_manifest
from automl_tl.model.errors import BundleError
from automl_tl.model.forward import share_stages
from automl_tl.model.manifest import HeadSpec, Manifest, MemberSpec
from automl_tl.model.member import Member
from automl_tl.model.model import Model
from automl_tl.model.novelty import Novelty
from automl_tl.model.sums import sha256, write_sums
from automl_tl.model.swap import aside, recover, replacing
from automl_tl.tensor_file import write_tensors
from automl_tl.version import __version__

# --- writing ----------------------------------------------------------------------------------------


def save_bundle(model: Model, folder: str | os.PathLike[str]) -> Path:
    """Write `model` to `folder` and return its absolute path; a bundle that is there is replaced as a whole.

    Raises:
        BundleError: The folder holds something else, or cannot be written; then it is as it was.
        ValueError: `model.details` holds what JSON cannot.
    """
    target = _absolute(folder)
    check_free(target)
    try:
        with replacing(target) as new:
            _write(model, new)
    except (OSError, SafetensorError) as error:  # safetensors wraps what the system says
        reason = getattr(error, "strerror", None) or error
        raise BundleError(
            f"The bundle '{printable(target)}' cannot be written ({reason}): free some space, or give another folder."
        ) from error
    return target


def _absolute(folder: str | os.PathLike[str]) -> Path:
    return Path(os.path.realpath(os.path.expanduser(folder)))


def _write(model: Model, folder: Path) -> None:
    stored, aliases = tensors.gather(model)
    write_tensors(folder / TENSORS, stored)
    manifest = Manifest(
        created_with={"automl_tl": __version__, "torch": torch.__version__},
        files={TENSORS: sha256(folder / TENSORS)},
        members=tuple(_described(member) for member in model.members),
        classes=model.classes,
        fit=model.fit,
        temperature=float(model.temperature),
        novelty_threshold=None if model.novelty is None else float(model.novelty.threshold),
        least_contrast=0.0 if model.novelty is None else float(model.novelty.least_contrast),
        aliases=aliases,
        details=model.details,
    )
    text = json.dumps(manifest.to_json(), indent=1, ensure_ascii=True, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="ascii", newline="\n")
    write_sums(folder, {MANIFEST: sha256(folder / MANIFEST), **manifest.files})
    (folder / CARD).write_text(model_card(model), encoding="utf-8", newline="\n")


def _described(member: Member) -> MemberSpec:
    network, backbone, head = member.network, member.network.backbone, member.head
    plugin = installed_plugin(network.name)
    return MemberSpec(
        backbone=network.name,
        distribution=plugin.distribution if plugin is not None else "",
        version=plugin.version if plugin is not None else "",
        weights=network.weights.identity,
        n_stages=network.n_stages,
        cuts=tuple(member.cuts),
        pooling=member.pooling,
        head=HeadSpec(member.kind, head.d, head.hidden, head.channels),
        weight=float(member.weight),
        preprocessing=member.preprocessing,
        mean=backbone.mean,
        std=backbone.std,
        input_size=backbone.input_size,
        licence=network.weights.licence,
    )


# --- reading ----------------------------------------------------------------------------------------


def load_bundle(folder: str | os.PathLike[str], device: str = "auto") -> Model:
    """Return the model in `folder`, ready to predict: in eval mode, on `device`.

    Every checksum is compared first. No pretrained weights are needed or fetched.

    Args:
        folder: what `save_bundle` wrote, or the folder of the run that it lies in.
        device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        BundleError: It is missing, damaged, of another version of the format, or its backbone's plugin is missing or
            builds other layers than then.
        OptionError: The device is not on this machine.
        ShortageError: It is larger than the memory.
    """
    place = choose_engine(device).device
    named = bundle_folder(folder)
    found = recover(named)
    try:
        manifest = read_manifest(found)
        check_readable(found / TENSORS, (found / TENSORS).stat().st_size)
        state = load_file(found / TENSORS)
        state.update({name: state[other] for name, other in manifest.aliases.items()})
        return _built(named, manifest, state, place)
    except OSError as error:
        raise BundleError(
            f"The bundle '{printable(named)}' cannot be read ({error.strerror or error}): check its permissions."
        ) from error
    except (SafetensorError, KeyError, ValueError) as error:
        raise BundleError(foreign(named, error)) from error


def bundle_folder(named: str | os.PathLike[str]) -> Path:
    """Return the folder that is `named`, absolute, or where it is that of a search's run, the bundle in it."""
    folder = _absolute(named)
    inside = folder / "bundle"
    is_there = (inside / MANIFEST).exists() or (aside(inside) / MANIFEST).exists()
    return inside if is_there and not (folder / MANIFEST).exists() else folder


load = load_bundle
"""The public name: `automl_tl.load(folder)`."""


# --- building ---------------------------------------------------------------------------------------


def _built(folder: Path, manifest: Manifest, state: Mapping[str, Tensor], device: str) -> Model:
    members = []
    for number, spec in enumerate(manifest.members):
        member = _fresh(folder, spec, len(manifest.classes), device)
        misfit = tensors.fill(member, f"members.{number}", state)
        if misfit is not None:
            raise BundleError(_other_layers(folder, spec, misfit))
        members.append(member)
    return Model(
        members=share_stages(members),
        classes=manifest.classes,
        temperature=manifest.temperature,
        fit=manifest.fit,
        novelty=_novelty(manifest, state),
        details=manifest.details,
    )


def _fresh(folder: Path, spec: MemberSpec, n_classes: int, device: str) -> Member:
    """Return a member of its own network, with random weights still, and a head without any."""
    backbone = _backbone(folder, spec)
    with own_numbers():  # random weights that are overwritten must not cost the caller's
        try:
            network = build_network(spec.backbone, backbone, pretrained=False, device=device)
        except BackboneError as error:
            raise BundleError(
                f"The bundle '{printable(folder)}' cannot be built: {error}; {_install(spec)}."
            ) from error
        with torch.device("meta"):  # no memory before its sizes are those of stored tensors
            head = NetworkHead(spec.head.d, n_classes, hidden=spec.head.hidden, channels=spec.head.channels)
    if network.n_stages != spec.n_stages:
        raise BundleError(
            _other_layers(folder, spec, f"{network.n_stages} stages there, {spec.n_stages} in the bundle")
        )
    return Member(
        network=replace(network, weights=WeightsInfo(spec.weights, licence=spec.licence)),
        cuts=spec.cuts,
        pooling=spec.pooling,
        head=head.eval(),
        kind=spec.head.kind,
        preprocessing=spec.preprocessing,
        weight=spec.weight,
    )


def _backbone(folder: Path, spec: MemberSpec) -> Backbone:
    """Return the plugin's backbone with the mean, std and input size that the bundle was made with."""
    name = printable(spec.backbone)
    if installed_plugin(spec.backbone) is None:
        raise BundleError(
            f"The bundle '{printable(folder)}' needs the backbone '{name}' of {_origin(spec)}, which is not installed: "
            f"{_install(spec)}."
        )
    try:
        plain = get_backbone(spec.backbone)
        given = {"mean": spec.mean, "std": spec.std, "input_size": spec.input_size}
        own = {key: value for key, value in given.items() if getattr(plain, key) != value}
        return configure(spec.backbone, plain, **own)  # type: ignore[arg-type]
    except AutomlTlError as error:
        raise BundleError(f"The bundle '{printable(folder)}' cannot be used: {error}; {_install(spec)}.") from error


def _novelty(manifest: Manifest, state: Mapping[str, Tensor]) -> Novelty | None:
    if manifest.novelty_threshold is None:
        return None
    neighbours = state[tensors.NEIGHBOURS]
    if neighbours.dtype != torch.float32 or neighbours.ndim != 2 or not len(neighbours):
        raise ValueError(f"{tensors.NEIGHBOURS} is {neighbours.dtype} {tuple(neighbours.shape)}")
    return Novelty(neighbours.clone().numpy(), manifest.novelty_threshold, manifest.least_contrast)


def _other_layers(folder: Path, spec: MemberSpec, misfit: str) -> str:
    now = origin(spec.backbone) or "what is installed"
    return (
        f"The bundle '{printable(folder)}' does not fit the backbone '{printable(spec.backbone)}' of {now} "
        f"({printable(misfit)}); it was made with {_origin(spec)}: {_install(spec)}."
    )


def _origin(spec: MemberSpec) -> str:
    return printable(f"{spec.distribution} {spec.version}") if spec.distribution else "a plugin without a distribution"


def _install(spec: MemberSpec) -> str:
    """Return the way out as a command, or in words."""
    if not spec.distribution:
        return "install the plugin that provides it"
    return printable(f"pip install '{spec.distribution}=={spec.version}'")
