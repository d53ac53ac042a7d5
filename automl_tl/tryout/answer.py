"""What a model says of one picture, and why, as JSON values for the page."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from automl_tl.errors import BackboneError, PictureError
from automl_tl.model.decoding import decoded_batches, upright
from automl_tl.model.explain import LONGEST_SIDE
from automl_tl.model.model import Model
from automl_tl.report.overlay import layer
from automl_tl.wording import label_text

MOST_CLASSES = 10
"""That are shown, the most probable ones."""


def answer(model: Model, content: bytes, explained: int | None = None) -> dict[str, Any]:
    """Return the most probable classes, whether the picture is unlike the training pictures, and a heat map.

    Args:
        model: that is asked.
        content: of a picture file.
        explained: number of the class that the heat map is for; the most probable one by default.

    Raises:
        PictureError: It is no picture, or too large.
    """
    (batch,) = decoded_batches([content], model.preprocessings)
    if batch.errors:
        raise PictureError(f"The file cannot be used: {batch.errors[0]}.")
    answers = model.answer(batch.images)
    order = np.argsort(-answers.probabilities[0], kind="stable")[:MOST_CLASSES].tolist()
    number = order[0] if explained is None else explained
    probabilities = answers.probabilities[0].tolist()
    picture, heat, unexplained = _explanation(model, content, number)
    return {
        "classes": [
            {"number": one, "label": label_text(model.classes[one]), "probability": probabilities[one]} for one in order
        ],
        "others": len(model.classes) - len(order),
        "explained": number,
        "unusual": bool(answers.unusual[0]) or 0 in batch.outside,
        "outside": batch.outside.get(0, ""),
        "picture": _uri(picture, "JPEG"),
        "heat": heat,
        "unexplained": unexplained,
    }


def _explanation(model: Model, content: bytes, number: int) -> tuple[Image.Image, str, str]:
    """Return the upright picture, the heat map for a class, or why there is none."""
    try:
        picture, heat = model.explain_upright(content, model.classes[number])
        return picture, _uri(layer(heat), "PNG"), ""
    except BackboneError as error:
        return upright(content, LONGEST_SIDE), "", str(error)


def _uri(picture: Image.Image, form: str) -> str:
    out = io.BytesIO()
    picture.save(out, form)
    return f"data:image/{form.lower()};base64,{base64.b64encode(out.getvalue()).decode('ascii')}"
