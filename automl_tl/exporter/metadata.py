"""What an exported file says of itself, as texts by name."""

from __future__ import annotations

import json

from automl_tl.data.value_range import EIGHT_BITS
from automl_tl.model.model import Model
from automl_tl.version import __version__


def metadata(model: Model) -> dict[str, str]:
    """Return what a file's user must know.

    Classes (a JSON list, in the order of the outputs), temperature, backbones (a JSON list), which values of pictures
    of more than 8 bits are 0 and 255 (a JSON list; null where the training pictures had 8), and the maker.
    """
    values = model.preprocessings[0].value_range
    deep = values != EIGHT_BITS
    return {
        "classes": json.dumps(model.classes),
        "temperature": repr(float(model.temperature)),
        "backbones": json.dumps([member.network.name for member in model.members]),
        "value_range": json.dumps([values.low, values.high] if deep else None),
        "created_with": f"automl-tl {__version__}",
    }
