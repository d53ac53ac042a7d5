"""Pictures small enough to lie within a page, as a network sees them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Sequence

from PIL import Image

from automl_tl.data.dataset import ImageDataset
from automl_tl.data.decode import Preprocessing, preprocess
from automl_tl.data.source import Source, sources_of
from automl_tl.errors import PictureError
from automl_tl.report.parts import Thumbnail

SIDE = 128
"""Pixels at most: about 5 kB each."""
MOST = 12
GAP = 4
"""Pixels between the pictures of a strip."""


def as_seen(pictures: Iterable[tuple[Source, str]], how: Preprocessing) -> Iterator[Thumbnail]:
    """Yield pictures, given as (source, caption), as `how` prepares them; those that cannot be read are left out."""
    for source, caption in pictures:
        try:
            pixels = Image.fromarray(preprocess(source, how))
        except (PictureError, OSError):
            continue
        yield Thumbnail(_uri(pixels), caption)


def one_of_each(dataset: ImageDataset, most: int = MOST) -> list[tuple[Source, str]]:
    """Return (source, label) of a few pictures: one of every class, then the next of each, by path."""
    frame = dataset.frame.sort_values(["label", "path"])
    turn = frame.groupby("label").cumcount()
    chosen = frame.assign(turn=turn).sort_values(["turn", "label"]).head(most)
    return list(zip(sources_of(chosen), chosen["label"], strict=True))


def named(dataset: ImageDataset, captions: Iterable[tuple[str, str]]) -> list[tuple[Source, str]]:
    """Return (source, caption) of pictures given as (path, caption); those that the data set lacks are left out."""
    sources = dict(zip(dataset.frame["path"], sources_of(dataset.frame), strict=True))
    return [(sources[path], caption) for path, caption in captions if path in sources]


def strip(pictures: Sequence[Image.Image], caption: str) -> Thumbnail:
    """Return square pictures side by side, with a gap between."""
    wide = Image.new("RGB", (len(pictures) * (SIDE + GAP) - GAP, SIDE), "white")
    for place, picture in enumerate(pictures):
        wide.paste(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (place * (SIDE + GAP), 0))
    return Thumbnail(_encoded(wide), caption)


def _uri(picture: Image.Image) -> str:
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return _encoded(picture)


def _encoded(picture: Image.Image) -> str:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")
