"""Does an object keep the contract? Checked without building anything, and without torch."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields

from automl_tl.backbones import presets
from automl_tl.backbones.contract import API_VERSION, REQUIRED_MEMBERS, WeightsInfo

ALLOWED_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
RESERVED_NAMES = (*presets.NAMES, presets.EVERYTHING)
"""What `--backbone` takes beside the names of backbones; no plugin may stand in front of them."""
INTERPOLATIONS = ("bilinear", "bicubic", "nearest")
SIZES = (8, 4096)
"""Sides of an input picture that are believed, pixels."""
CALLABLES = ("build", "stages")
OPTIONAL_CALLABLES = ("tokens", "pooled", "weights", "classifier", "fine_tuning")
_RESCALE = "divide it by 255 if it is of inputs in [0, 255]"
FAMILY_MEMBERS = ("api_version", "names", "get")


def name_fault(name: str) -> str | None:
    """Return what is wrong with an entry point's name, or None."""
    if name in RESERVED_NAMES:
        return f"the name {name!r} is reserved for `--backbone {name}`; choose another"
    if ALLOWED_NAME.fullmatch(name):
        return None
    return f"a name must match {ALLOWED_NAME.pattern}, but it is {name!r}"


def is_family(candidate: object) -> bool:
    """Say whether a plugin's object means to be a Family."""
    try:
        return all(hasattr(candidate, name) for name in ("get", "names")) and not hasattr(candidate, "build")
    except Exception:  # a property that raises; `backbone_fault` reports it
        return False


def family_fault(family: object) -> str | None:
    """Return what is wrong with a Family, or None."""
    return _contained(family, (_not_a_class, _missing(FAMILY_MEMBERS), _version, _callables(("names", "get"))))


def backbone_fault(backbone: object) -> str | None:
    """Return the first thing that is wrong with a Backbone, expected and actual, or None."""
    checks = (
        _not_a_class,
        _missing(REQUIRED_MEMBERS),
        _version,
        _callables(CALLABLES),
        _optional_callables,
        _size,
        _mean_and_std,
        _pretrained_on,
        _interpolation,
    )
    return _contained(backbone, checks)


def weights_fault(weights: object) -> str | None:
    """Return what is wrong with what `weights()` gave (a WeightsInfo or a mapping), or None."""
    known = [field.name for field in fields(WeightsInfo)]
    if not isinstance(weights, WeightsInfo | Mapping):
        return f"weights() must return a mapping or None, but returned {type(weights).__name__}"
    values = {name: getattr(weights, name) for name in known} if isinstance(weights, WeightsInfo) else weights
    unknown = [key for key in values if key not in known]
    if unknown:
        return f"weights() may have the keys {', '.join(known)}, but has {unknown[0]!r}"
    texts = [name for name in ("address", "licence") if not isinstance(values.get(name) or "", str)]
    if texts:
        return f"the {texts[0]} of its weights must be a text or None, but is {values[texts[0]]!r}"
    if not isinstance(values.get("local", False), bool):
        return f"local of its weights must be True or False, but is {values['local']!r}"
    identity, size = values.get("identity"), values.get("n_bytes")
    if not isinstance(identity, str) or not identity:
        return f"the identity of its weights must be a text that is not empty, but is {identity!r}"
    if size is not None and (not isinstance(size, int) or size < 0):
        return f"n_bytes of its weights must be a number of bytes or None, but is {size!r}"
    return None


Check = Callable[[object], "str | None"]


def _contained(candidate: object, checks: tuple[Check, ...]) -> str | None:
    """Run the checks until one finds a fault; a property that raises is a fault too."""
    try:
        return next((fault for check in checks if (fault := check(candidate)) is not None), None)
    except Exception as error:
        return f"reading its members raised {type(error).__name__}: {error}"


def _not_a_class(candidate: object) -> str | None:
    if not isinstance(candidate, type):
        return None
    name = candidate.__name__
    return f"the entry point must name an object, but names the class {name}; name an instance of it"


def _missing(names: tuple[str, ...]) -> Check:
    def check(candidate: object) -> str | None:
        missing = [name for name in names if not hasattr(candidate, name)]
        if not missing:
            return None
        found = type(candidate).__name__
        return f"it must have the members {', '.join(names)}, but {found} lacks {', '.join(missing)}"

    return check


def _version(candidate: object) -> str | None:
    version = getattr(candidate, "api_version", None)
    if type(version) is int and version == API_VERSION:
        return None
    way_out = "install a version of the plugin that is made for this automl-tl"
    return f"api_version must be {API_VERSION}, but is {version!r}; {way_out}"


def _callables(names: tuple[str, ...]) -> Check:
    def check(candidate: object) -> str | None:
        wrong = [name for name in names if not callable(getattr(candidate, name))]
        return f"{wrong[0]} must be a method, but is {getattr(candidate, wrong[0])!r}" if wrong else None

    return check


def _optional_callables(candidate: object) -> str | None:
    return _callables(tuple(name for name in OPTIONAL_CALLABLES if hasattr(candidate, name)))(candidate)


def _size(candidate: object) -> str | None:
    return size_fault(getattr(candidate, "input_size", None))


def size_fault(size: object) -> str | None:
    """Return what is wrong with an input size in pixels, or None."""
    if type(size) is int and SIZES[0] <= size <= SIZES[1]:
        return None
    return f"input_size must be a number of pixels from {SIZES[0]} to {SIZES[1]}, but is {size!r}"


def _mean_and_std(candidate: object) -> str | None:
    return mean_fault(getattr(candidate, "mean", None)) or std_fault(getattr(candidate, "std", None))


def mean_fault(mean: object) -> str | None:
    """Return what is wrong with a mean of inputs in [0, 1], or None."""
    values = _three(mean)
    if values is None:
        return f"mean must be three numbers, but is {mean!r}"
    if all(0 <= value <= 1 for value in values):
        return None
    return f"mean must be of inputs in [0, 1], but is {_shown(values)}; {_RESCALE}"


def std_fault(std: object) -> str | None:
    """Return what is wrong with a standard deviation of inputs in [0, 1], or None."""
    values = _three(std)
    if values is None:
        return f"std must be three numbers, but is {std!r}"
    if all(0 < value <= 2 for value in values):
        return None
    return f"std must be positive and of inputs in [0, 1], but is {_shown(values)}; {_RESCALE}"


def _three(values: object) -> tuple[float, ...] | None:
    if not isinstance(values, tuple | list) or len(values) != 3:
        return None
    good = all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    return tuple(float(value) for value in values) if good else None


def _shown(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


def _pretrained_on(candidate: object) -> str | None:
    value = getattr(candidate, "pretrained_on", None)
    if isinstance(value, str) and value:
        return None
    return f'pretrained_on must be a text such as "imagenet-1k" or "none", but is {value!r}'


def _interpolation(candidate: object) -> str | None:
    how = getattr(candidate, "interpolation", "bilinear")
    if how not in INTERPOLATIONS:
        return f"interpolation must be one of {', '.join(INTERPOLATIONS)}, but is {how!r}"
    return None
