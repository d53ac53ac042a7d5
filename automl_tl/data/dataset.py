"""A folder tree or a table of labelled pictures as one value, the `ImageDataset`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from automl_tl.data.address import Root
from automl_tl.data.cells import TABLE_ENDINGS
from automl_tl.data.folds import stratified_sample
from automl_tl.data.forms.memory import Data
from automl_tl.data.forms.recognise import Reading, list_data
from automl_tl.data.label_remarks import label_remarks
from automl_tl.data.listing import Listing, Row, Skipped
from automl_tl.data.names import natural, printable, quoted
from automl_tl.data.source import File, Source, sources_of
from automl_tl.data.table import Columns
from automl_tl.errors import DataError
from automl_tl.wording import plural

__all__ = ["Drawn", "ImageDataset", "Skipped", "drawn", "for_training", "open_dataset"]


@dataclass(frozen=True)
class Drawn:
    """A stratified sample of the pictures, drawn before any was opened."""

    n: int
    of: int
    """Pictures that were listed."""
    per_class: Mapping[str, int]
    """Of those that were listed, in the order of the classes."""
    for_training: Mapping[str, int]
    """Of those in the training part, or of all where no split is given."""

    @property
    def share(self) -> float:
        """Of the pictures listed, 0 to 1."""
        return self.n / self.of


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Labelled pictures, and what was left out. The frame is never changed in place."""

    root: Root
    """What the user named, absolute, or an address; of data in memory what it is called."""
    frame: pd.DataFrame
    """One row for each picture, index 0..n-1. Columns:

    - `path` (str, absolute, or the name of a source), `label` (str), `split` ("train", "val", "test", or "" when none
      is given), `group` (str, "" when none);
    - `source` (`Source`), where pictures are no files of their own;
    - after `quality.scan` also `sha256` (str, of the file's bytes), `width` and `height` (int, pixels,
      upright), `cluster` (int: pictures of one number are duplicates of one another).
    """
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    """Sentences for the user."""
    form: str = ""
    """Of what the pictures lie in, in words: "folders", "a table"."""
    drawn: Drawn | None = None
    """What these pictures are a sample of; None where they are all that were listed."""
    only_part: str = ""
    """Of a split, that every picture is said to be for, which is then none; "" where there is no such part."""

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of `names.natural`."""
        return tuple(natural(set(self.frame["label"])))

    @property
    def n_listed(self) -> int:
        """Pictures, or those that these were drawn from."""
        return self.drawn.of if self.drawn else len(self.frame)

    @property
    def share(self) -> float:
        """Of the pictures listed that were drawn, 0 to 1."""
        return self.drawn.share if self.drawn else 1.0

    @property
    def has_given_splits(self) -> bool:
        """Whether the pictures say which part of a split they belong to."""
        return bool((self.frame["split"] != "").any())

    @property
    def is_scanned(self) -> bool:
        """Whether `quality.scan` has looked at the pictures."""
        return "sha256" in self.frame and "cluster" in self.frame

    @property
    def fingerprint(self) -> str:
        """Identity of the data, 64 hexadecimal digits: of the pictures' bytes, labels, splits and groups.

        Independent of where the files lie, what they are called, and the order of the rows. Needs the scan.
        """
        if not self.is_scanned:
            raise ValueError("the fingerprint needs the pictures' bytes: call quality.scan(dataset) first")
        columns = [self.frame[name] for name in ("sha256", "label", "split", "group")]
        identity = hashlib.sha256()
        for number, row in enumerate(sorted(zip(*columns, strict=True))):  # as one JSON list, which would be long
            identity.update(f"{', ' if number else '['}{json.dumps(row)}".encode())
        identity.update(b"]" if len(self) else b"[]")
        return identity.hexdigest()

    def with_frame(
        self, frame: pd.DataFrame, *, skipped: tuple[Skipped, ...] = (), notes: tuple[str, ...] = ()
    ) -> ImageDataset:
        """Return this data set with another frame, and with more that was skipped or noted."""
        return dataclasses.replace(
            self,
            frame=frame.reset_index(drop=True),
            skipped=self.skipped + skipped,
            notes=self.notes + notes,
        )

    def source(self, path: str) -> Source:
        """Return the source of the picture whose `path` in the frame this is."""
        return sources_of(self.frame[self.frame["path"] == path])[0]

    def short(self, path: str | Path) -> str:
        """Return `path` for people: from the root's folder where it lies in it, safe to print."""
        return printable(os.fspath(path).removeprefix(self._folder))

    @cached_property
    def _folder(self) -> str:
        """What paths of pictures in the root begin with."""
        is_folder = self.root.is_dir() if isinstance(self.root, Path) else self.root.suffix not in TABLE_ENDINGS
        return os.path.join(self.root if is_folder else self.root.parent, "")


