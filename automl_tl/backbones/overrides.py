"""What the user knows better than the plugin: a weights file, mean, std, input size.

`--weights NAME=FILE`, `--mean`, `--std` and `--input-size` end here. Imports no torch.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from automl_tl.backbones import validation
from automl_tl.backbones.contract import Backbone, WeightsInfo
from automl_tl.errors import BackboneError, OptionError, WeightsError

if TYPE_CHECKING:
    from torch import nn

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Configured:
    """A backbone with the user's own choices; it is a Backbone itself.

    Optional members are those of the wrapped backbone (`hasattr` agrees), but for `weights`, which names
    the user's file. A `reference` names the weights that it was made with, so it counts for no other file.
    """

    wrapped: Backbone
    weights_file: Path | None = None
    own_mean: Triple | None = None
    own_std: Triple | None = None
    own_input_size: int | None = None

    @property
    def api_version(self) -> int:
        """The wrapped backbone's."""
        return self.wrapped.api_version

    @property
    def input_size(self) -> int:
        """S, pixels."""
        return self.own_input_size or self.wrapped.input_size

    @property
    def mean(self) -> Triple:
        """RGB, of inputs in [0, 1]."""
        return self.own_mean or self.wrapped.mean

    @property
    def std(self) -> Triple:
        """RGB, of inputs in [0, 1]."""
        return self.own_std or self.wrapped.std

    @property
    def pretrained_on(self) -> str:
        """The wrapped backbone's: what a file was trained on cannot be seen from outside."""
        return self.wrapped.pretrained_on

    def build(self, *, pretrained: bool = True) -> nn.Module:
        """Build the wrapped backbone, with the user's file and input size where it takes them.

        Raises:
            BackboneError: There is a file, but the backbone cannot load one.
        """
        more: dict[str, Any] = {}
        if self.own_input_size is not None and _takes(self.wrapped.build, "input_size"):
            more["input_size"] = self.own_input_size
        if self.weights_file is not None and pretrained:
            more["weights"] = self.weights_file
        return self.wrapped.build(pretrained=pretrained, **more)

    def stages(self, module: nn.Module) -> list[nn.Module]:
        """Return the wrapped backbone's stages."""
        return self.wrapped.stages(module)

    def __getattr__(self, name: str) -> Any:
        file = self.__dict__.get("weights_file")
        if name == "wrapped" or name.startswith("__"):
            raise AttributeError(name)
        if name == "weights" and file is not None:
            return lambda: local_weights(file)
        return getattr(self.wrapped, name)


def configure(
    name: str,
    backbone: Backbone,
    *,
    weights: Path | str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    input_size: int | None = None,
) -> Backbone:
    """Return `backbone` with the given overrides, or itself where there are none.

    Raises:
        WeightsError: The file does not exist.
        BackboneError: The backbone cannot load a local file.
        OptionError: A mean, std or size that makes no sense.
    """
    if weights is None and mean is None and std is None and input_size is None:
        return backbone
    file = _checked_file(name, backbone, Path(weights)) if weights is not None else None
    own_mean, own_std = _triple(mean), _triple(std)
    configured = Configured(backbone, file, own_mean, own_std, input_size)
    fault = (
        (validation.mean_fault(own_mean) if mean is not None else None)
        or (validation.std_fault(own_std) if std is not None else None)
        or (validation.size_fault(input_size) if input_size is not None else None)
    )
    if fault is not None:
        raise OptionError(f"{name}: {fault}")
    return configured


def parse_assignments(texts: Iterable[str], option: str = "--weights") -> dict[str, Path]:
    """Return {"timm:vgg16": Path("vgg.pth")} for ("timm:vgg16=vgg.pth",).

    Raises:
        OptionError: A text without "=", without a name or a file, or a name given twice.
    """
    parsed: dict[str, Path] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if not (equals and name.strip() and file.strip()):
            raise OptionError(f"{option} must be NAME=FILE, but is {text!r}")
        if name.strip() in parsed:
            raise OptionError(f"{option} names {name.strip()!r} twice")
        parsed[name.strip()] = Path(os.path.expanduser(file.strip()))
    return parsed


def only_file(weights: Mapping[str, Path], name: str) -> Path | None:
    """Return the file of the one backbone that is there, None where none is given.

    Raises:
        OptionError: a file is given for another one.
    """
    if stranger := next((one for one in weights if one != name), None):
        raise OptionError(f"--weights names {stranger!r}, but the backbone is {name!r}")
    return weights.get(name)


def parse_triple(text: str, option: str) -> Triple:
    """Return (0.5, 0.5, 0.5) for "0.5,0.5,0.5" or for "0.5".

    Raises:
        OptionError: Not one or three numbers.
    """
    parts = text.replace(",", " ").split()
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError:
        numbers = ()
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3:
        raise OptionError(f"{option} must be one or three numbers such as 0.5,0.5,0.5, but is {text!r}")
    return numbers


def local_weights(file: Path) -> WeightsInfo:
    """Return what a local file is: its identity is the hash of its bytes, so a moved file is the same.

    Raises:
        WeightsError: There is no such file.
    """
    try:
        status = file.stat()
    except OSError as error:
        raise WeightsError(f"there is no weights file {str(file)!r} ({error.strerror})") from error
    digest = _sha256(str(file.resolve()), status.st_size, status.st_mtime_ns)
    return WeightsInfo(f"sha256:{digest}", status.st_size, True, str(file), "")


@lru_cache(maxsize=64)
def _sha256(path: str, size: int, mtime_ns: int) -> str:
    """Hash a file once: size and time of change stand for its content."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _checked_file(name: str, backbone: Backbone, file: Path) -> Path:
    if not file.is_file():
        kind = "is a folder, not a file" if file.is_dir() else "does not exist"
        raise WeightsError(f"the weights file {str(file)!r} for {name} {kind}")
    if not _takes(backbone.build, "weights"):
        raise BackboneError(f"{name} cannot load a local file: its build() takes no argument `weights`")
    return file


def _takes(function: Any, argument: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(one.name == argument and one.kind is not one.VAR_KEYWORD for one in parameters)


def _triple(values: Sequence[float] | None) -> Triple | None:
    return cast(Triple, tuple(values)) if values is not None else None
