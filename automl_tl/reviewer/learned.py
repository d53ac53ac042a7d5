"""Whether a model is asked about pictures that it has learned from, as far as its run is still there to tell."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from automl_tl.data.dataset import ImageDataset
from automl_tl.model.bundle import bundle_folder
from automl_tl.model.model import Model
from automl_tl.monitor import Progress, unheeded
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.same_run import PICTURES, n_learned
from automl_tl.wording import plural


def learned_note(
    bundle: str | os.PathLike[str], model: Model, dataset: ImageDataset, paths: Sequence[str],
    progress: Progress = unheeded,
) -> tuple[str, ...]:  # fmt: skip
    """Return a note where pictures count that the model has learned from.

    Their bytes are compared, so every file is read; those of an object store are not fetched a second time for it.

    Args:
        bundle: folder of the model, or of its run.
        model: that lies there.
        dataset: that it is asked about.
        paths: of the pictures of the data set that count.
        progress: called with (done, total) pictures.
    """
    run = RunFolder(Path(os.path.realpath(bundle_folder(bundle))).parent)
    kept = run.read_json(PICTURES)
    if not kept or not isinstance(dataset.root, Path):
        return ()
    facts = model.details.get("data")
    with_test = isinstance(facts, dict) and bool(facts.get("learned_from_test"))
    frame = dataset.frame[dataset.frame["path"].isin(paths)]
    n = n_learned(kept, ("train", "val", *(["test"] if with_test else [])), frame, progress)
    if not n:
        return ()
    number = f"up to {min(n, max(run.bundle_learned_from()[1], default=n)):,}" if run.is_sampled else f"{n:,}"
    what = f"{number} of these {plural(len(paths), 'picture')}"
    return (f"The model has learned from {what}, which says nothing of new ones: give pictures that it has not seen.",)
