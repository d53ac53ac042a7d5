"""A bundle's files, compared with their checksums before anything in them is believed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from automl_tl.data.names import printable, quoted
from automl_tl.errors import OptionError
from automl_tl.foreign import leads_out, parse_json, read_bytes
from automl_tl.model.errors import BundleError
from automl_tl.model.manifest import FORMAT_VERSION, Manifest, parse
from automl_tl.model.sums import SUMS, WAY_OUT, gap, read_sums, sha256
from automl_tl.version import __version__

TENSORS = "model.safetensors"
MANIFEST = "bundle.json"
FILES = (TENSORS, MANIFEST, SUMS)
CARD = "README.md"
"""The model card; nothing reads it, and it may be missing."""
WHICH = "give the --out folder of automl-tl search or train, or the bundle/ in it"
_SYSTEM_FILES = {".DS_Store", "Thumbs.db", "desktop.ini"}


def check_free(target: Path) -> None:
    """Raise BundleError where a bundle cannot be put: the folder holds something else, which it would replace.

    Args:
        target: an absolute path.
    """
    name = f"'{printable(target)}'"
    if not target.name:
        raise BundleError(f"A bundle is a folder of its own, but {name} is the top of the disk: give a name in it.")
    if not target.exists():
        return
    if not target.is_dir():
        raise BundleError(f"{name} is a file, but a bundle is a folder: give the name of a folder.")
    names = set(os.listdir(target))
    card = {CARD} if MANIFEST in names else set()  # a README of a folder that is no bundle is somebody's own
    if others := sorted(names - set(FILES) - card - _SYSTEM_FILES):
        raise BundleError(
            f"The folder {name} holds other files than a bundle ({quoted(others)}): move them elsewhere, or give a new "
            "folder."
        )


def read_manifest(folder: Path) -> Manifest:
    """Return what the bundle in `folder` says, after comparing every checksum.

    Raises:
        BundleError: A file is missing or damaged (it is named), or the bundle is of another version of the format.
        OSError: A file cannot be read.
    """
    _check_there(folder)
    values = _json(folder / MANIFEST)
    _check_version(folder, values)
    sums = read_sums(folder, (MANIFEST, TENSORS))
    _check_manifest(folder, sums[MANIFEST])
    try:
        manifest = parse(values)
        inside = manifest.files[TENSORS]
    except (ValueError, KeyError, TypeError, AttributeError, OptionError) as error:
        raise BundleError(foreign(folder, error)) from error
    _check_tensors(folder, inside, sums[TENSORS])
    return manifest


def _check_there(folder: Path) -> None:
    name = f"'{printable(folder)}'"
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise BundleError(f"The model {name} {what}: {WHICH}.")
    missing = [file for file in FILES if not (folder / file).is_file()]
    if len(missing) == len(FILES):
        raise BundleError(f"The folder {name} is no model, as it has no {MANIFEST}: {WHICH}.")
    if missing:
        raise BundleError(f"The bundle {name} has no {' and no '.join(missing)}: {WAY_OUT}.")
    if away := [file for file in FILES if leads_out(folder / file, folder)]:
        raise BundleError(
            f"{away[0]} of the bundle {name} is a link that leads out of it: copy the bundle with what its links lead "
            "to (cp -rL)."
        )


def _json(file: Path) -> Any:
    """Return what the file holds, or None where it is no JSON, or too large: `parse` refuses that."""
    try:
        return parse_json(read_bytes(file))
    except ValueError:
        return None


def _check_version(folder: Path, values: Any) -> None:
    """Refuse a newer format before its checksums are looked for where this version has them."""
    version = values.get("format_version") if isinstance(values, dict) else None
    if type(version) is int and version > FORMAT_VERSION:
        raise BundleError(
            f"The bundle '{printable(folder)}' is of format {version}, but automl-tl {__version__} reads up to "
            f"{FORMAT_VERSION}: upgrade automl-tl."
        )


def _check_manifest(folder: Path, expected: str) -> None:
    actual = sha256(folder / MANIFEST)
    if actual != expected:
        raise BundleError(
            f"{MANIFEST} of the bundle '{printable(folder)}' is damaged, or {SUMS} is: "
            f"{gap(expected, actual)}; {WAY_OUT}."
        )


def _check_tensors(folder: Path, inside: str, listed: str) -> None:
    """Compare the tensors' sum with those in both other files; what two of three agree on is right."""
    actual = sha256(folder / TENSORS)
    if actual != inside:
        raise BundleError(
            f"{TENSORS} of the bundle '{printable(folder)}' is damaged: {gap(inside, actual)}; {WAY_OUT}."
        )
    if actual != listed:
        raise BundleError(
            f"{SUMS} of the bundle '{printable(folder)}' is damaged: for {TENSORS} it says {listed[:12]}, but "
            f"{MANIFEST} and the file itself say {actual[:12]}; {WAY_OUT}."
        )


def foreign(folder: Path, error: Exception) -> str:
    """Return the sentence for a bundle whose checksums fit and whose content makes no sense."""
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"The bundle '{printable(folder)}' is whole but does not hold what automl-tl {__version__} writes "
        f"({printable(what)[:200]}): make it again."
    )
