"""The user's own runs that count as rows of the panel: a small file among the user's data."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock

from automl_tl.data.names import printable
from automl_tl.errors import OptionError
from automl_tl.foreign import is_a, number, parse_json, read_bytes, whole_number
from automl_tl.lab.calibration import MetaFeatures, OwnRun
from automl_tl.output import whole
from automl_tl.strategies import FROZEN, STRATEGIES


def own_runs_file() -> Path:
    """Return where the runs are kept."""
    return Path(platformdirs.user_data_dir("automl-tl")) / "own_runs.json"


def own_runs() -> tuple[OwnRun, ...]:
    """Return the runs that were added, the oldest first.

    Raises:
        OptionError: the file is there, but cannot be read.
    """
    file = own_runs_file()
    try:
        return tuple(own_run(one) for one in parse_json(read_bytes(file)))
    except FileNotFoundError:
        return ()
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise OptionError(
            f"the list of your own runs, '{printable(file)}', cannot be read ({printable(str(error))}); "
            "mend it, or delete it and add the runs again"
        ) from error


def change_own_runs(change: Callable[[tuple[OwnRun, ...]], tuple[OwnRun, ...]]) -> tuple[OwnRun, ...]:
    """Write down what `change` makes of the runs, and return it; who changes them at the same time waits.

    Raises:
        OptionError: the file cannot be read or written.
    """
    file = own_runs_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock")):
            runs = change(own_runs())
            with whole(file) as new:
                new.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n", encoding="utf-8")
            return runs
    except OSError as error:
        raise OptionError(f"'{printable(file)}' cannot be written ({error.strerror or error})") from error


def with_run(runs: Sequence[OwnRun], new: OwnRun) -> tuple[OwnRun, ...]:
    """Return the runs with a new one, in the place of what was known of the same data."""
    return (*(run for run in runs if run.fingerprint != new.fingerprint), new)


def without_runs_on(runs: Sequence[OwnRun], name: str) -> tuple[OwnRun, ...]:
    """Return the runs without those on the data set `name`; raises OptionError where there is none."""
    left = tuple(run for run in runs if run.name != name)
    if len(left) == len(runs):
        known = ", ".join(dict.fromkeys(run.name for run in runs)) or "none"
        raise OptionError(f"no run of yours is called '{name}'; there are: {known}")
    return left


def own_run(values: Mapping[str, Any]) -> OwnRun:
    """Return the run that JSON describes.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    known, gains = values["known"], dict[Any, tuple[float, float]]()
    for strategy, (gain, stderr) in is_a(values["gains"], dict).items():
        if strategy not in STRATEGIES or strategy in FROZEN:
            raise ValueError(f"'{strategy}' is no trained strategy")
        gains[strategy] = number(gain), number(stderr)
        if not (abs(gains[strategy][0]) <= 1 and 0 < gains[strategy][1] <= 1):
            raise ValueError(f"{gain} +- {stderr} is no gain in accuracy")
    found = MetaFeatures(
        whole_number(known["n_training"], 1), whole_number(known["n_classes"], 2),
        number(known["different"]), number(known["errors"]),
    )  # fmt: skip
    if not (0 <= found.different <= 1 and 0 <= found.errors <= 1):
        raise ValueError(f"{known} describes no data set")
    return OwnRun(str(values["name"]), str(values["fingerprint"]), str(values["backbone"]), found, gains)
