"""`automl-tl reference build BACKBONE DIR`: what a backbone's own pretraining domain looks like."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl_tl.cli.options import PATH, declared, verbose_option
from automl_tl.errors import OptionError
from automl_tl.options import DeviceOptions, OverrideOptions, SeedOptions
from automl_tl.wording import format_bytes

if TYPE_CHECKING:
    from automl_tl.backbones.contract import Backbone
    from automl_tl.domain.reference import DomainReference


@click.group()
def reference() -> None:
    """Describe a backbone's own pretraining domain, so that distances to it can be measured."""


@reference.command()
@click.argument("backbone")
@click.argument("pictures", metavar="DIR", type=PATH)
@click.option("--out", type=PATH, help="The file to write.  [default: where recommend looks for it]")
@click.option("--name", help="What the pictures are, for people.  [default: the folder's name]")
@click.option(
    "--max-images", type=click.IntRange(min=1), default=1000, show_default=True, help="Most pictures to read."
)
@declared(OverrideOptions, DeviceOptions, SeedOptions)
@verbose_option
def build(backbone: str, pictures: Path, out: Path | None, verbose: bool, **settings: Any) -> None:
    """Make the reference of BACKBONE from DIR, a folder of pictures of what it was trained on.

    At least 50 pictures, better a thousand spread over the source's classes; sub-folders are fine and
    labels do not matter. The file is small and holds no picture.
    """
    from automl_tl.cli.render import literal, print_result
    from automl_tl.domain.library import reference_file, user_references
    from automl_tl.domain.reference import save_reference

    configured = _configured(
        backbone, **{name: settings.pop(name) for name in ("weights", "mean", "std", "input_size")}
    )
    path = _writable(out or user_references() / reference_file(backbone))
    made = _build(backbone, configured, pictures, **settings)
    save_reference(made, path)
    print_result(*map(literal, _summary(made, path, verbose)))


def _build(
    backbone: str, configured: Backbone, folder: Path, *, name: str | None, max_images: int, device: str, seed: int
) -> DomainReference:
    from automl_tl.backbones.preflight import try_out
    from automl_tl.backbones.stages import build_network
    from automl_tl.cli.render import progress
    from automl_tl.domain.reference import build_reference
    from automl_tl.domain.source_pictures import source_pictures
    from automl_tl.features.engine import choose_engine

    with progress("Reading pictures") as update:
        chosen = source_pictures(folder, most=max_images, seed=seed, progress=update)
    engine = choose_engine(device)
    try_out(backbone, configured, device=engine.device)
    network = build_network(backbone, configured, device=engine.device)
    title = f"{name or folder.resolve().name} ({len(chosen):,} pictures)"
    with progress("Embedding pictures") as update:
        return build_reference(network, chosen, engine, name=title, progress=update)


def _writable(named: Path) -> Path:
    """Return the path if a file can be made there, before minutes are spent; else raise OptionError."""
    path = Path(os.path.expanduser(named))
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError("no permission to write in its folder")
    except OSError as error:
        raise OptionError(f"--out: {path} cannot be written ({error.strerror or error})") from error
    return path


def _configured(backbone: str, *, weights: dict[str, Path], **others: Any) -> Backbone:
    from automl_tl.backbones.overrides import configure, only_file
    from automl_tl.backbones.registry import get_backbone

    return configure(backbone, get_backbone(backbone), weights=only_file(weights, backbone), **others)


def _summary(made: DomainReference, path: Path, verbose: bool) -> Iterator[str]:
    yield f"Wrote {path} ({format_bytes(path.stat().st_size)}): {made.backbone} on {made.name}."
    yield f"Two halves of the pictures lie {made.null:.4f} apart, degraded versions {made.scale:.4f} away."
    if verbose:
        yield from (f"  {label}: {value:.4f}" for label, value in made.degraded.items())
