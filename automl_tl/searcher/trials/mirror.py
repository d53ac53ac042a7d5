"""A study copied into a storage that others watch, while it grows; the run folder stays the truth."""

from __future__ import annotations

import copy
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from sqlalchemy.engine import make_url

from automl_tl.errors import OptionError, sentence
from automl_tl.searcher.trials.study import Study

PASSWORD = "AUTOML_TL_STORAGE_PASSWORD"
"""Environment variable with the password, which has no place in a URL that others see."""
NUMBER = "number"
"""User attribute of a copy: the trial's number in the run, by which none is copied twice."""
_EVERY, _LONGEST_PAUSE = 1.0, 30.0
"""Seconds between two looks at the study; at most, while the storage does not answer: twice as many each time."""
_LAST = 20.0
"""Seconds that the end of a search waits for a storage that does not answer."""


class Mirror:
    """Copies trials that have ended, from a thread of its own: no search waits for a database.

    Args:
        url: of a storage that Optuna knows, without a password.
        name: of the study there.

    Raises:
        OptionError: it cannot be opened.
    """

    def __init__(self, url: str, name: str, *, greater_is_better: bool) -> None:
        self.url, self.name = url, name
        self._direction = StudyDirection.MAXIMIZE if greater_is_better else StudyDirection.MINIMIZE
        self._known: set[int] = set()
        self._over, self._abandoned = threading.Event(), threading.Event()
        try:
            self._there: optuna.Study | None = self._opened()
        except Exception as error:  # whatever a database's driver raises
            raise OptionError(
                f"--storage {url} cannot be opened: {sentence(error).partition(' (Background')[0]}"
            ) from None

    @contextmanager
    def following(self, study: Study, say: Callable[[str], None]) -> Iterator[None]:
        """Copy what ends in a study while the context lasts, and at its end what is left; say what could not be."""
        follower = threading.Thread(target=self._follow, args=(study,), name="mirror", daemon=True)
        follower.start()
        try:
            yield
        finally:
            self._over.set()
            follower.join(_LAST)
            self._abandoned.set()  # else it might copy beside the one of a next session
            if missing := len(self._missing(study)):
                say(f"{missing} trials are not in --storage, which did not answer; they are in the run folder, and "
                    "--resume copies them")  # fmt: skip

    def _follow(self, study: Study) -> None:
        """Copy until nothing is missing at the end, or nobody waits any more."""
        pause, given_up = _EVERY, float("inf")
        while not self._abandoned.is_set():
            over = self._over.wait(pause)
            given_up = min(given_up, time.monotonic() + _LAST) if over else given_up
            try:
                self._copy(study)
                pause = _EVERY
            except Exception:  # it went away: what is there is looked at anew
                self._there = None
                time.sleep(_EVERY if over else 0)
                pause = min(2 * pause, _LONGEST_PAUSE)
            if over and (not self._missing(study) or time.monotonic() > given_up):
                return

    def _copy(self, study: Study) -> None:
        if self._there is None:
            self._there = self._opened()
        for trial in self._missing(study):
            if self._abandoned.is_set():
                return
            copied = copy.copy(trial)
            copied.user_attrs = {**trial.user_attrs, NUMBER: trial.number}
            self._there.add_trial(copied)
            self._known.add(trial.number)

    def _missing(self, study: Study) -> list[FrozenTrial]:
        return [t for t in study.trials if t.state.is_finished() and t.number not in self._known]

    def _opened(self) -> optuna.Study:
        url, password = make_url(self.url), os.environ.get(PASSWORD)
        full = (url.set(password=password) if password else url).render_as_string(hide_password=False)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        there = optuna.create_study(
            storage=optuna.storages.get_storage(full), study_name=self.name, load_if_exists=True,
            direction=self._direction,
        )  # fmt: skip
        self._known = {t.user_attrs[NUMBER] for t in there.get_trials(deepcopy=False) if NUMBER in t.user_attrs}
        return there
