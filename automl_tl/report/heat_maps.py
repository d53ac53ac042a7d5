"""Heat maps over their pictures as PNG files of a folder: why each picture was given its label."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from automl_tl.model.inputs import Input
from automl_tl.model.model import Model
from automl_tl.model.predict import Prediction
from automl_tl.output import appearing
from automl_tl.report.overlay import overlay

_UNSAFE = re.compile(r"[^\w.-]+")
_LONGEST_NAME = 50
"""Characters, of four bytes at most: every file system takes the whole name."""


class HeatMaps:
    """Writes one file after another: `07-IMG_12.png` for the seventh of some dozens of pictures, IMG_12.jpg.

    Args:
        model: what explains.
        folder: that is there, and empty.
        n: how many pictures there are.
    """

    def __init__(self, model: Model, folder: Path, n: int) -> None:
        self.model, self.folder, self.digits = model, folder, len(str(n))
        self.seen = 0

    def write(self, one: Input, prediction: Prediction) -> None:
        """Write the map of the next picture for its label; nothing where it could not be read.

        Raises:
            OptionError: It cannot be written.
            BackboneError: The model's network cannot be explained.
        """
        self.seen += 1
        if prediction.label is None:
            return
        below, heat = self.model.explain_upright(one.source, prediction.label)
        with appearing(self.folder / self._name(one), "--explain") as file:
            overlay(below, heat).save(file)

    def _name(self, one: Input) -> str:
        own = _UNSAFE.sub("_", PurePath(one.shown).stem)[:_LONGEST_NAME]
        return f"{self.seen:0{self.digits}}-{own}.png"
