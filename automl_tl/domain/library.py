"""Where the references of pretraining domains lie: the user's own, a plugin's, the bundled ones."""

from __future__ import annotations

from pathlib import Path

import platformdirs

from automl_tl.backbones.stages import Network
from automl_tl.domain.reference import DomainReference, load_reference
from automl_tl.resources import meta_path


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
    plugin's reference of one local file is found when exactly that file is given.

    Raises:
        DomainReferenceError: a file is there, but cannot be read.
    """
    name = reference_file(network.name)
    own = getattr(network.backbone, "reference", None)
    places = [user_references() / name, *([Path(own)] if own else []), meta_path("") / "references" / name]
    for place in places:
        if place.is_file():
            reference = load_reference(place)
            if reference.fits(network):
                return reference
    return None
