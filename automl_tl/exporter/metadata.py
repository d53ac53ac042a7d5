"""What an exported file says of itself, as texts by name."""

from __future__ import annotations

import json

from automl_tl.model.model import Model
from automl_tl.version import __version__


def metadata(model: Model) -> dict[str, str]:
    """Return classes (a JSON list, in the order of the outputs), temperature, backbones (a JSON list) and the maker."""
    return {
        "classes": json.dumps(model.classes),
        "temperature": repr(float(model.temperature)),
        "backbones": json.dumps([member.network.name for member in model.members]),
        "created_with": f"automl-tl {__version__}",
    }