def open_dataset(
    path: Data,
    *,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str = "split",
    group_column: str | None = None,
    split_folders: Mapping[str, str] | None = None,
    image_root: str | os.PathLike[str] | None = None,
    extension: str = "",
    train: bool = True,
) -> ImageDataset:
    """List the labelled pictures that `path` names; no picture is opened.

    `path` is one of these (see `forms.recognise`):

    - a folder of class folders (see `folders.list_tree`), or a zip file or a tar of them (see `forms.archive`);
    - a CSV, TSV or Parquet table of paths (see `table.list_table`);
    - a Parquet file of pictures (see `forms.parquet`) or a tar of samples (see `forms.webdataset`), or several: a
      folder of them, or a pattern ("train-{000..009}.tar");
    - a table, arrays, pictures of Pillow or a data set object in memory (see `forms.memory.Data`).

    The columns are those of a table; a column named "split" or "group" is used where there is one. `image_root` is the
    folder where its relative paths start, in place of the table's own, and `extension` is added to names that lack it.

    `split_folders` says which folders are which part of a split ({"fold0": "test"}), an empty one that none is; without
    it they are found out (see `parts.split_parts`).

    With `train` the data must be fit for training (see `for_training`); without, any labelled picture will do, as for
    an evaluation.

    Raises `DataError`, one sentence with the way out, where nothing can be made of it.
    """
    split = None if split_column == "split" else split_column
    columns = Columns(path_column, label_column, split, group_column)
    root, listing = list_data(path, Reading(columns, split_folders, image_root, extension))
    dataset = _build(root, listing)
    return for_training(dataset) if train else dataset


def for_training(dataset: ImageDataset) -> ImageDataset:
    """Return `dataset` without what cannot be trained on, or raise `DataError`.

    Classes that only occur outside the training part are left out, with a note. At least two classes
    must remain, and one of them needs two training pictures.
    """
    dataset = _with_trained_classes(dataset)
    counts = training_counts(dataset.frame)
    name = printable(dataset.root)
    if len(counts) == 1:
        ((label, n),) = counts.items()
        tables = [one.path for one in dataset.skipped if one.path.lower().endswith(TABLE_ENDINGS)]
        way_out = f"; to use the table in it, give '{printable(tables[0])}' itself" if tables else ""
        what = f"'{printable(label)}' ({plural(n, 'picture')}){way_out}"
        raise DataError(f"At least two classes are needed, but '{name}' has one: {what}.")
    if max(counts.values()) == 1:
        raise DataError(
            f"Each of the {len(counts)} classes in '{name}' has only one picture to train on: "
            "at least two are needed, ten or more are better."
        )
    return dataset


def drawn(dataset: ImageDataset, most: int, seed: int) -> ImageDataset:
    """Return about `most` of the pictures, stratified by class and part of a given split; all where there are no more.

    At least two of a class in every part are taken where there are two.
    """
    frame = dataset.frame
    if len(frame) <= most:
        return dataset
    rows = stratified_sample(frame.groupby(["split", "label"]).ngroup().to_numpy(), most, seed)
    note = (
        f"Of {len(frame):,} pictures a stratified sample of {len(rows):,} was opened, for this answer alone: what is "
        "said of sizes, duplicates and unreadable files is of these; automl-tl inspect looks at every picture."
    )
    everything = Drawn(len(rows), len(frame), label_counts(frame["label"]), training_counts(frame))
    return dataclasses.replace(dataset.with_frame(frame.iloc[rows], notes=(note,)), drawn=everything)


def training_counts(frame: pd.DataFrame) -> dict[str, int]:
    """Return the number of training pictures of each class, in their order (all, if no split is given)."""
    return label_counts(frame.loc[frame["split"].isin(("", "train")), "label"])


def label_counts(labels: Iterable[str]) -> dict[str, int]:
    """Return the number of pictures of each class, in the classes' order."""
    counts = Counter(labels)
    return {label: counts[label] for label in natural(counts)}


def _build(root: Root, listing: Listing) -> ImageDataset:
    if not listing.rows:
        raise DataError(_nothing_left(root, listing.skipped))
    frame = pd.DataFrame(listing.rows, columns=list(Row._fields))
    if listing.sources:
        sources = [listing.sources.get(path) or File(path) for path in frame["path"]]
        frame["source"] = pd.Series(sources, dtype=object)
    notes = [*listing.notes, *label_remarks(frame["label"])]
    parts = set(frame["split"])
    only = next(iter(parts)) if len(parts) == 1 else ""
    if only:  # a split of one part says nothing
        frame["split"] = ""
        notes = [*notes, f"Every picture is said to be for '{only}', so no split is given."]
    elif len(parts) > 1:  # of several files, one may not say it
        frame["split"] = frame["split"].replace("", "train")
    return ImageDataset(root, frame, tuple(listing.skipped), tuple(notes), listing.form, only_part=only)


def _nothing_left(root: Root, skipped: list[Skipped]) -> str:
    if not skipped:
        return f"The table '{printable(root)}' names no picture: give one row for each picture."
    first = skipped[0]
    return (
        f"No picture of '{printable(root)}' can be used; {len(skipped)} left out, the first is "
        f"'{printable(first.path)}': {first.reason}."
    )


def _with_trained_classes(dataset: ImageDataset) -> ImageDataset:
    trained = set(training_counts(dataset.frame))
    if not trained:
        raise DataError(
            f"No picture of '{printable(dataset.root)}' is left for training "
            f"(left out: {len(dataset.skipped)}, in other parts of the split: {len(dataset)})."
        )
    without = natural(set(dataset.classes) - trained)
    if not without:
        return dataset
    known = dataset.frame["label"].isin(trained)
    note = (
        f"No training pictures of {quoted(without)}: "
        f"these classes are left out of the other parts of the split ({plural(int((~known).sum()), 'picture')})."
    )
    return dataset.with_frame(dataset.frame[known], notes=(note,))
