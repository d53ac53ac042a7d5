"""Features of the sample's pictures, one backbone after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from automl_tl.errors import BackboneError
from automl_tl.features.extract import Features, Picture, extract
from automl_tl.lab.networks import Bench, without_broken

Progress = Callable[[int, int], None]


def extract_view(
    bench: Bench, name: str, pictures: Sequence[Picture], fit: str, update: Progress, view: str = "plain"
) -> Features:
    """Return the features of pictures, seen as `view`, from the store where they are known."""
    how = bench.preprocessing(name, fit)
    return extract(bench.network(name), pictures, how, bench.engine, bench.store, view=view, progress=update)


def extract_each(
    bench: Bench,
    names: Sequence[str],
    pictures: Sequence[Picture],
    fit: str,
    progress: Callable[[str], AbstractContextManager[Progress]],
    *,
    named: frozenset[str] = frozenset(),
) -> tuple[dict[str, Features], tuple[str, ...]]:
    """Return the features by backbone, and a note for each backbone that failed on these pictures and is left out.

    Args:
        bench: builds them.
        names: the backbones to consider.
        pictures: what is looked at.
        fit: how pictures become square.
        progress: given a stage's name, returns a context that yields a function of (done, total).
        named: backbones that the user asked for by name; what they raise is raised.

    Raises:
        BackboneError: a backbone of `named` fails; any one in strict mode.
        DataError: a picture cannot be read any more.
    """

    def features_of(name: str) -> Features:
        with progress(f"Features of {name}") as update:
            return extract_view(bench, name, pictures, fit, update)

    return without_broken(bench, names, features_of, named=named)


def extract_all(
    bench: Bench,
    names: Sequence[str],
    pictures: Sequence[Picture],
    fit: str,
    progress: Callable[[str], AbstractContextManager[Progress]],
    *,
    named: frozenset[str] = frozenset(),
) -> tuple[dict[str, Features], tuple[str, ...]]:
    """Return what `extract_each` does, of at least one backbone; raises BackboneError where none is left."""
    features, notes = extract_each(bench, names, pictures, fit, progress, named=named)
    if not features:
        raise BackboneError(f"no backbone could compute features of these pictures: {'; '.join(notes)}")
    return features, notes
