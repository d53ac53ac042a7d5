"""fastai's `fine_tune` at its documented defaults: one epoch frozen, then everything, at the rates that it proposes.

The epochs follow from the budget, by one epoch that is timed beforehand and forgotten. It learns from every training
picture: the fifth that its quick start holds back for validation would cost it accuracy here.
"""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
from contract import Probabilities, Task, main
from fastai.vision.all import (
    CategoryBlock,
    ColReader,
    DataBlock,
    DataLoaders,
    ImageBlock,
    Learner,
    Resize,
    aug_transforms,
    load_learner,
    set_seed,
    vision_learner,
)

BATCH = 64
"""fastai's default; an epoch leaves out what does not fill a batch, so smaller sets are one batch."""
RESERVED = 4.0
"""Seconds for writing the model."""


def all_and_none(items: object) -> tuple[range, list[int]]:
    """Return all pictures for training, none for validation."""
    return range(len(items)), []  # type: ignore[arg-type]


def loaders(task: Task) -> DataLoaders:
    block = DataBlock(
        (ImageBlock, CategoryBlock), get_x=ColReader("path"), get_y=ColReader("label"), splitter=all_and_none,
        item_tfms=Resize(224), batch_tfms=aug_transforms(do_flip=task.mirrored),
    )  # fmt: skip
    frame = pd.DataFrame({"path": task.paths, "label": task.labels})
    return block.dataloaders(frame, bs=min(BATCH, len(frame)))


def learner(dls: DataLoaders) -> Learner:
    return vision_learner(dls, "tf_efficientnet_lite0")


def epoch_seconds(dls: DataLoaders) -> float:
    """Return what an epoch takes in which everything learns."""
    one = learner(dls)
    one.unfreeze()
    begun = time.monotonic()
    one.fit_one_cycle(1)
    return time.monotonic() - begun


def train(task: Task) -> None:
    set_seed(task.seed, reproducible=True)
    dls = loaders(task)
    each = epoch_seconds(dls)
    epochs = max(1, int((task.left - RESERVED) / each) - 1)  # one more is frozen
    one = learner(dls)
    one.fine_tune(epochs)
    one.export(task.model.resolve())
    print(f"{epochs} epochs of {each:.1f} s")


def predict(paths: list[str], model: Path) -> Probabilities:
    one = load_learner(model)
    with one.no_bar():
        rows, _ = one.get_preds(dl=one.dls.test_dl(pd.DataFrame({"path": paths})))
    return list(one.dls.vocab), rows.tolist()


if __name__ == "__main__":
    main(train, predict)
