"""From a bundle to a file in another format, which exists only if it gives what the bundle gives."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl_tl.backbones.plugins import said
from automl_tl.errors import OptionError
from automl_tl.exporter import to_onnx, to_timm, to_torch
from automl_tl.exporter.agreement import Agreement, Pictures, check_pictures, compare
from automl_tl.exporter.errors import ExportError
from automl_tl.exporter.format import Format
from automl_tl.model.bundle import bundle_folder, load_bundle
from automl_tl.model.model import Model
from automl_tl.output import appearing, check_output

FORMATS = {
    "onnx": Format(".onnx", to_onnx.write, to_onnx.load, resizes=True),
    "torch": Format(".pt2", to_torch.write, to_torch.load, resizes=True),
    "timm": Format(".safetensors", to_timm.write, to_timm.load, resizes=False),
}
LARGEST_DIFFERENCE = 1e-3
"""Of a probability of any picture of the model's size; more is an error."""


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how well it agrees with its bundle."""

    file: Path
    n_bytes: int
    agreement: Agreement


def export(
    bundle: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    format: str = "onnx",
    check: str | os.PathLike[str] | None = None,
) -> Exported:
    """Write the model of `bundle` to the file `output`, after running it against the bundle.

    Args:
        bundle: a folder that `search` or `train` made.
        output: ends in .onnx, .pt2 or .safetensors, as the format asks for; a file that is there is replaced.
        format: "onnx", "torch" (torch.export's program) or "timm" (a state for `timm.create_model`).
        check: pictures to compare on: a folder, a file or a table; by default the demo's photos and noise.

    Raises:
        BundleError: The bundle cannot be used.
        OptionError: The format is unknown, or the output does not end as it asks for, lies in the bundle, or cannot be
            written.
        DataError: There is no picture to compare on.
        ExportError: The model has no such form, or the file's probabilities differ by more than a thousandth.
    """
    chosen, file = _chosen(format), Path(output)
    _check_suffix(file, chosen.suffix)
    check_output(file)
    _check_outside(file, Path(bundle))
    pictures = check_pictures(None if check is None else Path(check))
    model = load_bundle(bundle, device="cpu")
    with appearing(file) as new:
        chosen.write(model, new)
        agreement = _compared(chosen, model, new, pictures)
        _check_agreement(agreement, format)
    written = Path(os.path.abspath(os.path.expanduser(file)))
    return Exported(written, written.stat().st_size, agreement)


def _compared(chosen: Format, model: Model, file: Path, pictures: Pictures) -> Agreement:
    """Return how well a file agrees with the model; raises ExportError where its own reader cannot run it."""
    try:
        run = chosen.load(file)
    except Exception as error:  # each reader raises kinds of its own
        raise ExportError(_not_run(error)) from error

    def checked(batch: np.ndarray) -> np.ndarray:
        try:
            return run(batch)
        except Exception as error:
            raise ExportError(_not_run(error)) from error

    return compare(model, checked, pictures, resizes=chosen.resizes)


def _not_run(error: Exception) -> str:
    return f"What was written cannot be run, so no file is left: {said(error)[:300]}; use another format."


def _chosen(name: str) -> Format:
    if name not in FORMATS:
        raise OptionError(f"--format must be one of {', '.join(FORMATS)}, but is {name!r}")
    return FORMATS[name]


def _check_suffix(file: Path, suffix: str) -> None:
    if file.suffix != suffix:
        raise OptionError(f"--output {str(file)!r} must end in {suffix}, by which its readers know the format")


def _check_outside(file: Path, bundle: Path) -> None:
    """Raise OptionError for a file in the bundle: it could take the place of the model's own weights."""
    folder = Path(os.path.realpath(os.path.expanduser(file))).parent
    if folder == Path(os.path.realpath(bundle_folder(bundle))):
        raise OptionError(f"--output {str(file)!r} lies in the bundle that is exported; name a file in another folder")


def _check_agreement(agreement: Agreement, format: str) -> None:
    if not agreement.difference <= LARGEST_DIFFERENCE:  # NaN is none either
        raise ExportError(
            f"The export does not give what the bundle gives: probabilities differ by up to {agreement.difference:.2g} "
            f"on {agreement.pictures}, where {LARGEST_DIFFERENCE:g} is allowed, so no file was written; use another "
            f"format than {format}, and please report it."
        )
