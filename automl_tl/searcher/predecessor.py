"""A trained model that training goes on from: what is kept of it, and whether these pictures suit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from automl_tl.backbones.registry import get_backbone
from automl_tl.backbones.stages import Network
from automl_tl.data.names import printable, quoted
from automl_tl.errors import OptionError
from automl_tl.lab.lab import Lab
from automl_tl.learning.carried import Carried
from automl_tl.learning.configuration import Configuration
from automl_tl.learning.trainer import learned_state
from automl_tl.model.bundle import load_bundle
from automl_tl.model.member import Member
from automl_tl.model.model import Model
from automl_tl.options import TrainOptions
from automl_tl.searcher.first_look import TRAINING_PARTS
from automl_tl.searcher.task import Task
from automl_tl.wording import plural

_OF_THE_BUNDLE = ("backbones", "mean", "std", "input_size")


@dataclass(frozen=True, eq=False)
class Predecessor:
    """A trained model that training goes on from."""

    folder: Path
    member: Member
    """The only one, or the one that goes on: that whose stages have learned."""
    configuration: Configuration
    """Of that member."""
    model: Model

    def carried(self, task: Task, configuration: Configuration) -> Carried:
        """Return what the member hands on to a configuration of the same source, in which as many stages learn or more.

        Raises:
            OptionError: the stages that did not learn differ from those on this machine.
        """
        network, then = task.networks.network(self.configuration.backbone), self.model.classes
        self._check_frozen_stages(network, max(configuration.cuts) - configuration.tuned.unfrozen)
        places = tuple(then.index(label) if label in then else None for label in task.sample.classes)
        return Carried(learned_state(configuration, self.member), len(then), places)

    def _check_frozen_stages(self, network: Network, frozen: int) -> None:
        for number in range(frozen):
            ours, theirs = (one.stages[number].state_dict() for one in (network, self.member.network))
            if any(not torch.equal(value.cpu(), theirs[name].cpu()) for name, value in ours.items()):
                raise OptionError(
                    f"--from: stage {number + 1} of {network.name}, which did not learn, differs between the bundle "
                    f"'{printable(self.folder)}' and this machine: give the weights that it was made with by --weights"
                )


@dataclass(frozen=True)
class Origin:
    """What a model went on from, and what of it is in the model."""

    bundle: Path
    known: tuple[str, ...]
    """Classes that it knew."""
    new: tuple[str, ...]
    learned_on: bool
    """Whether its stages and head have learned on; else all but its configuration is solved or trained anew."""

    def describe(self) -> str:
        """Return it as a phrase."""
        what = "carried over" if self.learned_on else "known before, learned anew"
        new = f"{len(self.new)} new ({quoted(list(self.new))})" if self.new else "none new"
        return f"{self.bundle}: {plural(len(self.known), 'class', 'classes')} {what}, {new}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "bundle": str(self.bundle),
            "classes_known": list(self.known),
            "classes_new": list(self.new),
            "learned_on": self.learned_on,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Origin:
        """Return what `to_dict` described."""
        known, new = tuple(values["classes_known"]), tuple(values["classes_new"])
        return cls(Path(values["bundle"]), known, new, values["learned_on"])


def predecessor_asked_for(options: TrainOptions) -> Predecessor | None:
    """Return the model that training is to go on from, or None.

    Raises:
        BundleError: it cannot be loaded.
        OptionError: it does not say how it was trained, or something is asked for that it has decided.
    """
    if options.from_bundle is None:
        return None
    folder = Path(options.from_bundle)
    for name in _OF_THE_BUNDLE:
        if getattr(options, name):
            flag = name.removesuffix("s").replace("_", "-")
            raise OptionError(
                f"--{flag} means nothing with --from, which keeps the backbone and its input: leave it out"
            )
    model = load_bundle(folder, options.device)
    configurations = _configurations(folder, model.details)
    if len(configurations) != len(model.members):
        raise OptionError(_unknown(folder))
    member, configuration = max(
        zip(model.members, configurations, strict=True), key=lambda one: (one[1].is_trained, one[0].weight)
    )
    return Predecessor(folder, member, configuration, model)


def _configurations(folder: Path, details: Mapping[str, Any]) -> list[Configuration]:
    try:
        return [Configuration.from_dict(dict(one)) for one in details["configuration"]["members"]]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise OptionError(_unknown(folder)) from None


def _unknown(folder: Path) -> str:
    return (
        f"--from: the bundle '{printable(folder)}' does not say how it was trained: give one that automl-tl search or "
        "train has finished"
    )


def with_its_backbone(options: TrainOptions, before: Predecessor) -> TrainOptions:
    """Return the options with the backbone of a model, and its input where that is not the plugin's own."""
    name, backbone = before.configuration.backbone, before.member.network.backbone
    plain = get_backbone(name)
    inputs = {key: getattr(backbone, key) for key in ("mean", "std", "input_size")}
    own = {key: value for key, value in inputs.items() if getattr(plain, key) != value}
    return replace(options, backbones=(name,), **own)


def suited(lab: Lab, before: Predecessor) -> Lab:
    """Return the laboratory with pictures made square as the model has learned them.

    Raises:
        OptionError: there are no pictures of some class that the model knows.
    """
    frame = lab.dataset.frame
    now = set(frame.loc[frame["split"].isin(TRAINING_PARTS), "label"])
    if gone := [label for label in before.model.classes if label not in now]:
        raise OptionError(
            f"--from: '{printable(lab.path)}' holds no training pictures of {quoted(gone)}, which the bundle knows, "
            "and what is not seen again is forgotten: add pictures of all its classes, or leave out --from"
        )
    why = f"as the model in '{printable(before.folder)}' has learned them"
    return lab.with_fit(before.model.fit, why)


def notes_on(before: Predecessor, configuration: Configuration) -> tuple[str, ...]:
    """Return what should be known of a model that went on from another one, in sentences."""
    notes = []
    if (n := len(before.model.members)) > 1:
        notes.append(
            f"Of the {n} members of the bundle the new model has one alone, {before.configuration.strategy}, which "
            f"weighed {before.member.weight:.0%}."
        )
    if not before.configuration.is_trained:
        what = "its classifier is solved" if not configuration.is_trained else "everything is trained"
        notes.append(f"No stage of the bundle's backbone has learned, so {what} anew, on these pictures alone.")
    else:
        notes.append(
            "Pictures that the bundle has learned from may be among those that this model is scored on: evaluate it on "
            "new ones."
        )
    return tuple(notes)


def origin_of(before: Predecessor, task: Task) -> Origin:
    """Return what a model goes on from."""
    new = tuple(label for label in task.sample.classes if label not in before.model.classes)
    return Origin(before.folder, before.model.classes, new, before.configuration.is_trained)
