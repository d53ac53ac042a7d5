"""How the text of an option becomes its value; whatever it cannot be is one sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from automl_tl.backbones.overrides import Triple, parse_assignments, parse_triple
from automl_tl.backbones.validation import mean_fault, size_fault, std_fault
from automl_tl.errors import OptionError, WeightsError

if TYPE_CHECKING:
    from automl_tl.data.address import Root


def parse_device(text: str) -> str:
    """Return `text` in lower case if it names a device, "cuda:1" for "1"; else raise OptionError.

    >>> parse_device("CUDA"), parse_device("0")
    ('cuda', 'cuda:0')
    """
    device = text.strip().lower()
    if re.fullmatch(r"[0-9]{1,2}", device):
        device = f"cuda:{int(device)}"
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,2})?", device):
        raise OptionError(f"{text!r} is no device; use auto, cpu, cuda, cuda:0 (or 0) or mps")
    return device


def parse_ray(text: str) -> str:
    """Return `text` if it says where a Ray is: auto, local, ray://HOST:PORT; else raise OptionError."""
    if not re.fullmatch(r"auto|local|ray://(\[[0-9a-fA-F:]+\]|[\w.-]+):[0-9]{1,5}", text):
        raise OptionError(f"--ray must be auto, local or ray://HOST:PORT, but is {text!r}")
    return text


def parse_storage(text: str) -> str:
    """Return `text` if it is a URL without a password; raise OptionError, which does not repeat one."""
    try:
        url = urlsplit(text)
        has_password = url.password is not None
    except ValueError as error:
        raise OptionError(f"--storage is no URL ({error})") from None
    if has_password:
        raise OptionError(
            "--storage must be without a password, which everybody on this machine could read: set "
            "AUTOML_TL_STORAGE_PASSWORD in the environment"
        )
    if not re.match(r"[a-z][a-z0-9+]*://", text):
        raise OptionError(f"--storage must be a URL such as sqlite:///FILE, but is {text!r}")
    return text


def parse_weights(values: tuple[str, ...]) -> dict[str, Path]:
    """Return {backbone name: file} of "NAME=FILE" values; raise OptionError, or WeightsError for no file."""
    files = parse_assignments(values, "--weights")
    for name, file in files.items():
        if not file.is_file():
            what = "is a folder" if file.is_dir() else "does not exist"
            raise WeightsError(f"{file} {what}, but the weights of {name} must be a .safetensors or .pth file")
    return files


def parse_split_folders(values: tuple[str, ...]) -> dict[str, str] | None:
    """Return {folder: part} of "NAME=PART" values, {} for "none", None where there is none; raise OptionError."""
    if not values or values == ("none",):
        return {} if values else None
    parts: dict[str, str] = {}
    for value in values:
        name, _, part = value.rpartition("=")
        if not (name and part):
            raise OptionError(f"must be NAME=PART (NAME=test), or none alone, but is {value!r}")
        if parts.setdefault(name, part) != part:
            raise OptionError(f"says both {parts[name]} and {part} of {name!r}: say one")
    return parts


def parse_mean(text: str) -> Triple:
    """Return the means of R, G and B, from 0 to 1; raise OptionError for anything else."""
    return _triple(text, "--mean", mean_fault)


def parse_std(text: str) -> Triple:
    """Return the standard deviations of R, G and B, of inputs from 0 to 1; raise OptionError otherwise."""
    return _triple(text, "--std", std_fault)


def _triple(text: str, flag: str, fault_of: Callable[[object], str | None]) -> Triple:
    numbers = parse_triple(text, flag)
    if fault := fault_of(numbers):
        raise OptionError(fault)
    return numbers


def parse_csv_file(text: str) -> Path:
    """Return the file of that name, which ends in .csv; raise OptionError for another ending."""
    return _ending_in((".csv",), "CSV", text)


def parse_page_file(text: str) -> Path:
    """Return the file of that name, which ends in .html or .htm; raise OptionError for another ending."""
    return _ending_in((".html", ".htm"), "HTML", text)


def _ending_in(endings: tuple[str, ...], what: str, text: str) -> Path:
    if not text.lower().endswith(endings):
        raise OptionError(f"{text!r} is written as {what}: end its name in {endings[0]}")
    return Path(text)


def parse_cuts(text: str) -> tuple[int, ...]:
    """Return the stages of "7+8", ascending; raise OptionError for anything else."""
    parts = [part.strip() for part in re.split(r"[+,]", text)]
    if not all(re.fullmatch(r"[1-9][0-9]{0,3}", part) for part in parts):
        raise OptionError(f"{text!r} is no cut; write the number of a stage, or of several: 7+8")
    return tuple(sorted({int(part) for part in parts}))


def parse_input_size(text: str) -> int:
    """Return a whole number of pixels; raise OptionError for anything else."""
    size: object = int(text) if re.fullmatch(r"[0-9]{1,9}", text.strip()) else text
    if fault := size_fault(size):
        raise OptionError(fault)
    return int(text)


def parse_root(path: str | os.PathLike[str]) -> Root:
    """Return a folder or file of this machine as a path, and what lies in an object store as an address."""
    from automl_tl.data.address import root_of  # with it comes pandas, which nothing else here needs

    return root_of(path)
