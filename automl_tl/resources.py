"""Where the package's own data files are: in the wheel inside it, in a checkout beside it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

FOLDER = "datasets_meta"


def meta_path(name: str) -> Path:
    """Return the path of `datasets_meta/NAME`, a file or a folder.

    An installed wheel carries the folder inside the package, an editable install has it beside the package.

    Raises:
        FileNotFoundError: It is in neither place.
    """
    package = Path(str(resources.files("automl_tl")))
    places = (package / FOLDER / name, package.parent / FOLDER / name)
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise FileNotFoundError(f"{FOLDER}/{name} is not part of this installation; looked in {places}")
    return found
