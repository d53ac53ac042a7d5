"""The data sets of the panel as tables: folders of pictures, and two that packages in use carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from draws import listed
from PIL import Image, ImageDraw, ImageFont

from automl_tl.cache_dir import cache_dir

GLYPHS = "abcdefghikmnpqrstuvwxyz"
"""Small letters of installed fonts; those that no font tells apart by shape alone (j, l, o) are left out."""
PER_GLYPH = 60
PHOTOS = ("clothing", "trashnet", "weather", "sign_digits", "faces_orl")


@dataclass(frozen=True)
class Listing:
    """A data set: columns path, label, split ("" where none is given) and group."""

    frame: pd.DataFrame
    kind: str
    """ "photo" or "other"."""
    test_share: float
    """Of every class, where no test part is given."""


def listing(root: Path, data: str) -> Listing:
    """Return a data set of `root`, or one that is made here."""
    kind = "photo" if data in PHOTOS else "other"
    if data == "digits":
        return Listing(_made(data, _digits), kind, 0.3)
    if data == "glyphs":
        return Listing(_made(data, _glyphs), kind, 0.3)
    frame = listed(root, data)
    return Listing(frame, kind, 0.5 if data == "faces_orl" else 0.2)


def _made(data: str, pictures: Callable[[], Iterator[tuple[str, Image.Image]]]) -> pd.DataFrame:
    folder = cache_dir(None) / "panel" / data
    rows = []
    for number, (label, picture) in enumerate(pictures()):
        path = folder / f"{number:05}.png"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(path)
        rows.append((str(path), label, "", ""))
    return pd.DataFrame(rows, columns=["path", "label", "split", "group"])


def _digits() -> Iterator[tuple[str, Image.Image]]:
    """Yield scikit-learn's hand-written digits, 8 x 8."""
    from sklearn.datasets import load_digits

    known = load_digits()
    for values, label in zip(known.images, known.target, strict=True):
        yield str(label), Image.fromarray((values * 255 / 16).astype(np.uint8))


def _glyphs() -> Iterator[tuple[str, Image.Image]]:
    """Yield letters in the fonts that matplotlib carries, turned, moved and coloured at random."""
    import matplotlib

    fonts = sorted((Path(matplotlib.get_data_path()) / "fonts" / "ttf").glob("*.ttf"))
    fonts = [font for font in fonts if font.name.startswith(("DejaVu", "STIXGeneral", "cmr", "cmtt", "cmss", "cmb"))]
    rng = np.random.default_rng(0)
    for label in GLYPHS:
        for _ in range(PER_GLYPH):
            font = ImageFont.truetype(str(fonts[rng.integers(len(fonts))]), int(rng.integers(48, 96)))
            back, ink = (tuple(int(v) for v in rng.integers(*span, 3)) for span in ((150, 256), (0, 110)))
            picture = Image.new("RGB", (128, 128), back)
            where = tuple(int(v) for v in rng.integers(52, 76, 2))
            ImageDraw.Draw(picture).text(where, label, fill=ink, font=font, anchor="mm")
            yield label, picture.rotate(float(rng.uniform(-20, 20)), fillcolor=back)
