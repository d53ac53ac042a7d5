"""A trained model: one network with its head or several, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from automl_tl.data.decode import Preprocessing
from automl_tl.data.names import printable, quoted
from automl_tl.data.source import Readable, readables
from automl_tl.errors import BackboneError, OptionError, PictureError
from automl_tl.features.batch_size import pictures_at_once
from automl_tl.model.decoding import Images, decoded_batches, upright
from automl_tl.model.explain import LONGEST_SIDE, heat_map
from automl_tl.model.forward import forward
from automl_tl.model.member import Member
from automl_tl.model.module import PictureClassifier
from automl_tl.model.novelty import Novelty, beyond, contrast
from automl_tl.model.predict import Answers, Prediction, predict

if TYPE_CHECKING:
    from automl_tl.data.forms.memory import Data
    from automl_tl.model.evaluation import Evaluation

__all__ = ["Model", "mix"]


@dataclass(frozen=True, eq=False)
class Model:
    """Pictures in, probabilities of classes out.

    probabilities = sum over the members of weight * softmax(scores / temperature): each member's scores are divided
    by the model's one temperature, made probabilities, and averaged with the weights, which sum to 1.
    """

    members: tuple[Member, ...]
    """The embedding of the first one is what `novelty` measures."""
    classes: tuple[str, ...]
    """Labels, in the order of the scores' columns."""
    temperature: float
    """Above 0; the same for every member."""
    fit: str
    """ "squash", "pad" or "crop": how the pictures were made square in training."""
    novelty: Novelty | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else is known, kept in the bundle: JSON values under "metrics", "data", "configuration" and the like."""

    def __post_init__(self) -> None:
        fault = _fault(self)
        if fault is not None:
            raise ValueError(fault)

    @property
    def device(self) -> torch.device:
        """Where the first member computes."""
        return self.members[0].network.device

    @property
    def pictures_at_once(self) -> int:
        """How many pictures suit its device."""
        return min(pictures_at_once(member.network) for member in self.members)

    @property
    def preprocessings(self) -> tuple[Preprocessing, ...]:
        """The ways in which a picture must be prepared, each once, in the order of the members."""
        return tuple(dict.fromkeys(member.preprocessing for member in self.members))

    def scores(self, images: Images) -> tuple[list[Tensor], Tensor]:
        """Return every member's scores (N, C), and the first member's embeddings (N, D), float32 on the CPU.

        Args:
            images: by preprocessing, uint8 (N, S, S, 3), as `decoded_batches` gives them.
        """
        results = forward(self.members, images)
        return [scores for scores, _ in results], results[0][1]

    def answer(self, images: Images) -> Answers:
        """Return probabilities and novelty of N prepared pictures.

        Raises:
            BackboneError: A network puts out NaN or infinite scores.
        """
        return self.judged(*self.scores(images), images)

    def judged(self, scores: Sequence[Tensor], embeddings: Tensor, images: Images) -> Answers:
        """Return the answers that the members' scores and the first one's embeddings amount to; see `answer`."""
        for member, own in zip(self.members, scores, strict=True):
            if not bool(torch.isfinite(own).all()):
                name = member.network.name
                raise BackboneError(
                    f"{name} puts out NaN or infinite scores: train the model again, or use --device cpu"
                )
        probabilities = mix([own.numpy() for own in scores], self.weights, self.temperature)
        if self.novelty is None:
            return Answers(probabilities, None, np.zeros(len(probabilities), dtype=bool))
        distance = self.novelty.distance(embeddings.numpy())
        how = self.members[0].preprocessing
        blank = contrast(images[how], how) < self.novelty.least_contrast
        return Answers(probabilities, distance, beyond(distance, self.novelty.threshold) | blank)

    def module(self) -> PictureClassifier:
        """Return the model as an `nn.Module`: pictures (N, H, W, 3) in, probabilities (N, C) out.

        It takes uint8, or float32 from 0 to 1, of any size, and resizes them itself.
        """
        return PictureClassifier(self.members, self.temperature)

    @property
    def weights(self) -> tuple[float, ...]:
        """Of the members; they sum to 1."""
        return tuple(member.weight for member in self.members)

    def probabilities(self, pictures: Readable | Iterable[Readable], *, batch_size: int | None = None) -> np.ndarray:
        """Return the probabilities of one or n pictures, float64 (n, C).

        They are paths, bytes of files, pixels as uint8 (H, W, 3), or pictures of Pillow; so many go through the network
        at once, by default as suit its device.

        Raises:
            PictureError: One of them cannot be read; `predict` goes on without it.
            DataError: Something is no picture.
        """
        parts = [np.empty((0, len(self.classes)))]
        done = 0
        size = batch_size or self.pictures_at_once
        for batch in decoded_batches(readables(pictures), self.preprocessings, batch_size=size):
            if batch.errors:
                row, reason = next(iter(batch.errors.items()))
                raise PictureError(f"picture {done + row + 1} cannot be used: {reason}")
            parts.append(self.answer(batch.images).probabilities)
            done += batch.n
        return np.concatenate(parts)

    def explain(self, picture: Readable, label: str | None = None) -> np.ndarray:
        """Return what each place of a picture adds to the score of a class, float32 (h, w).

        The map lies over the upright picture, scaled down to at most 512 pixels a side. Values are in nats and have no
        bounds: above 0 a place speaks for the class, below 0 against it, and their mean is what the picture adds to the
        class' score, divided by the temperature, compared with features of 0. They are exact for linear heads that
        read positions, else of first order: see `contributions`. Compare places of one map, not maps of two classes.

        Args:
            picture: a file, the bytes of one, or pixels uint8 (H, W, 3).
            label: the class; the most probable one by default.

        Raises:
            PictureError: It cannot be read.
            OptionError: The model has no such class.
            BackboneError: Its network's positions are not known.
        """
        return self.explain_upright(picture, label)[1]

    def explain_upright(self, picture: Readable, label: str | None = None) -> tuple[Image.Image, np.ndarray]:
        """Return the upright picture, scaled as `explain` does it, and what that returns."""
        (batch,) = decoded_batches([picture], self.preprocessings)
        if batch.errors:
            raise PictureError(f"the picture cannot be used: {batch.errors[0]}")
        target = self._number(label) if label is not None else int(self.answer(batch.images).probabilities.argmax())
        below = upright(picture, LONGEST_SIDE)
        heat: np.ndarray = heat_map(self.members, batch.images, target, (below.height, below.width)).numpy()
        return below, heat / np.float32(self.temperature)

    def _number(self, label: str) -> int:
        if label not in self.classes:
            raise OptionError(f"the model has no class '{printable(label)}': choose from {quoted(list(self.classes))}")
        return self.classes.index(label)

    def predict(
        self,
        paths: Readable | Iterable[Readable] | pd.DataFrame,
        *,
        top_k: int = 1,
        path_column: str = "path",
        image_root: str | PathLike[str] | None = None,
        extension: str = "",
    ) -> list[Prediction]:
        """Return a prediction for every picture that `paths` name, in their order; see `predict.predict`.

        Raises:
            DataError: A path names nothing.
            OptionError: `top_k` is below 1, or what is for tables is given and no table is named.
        """
        tables: dict[str, Any] = {"path_column": path_column, "image_root": image_root, "extension": extension}
        return list(predict(self, paths, top_k=top_k, batch_size=self.pictures_at_once, **tables))

    def evaluate(self, data: Data, *, split: str | None = None, **columns: Any) -> Evaluation:
        """Return how good the model is on labelled pictures; see `evaluate.evaluate`.

        Args:
            data: what `recommend` takes: a folder, a table, an archive, or pictures in memory.
            split: "train", "val", "test" or "all" of a given split; default: the test part, where one is given.
            columns: of a table, as `open_dataset` has them (`label_column="species"`).

        Raises:
            DataError: Nothing can be made of the data, or the model knows none of their classes.
            OptionError: There is no such part.
        """
        from automl_tl.data.dataset import open_dataset  # scikit-learn's metrics, which no prediction needs
        from automl_tl.model.evaluate import evaluate

        dataset = open_dataset(data, train=False, **columns)
        return evaluate(self, dataset, split=split, batch_size=self.pictures_at_once)


def mix(scores: Iterable[np.ndarray], weights: Iterable[float], temperature: float) -> np.ndarray:
    """Return sum over members of weight * softmax(scores / temperature), float64 (n, C).

    Args:
        scores: of each member, (n, C).
        weights: of each member; they sum to 1.
        temperature: of the model, above 0.
    """
    total: np.ndarray | None = None
    for own, weight in zip(scores, weights, strict=True):
        logits = own.astype(np.float64) / temperature
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        share = weight * powers / powers.sum(axis=1, keepdims=True)
        total = share if total is None else total + share
    assert total is not None
    return total


def _fault(model: Model) -> str | None:
    """Return what is wrong with a model's parts, or None."""
    weights, n_classes = model.weights, len(model.classes)
    if not model.members or min(weights) < 0 or not abs(sum(weights) - 1) <= 1e-6:
        return f"a model needs members whose weights sum to 1, but they are {weights}"
    if n_classes < 2 or len(set(model.classes)) < n_classes:
        return f"a model needs two classes or more, each once, but got {model.classes}"
    if not 0 < model.temperature < float("inf"):
        return f"temperature must be finite and above 0, but is {model.temperature}"
    wrong = [member.head.n_classes for member in model.members if member.head.n_classes != n_classes]
    return f"a head scores {wrong[0]} classes, but the model has {n_classes}" if wrong else None
