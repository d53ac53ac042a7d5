"""The folder of a run: what it was asked, its study, what its candidates learned, the model and the leaderboard."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from automl_tl.data.address import absolute
from automl_tl.data.decode import FITS
from automl_tl.data.forms.memory import Data
from automl_tl.data.names import printable
from automl_tl.errors import OptionError
from automl_tl.features.scratch import seldom_read
from automl_tl.foreign import JSON_IN_MEMORY, is_a, one_of, parse_json, read_bytes, whole_number
from automl_tl.foreign import name as name_from
from automl_tl.learning.configuration import Configuration
from automl_tl.memory import check_readable
from automl_tl.model.checking import MANIFEST, check_free
from automl_tl.model.swap import recover
from automl_tl.monitor import Epoch
from automl_tl.output import whole
from automl_tl.searcher.same_run import PICTURES, is_of_train, picture_changes, run_change
from automl_tl.searcher.space.search_space import Space, space_from_dict, space_to_dict
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.outcome_file import read_history, read_outcome, write_outcome

STATES_KEPT = 3
"""Trained candidates whose weights are kept, the best ones; of the others only the scores are."""
_RUN, _SPACE, _RESULT = "run.json", "space.json", "result.json"
SAMPLE, FIT, _STORAGE = "sample.json", "fit.json", "storage.json"
_LOCK = ".lock"
LARGEST_JSON = 256 * 1024**2
"""Bytes; a million pictures take 40 MB of `pictures.json`."""
LONGEST_REASON = 1000
"""Characters of why pictures become square as they do."""


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run, and how its parts are written, each whole or not at all."""

    path: Path
    """A leading ~ is the user's home: where the shell did not say so, every part of a run means the same folder."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(os.path.expanduser(self.path)))

    @property
    def journal(self) -> Path:
        """Optuna's journal."""
        return self.path / "study.journal"

    @property
    def bundle(self) -> Path:
        """The model, as good as it is so far."""
        return self.path / "bundle"

    @property
    def leaderboard(self) -> Path:
        """The table of candidates."""
        return self.path / "leaderboard.csv"

    @property
    def scratch(self) -> Path:
        """Where memory-mapped files live while the search runs."""
        return self.path / "scratch"

    @property
    def checkpoints(self) -> Path:
        """Where long refits are kept until the model is delivered."""
        return self.path / "refits"

    def forget_checkpoints(self) -> None:
        """Delete what was kept of refits: the model is delivered."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def check(self, *, resume: bool) -> None:
        """Raise an error where the folder cannot be begun in, or gone on with; nothing is made yet.

        Raises:
            OptionError: it holds a link, another run, or none to resume.
            BundleError: what is the user's lies where the model would replace it.
        """
        if self.path.exists() and not self.path.is_dir():
            raise OptionError(f"--out '{printable(self.path)}' is a file; name a folder")
        self._check_links()
        check_free(Path(os.path.realpath(self.bundle)))
        if resume:
            self.check_same({})
        elif (self.path / _RUN).exists():
            way_out = "" if is_of_train(self.read_json(_RUN)) else ", or go on with a search by --resume"
            raise OptionError(f"'{printable(self.path)}' holds a run already; give another --out{way_out}")

    def check_outside(self, data: Data) -> None:
        """Raise OptionError where the run would lie among the pictures: its folder would become a class."""
        if not isinstance(data, str | os.PathLike):
            return
        pictures = Path(absolute(data))
        if pictures.is_dir() and self.path.resolve().is_relative_to(pictures.resolve()):
            raise OptionError(
                f"the run folder '{printable(self.path)}' lies in the data '{printable(pictures)}', where it would "
                "become a class: give an --out outside of it"
            )

    def _check_links(self) -> None:
        """Raise OptionError where something in the folder is a link: what is written would lie elsewhere."""
        for folder, folders, files in os.walk(self.path):
            links = (one for one in (Path(folder, name) for name in sorted([*folders, *files])) if one.is_symlink())
            if link := next(links, None):
                raise OptionError(
                    f"'{printable(self.path)}' holds a link, '{printable(link.relative_to(self.path))}', but a run is "
                    "written into its own folder alone: put what it leads to in its place, or give another --out"
                )

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the folder; raises OptionError where another process searches in it.

        A model that a crash left aside while a better one took its place is put back. Folders that were made here and
        in which nothing was begun are not left behind.
        """
        made = [folder for folder in (self.path, *self.path.parents) if not os.path.lexists(folder)]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / _LOCK)
            lock.acquire(timeout=0)
        except Timeout:
            raise OptionError(
                f"another search is running in '{printable(self.path)}'; wait for it or give another --out"
            ) from None
        except OSError as error:
            raise OptionError(
                f"the run folder '{printable(self.path)}' cannot be written ({error.strerror or error}); "
                "give another --out"
            ) from error
        try:
            recover(self.bundle)
            yield
        finally:
            lock.release()
            if not (self.path / _RUN).exists():
                (self.path / _LOCK).unlink(missing_ok=True)
                with suppress(OSError):  # one is not empty any more
                    for folder in made:
                        folder.rmdir()

    def begin(self, asked: Mapping[str, Any], pictures: Mapping[str, str]) -> None:
        """Write down what the run was asked, and about which pictures (`same_run.identities`).

        Raises OptionError where the folder holds another run already.
        """
        self.check(resume=False)
        self.write_json(PICTURES, dict(pictures))
        self.write_json(_RUN, dict(asked))

    def check_same(self, asked: Mapping[str, Any], pictures: Mapping[str, str] | None = None) -> None:
        """Raise OptionError unless the folder holds a search that was asked the same, about the same pictures."""
        before = self.read_json(_RUN)
        if before is None:
            raise OptionError(f"'{printable(self.path)}' holds no run to resume; leave out --resume to begin one")
        if is_of_train(before):
            raise OptionError(
                f"'{printable(self.path)}' holds a run of train, which cannot be resumed; leave out --resume and give "
                "another --out"
            )
        if change := run_change(before, asked, lambda: picture_changes(self.read_json(PICTURES), pictures or {})):
            raise OptionError(
                f"the run in '{printable(self.path)}' cannot be resumed: {printable(change)}; resume it as it was "
                "begun, or give another --out"
            )

    def space(self, today: Space) -> Space:
        """Return the search space that the run began with, `today`'s if it begins now.

        Optuna knows no categorical parameter whose choices change within a study.
        """
        known = self.known_space()
        if known is None:
            self.write_json(_SPACE, space_to_dict(today))
        return known or today

    def known_space(self) -> Space | None:
        """Return the search space that the run began with, None where it has not come so far."""
        if not (self.path / _SPACE).exists():
            return None
        try:
            return space_from_dict(self.read_json(_SPACE) or {})
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self.damaged(_SPACE) from None

    def damaged(self, name: str) -> OptionError:
        """Return the error that says so of one of the run's files."""
        return OptionError(
            f"{name} of the run in '{printable(self.path)}' is damaged, so it cannot be resumed; give another --out"
        )

    @property
    def is_of_train(self) -> bool:
        """Whether it is the folder of a single training."""
        return is_of_train(self.read_json(_RUN))

    def study_name(self) -> str:
        """Return the name of the run's study in a storage that others watch: the same in every session."""
        known = self.read_json(_STORAGE)
        if known is None:
            known = {"study": f"{self.path.resolve().name} {time.strftime('%Y-%m-%d %H:%M')} {uuid.uuid4().hex[:6]}"}
            self.write_json(_STORAGE, known)
        return str(known["study"])

    def keep_sample(self, n: int, *, growing_to: int | None = None) -> None:
        """Write down how many pictures the run looks at, and of how many the larger sample is that it has begun."""
        self.write_json(SAMPLE, {"n": n} if growing_to is None else {"n": n, "growing_to": growing_to})

    @property
    def sample_size(self) -> int | None:
        """How many pictures the run looks at, or None where it has not begun to; OptionError where it is damaged."""
        return self._kept_sizes().get("n")

    @property
    def growing_to(self) -> int | None:
        """The size of a larger sample that was begun, and on which the best candidate was not tried to its end."""
        return self._kept_sizes().get("growing_to")

    def _kept_sizes(self) -> dict[str, int]:
        if not (self.path / SAMPLE).exists():
            return {}
        try:
            sizes = {name: whole_number(n, 1) for name, n in is_a(self.read_json(SAMPLE), dict).items()}
            if sizes["n"] >= sizes.get("growing_to", math.inf):
                raise ValueError(f"{sizes} do not grow")
        except (KeyError, ValueError):
            raise self.damaged(SAMPLE) from None
        return sizes

    def keep_fit(self, fit: str, reason: str) -> None:
        """Write down how pictures become square in the run, and why."""
        self.write_json(FIT, {"fit": fit, "reason": reason})

    @property
    def fit(self) -> tuple[str, str] | None:
        """How pictures become square, and why; None where an earlier version began, OptionError where it is damaged."""
        if not (self.path / FIT).exists():
            return None
        try:
            kept = is_a(self.read_json(FIT), dict)
            return one_of(kept["fit"], FITS), printable(name_from(kept["reason"], LONGEST_REASON))
        except (KeyError, ValueError):
            raise self.damaged(FIT) from None

    @property
    def is_finished(self) -> bool:
        """Whether a model was delivered before: one that is better than any trial's own."""
        return (self.path / _RESULT).exists()

    @property
    def is_sampled(self) -> bool:
        """Whether the delivered model has learned from a sample of the training pictures alone."""
        return bool((self.read_json(_RESULT) or {}).get("sample"))

    def bundle_learned_from(self) -> tuple[tuple[Configuration, ...], tuple[int, ...]]:
        """Return the members of the bundle, and from how many pictures each has learned; nothing where none says so."""
        details = self.read_json(f"{self.bundle.name}/{MANIFEST}") or {}
        try:
            members = tuple(Configuration.from_dict(one) for one in details["configuration"]["members"])
            learned = tuple(whole_number(n, 0) for n in details["data"]["learned_from"])
        except (KeyError, TypeError, ValueError):
            return (), ()
        return (members, learned) if len(members) == len(learned) else ((), ())

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Keep the result as JSON."""
        self.write_json(_RESULT, dict(result))

    def delivered(self) -> tuple[Configuration, ...]:
        """Return what the delivered model consists of; raises OptionError where the folder holds no finished run."""
        try:
            result = self.read_json(_RESULT) or {}
            members = result.get("members") or [result["configuration"]]  # of a search, of one configuration
            return tuple(Configuration.from_dict({k: v for k, v in one.items() if k != "share"}) for one in members)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise OptionError(
                f"'{printable(self.path)}' holds no finished run; give the --out folder of automl-tl search or train"
            ) from None

    def save(self, outcome: Outcome) -> None:
        """Keep a candidate's scores and what it learned, before its trial is told to the study."""
        write_outcome(self._file(outcome.number), outcome)

    def light(self, outcome: Outcome) -> Outcome:
        """Return a candidate whose scores lie on the disk: of hundreds of trials they would fill the memory."""
        return replace(outcome, scores=seldom_read(outcome.scores, self.scratch))

    def load(self, numbers: Sequence[int]) -> list[Outcome]:
        """Return the kept candidates of these trials; one that is damaged or missing is left out."""
        found = (read_outcome(self._file(number)) for number in numbers)
        return [self.light(outcome) for outcome in found if outcome is not None]

    def histories(self) -> dict[int, tuple[Configuration, tuple[Epoch, ...]]]:
        """Return what was trained in each trial, and the epochs of its first fold, by number; no tensor is read."""
        files = [one for one in (self.path / "trials").glob("*.safetensors") if re.fullmatch(r"[0-9]{1,9}", one.stem)]
        found = {int(file.stem): read_history(file) for file in sorted(files, key=lambda one: int(one.stem))}
        return {number: history for number, history in found.items() if history is not None and history[1]}

    def forget_states(self, outcomes: Sequence[Outcome], ranked: Sequence[Outcome]) -> list[Outcome]:
        """Drop the weights of all trained candidates but the first of those `ranked`; return them without."""
        dropped = {o.number: replace(o, state={}) for o in [o for o in ranked if o.state][STATES_KEPT:]}
        for outcome in dropped.values():
            self.save(outcome)
        return [dropped.get(outcome.number, outcome) for outcome in outcomes]

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Return one of the run's JSON files, or None where it is missing, damaged or larger than any run's.

        Raises:
            ShortageError: it is larger than the memory.
        """
        try:
            file = self.path / name
            check_readable(file, JSON_IN_MEMORY * file.stat().st_size)
            return is_a(parse_json(read_bytes(file, LARGEST_JSON)), dict)
        except (OSError, ValueError):
            return None

    def write_json(self, name: str, values: dict[str, Any]) -> None:
        """Write one of the run's JSON files."""
        with whole(self.path / name) as new:
            new.write_text(json.dumps(values, indent=1, default=str), encoding="utf-8")

    def _file(self, number: int) -> Path:
        return self.path / "trials" / f"{number}.safetensors"


def default_out() -> Path:
    """Return the folder of a run that was given none: runs/<time>, with a number where two begin in one second."""
    stem = time.strftime("%Y%m%d-%H%M%S")
    candidates = [Path("runs") / stem, *(Path("runs") / f"{stem}-{number}" for number in range(2, 1000))]
    return next(path for path in candidates if not path.exists())
