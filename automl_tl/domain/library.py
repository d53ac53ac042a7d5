"""Where the references of pretraining domains lie: the user's own, a plugin's, the bundled ones."""

from __future__ import annotations

import logging
from pathlib import Path

import platformdirs

from automl_tl.backbones.blame import blaming
from automl_tl.backbones.stages import Network
from automl_tl.domain.reference import DomainReference, load_reference
from automl_tl.errors import AutomlTlError, DomainReferenceError
from automl_tl.resources import meta_path

_LOGGER = logging.getLogger(__name__)


def reference_file(backbone: str) -> str:
    """Return the file name of a backbone's reference.

    >>> reference_file("timm:resnet50")
    'timm--resnet50.safetensors'
    """
    return backbone.replace(":", "--") + ".safetensors"


def user_references() -> Path:
    """Return the folder where `automl-tl reference build` writes unless told otherwise."""
    return Path(platformdirs.user_data_dir("automl-tl")) / "references"


def find_reference(network: Network) -> DomainReference | None:
    """Return the reference of a built backbone: the user's, else the plugin's, else the bundled one, else None.

    One that was made with other weights or another input describes another space and counts as none; so a
    plugin's reference of one local file is found when exactly that file is given. One that cannot be read counts as
    none too, with a warning: it must not cost anybody an answer.
    """
    name = reference_file(network.name)
    for place in (user_references() / name, _of_plugin(network), meta_path("") / "references" / name):
        if place is None or not place.is_file():
            continue
        try:
            reference = load_reference(place)
        except DomainReferenceError as error:
            _LOGGER.warning("the domain reference of %s is left out: %s", network.name, error)
            continue
        if reference.fits(network):
            return reference
    return None


def _of_plugin(network: Network) -> Path | None:
    """Return the file that a plugin names, None where it names none, or something else."""
    try:
        with blaming(network.name, "could not name its domain reference"):
            own = getattr(network.backbone, "reference", None)
            return Path(own) if own else None
    except AutomlTlError as error:
        _LOGGER.warning("%s", error)
        return None
