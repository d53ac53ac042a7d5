"""Python's logging hears of everything, where nobody else watches."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from generated_pictures import MakePictures
from tiny_models import tiny_alone

import automl_tl
from automl_tl.logs import Logging
from automl_tl.monitor import Epoch, Status

EPOCH = Epoch(3, 12, progress=0.25, loss=0.512, rate=9.3e-4, seconds=7.0, score=0.8125)


def test_every_event_is_a_record(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter((10.0, 75.0))
    monkeypatch.setattr("automl_tl.logs.time.monotonic", lambda: next(ticks))
    caplog.set_level(logging.DEBUG, "automl_tl")
    watcher = Logging()
    with watcher.activity("Looking"):
        watcher.say("100%s more \x1b[31m")
    watcher.show(Status(61.0, 2, 5, best="frozen", value=0.91234, running="tuned"))
    watcher.show(Status(None, 3, 5, best="frozen", value=0.91234, running="tuned again"))
    watcher.learned(EPOCH)
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("INFO", "Looking"),
        ("INFO", "100%s more \\x1b[31m"),
        ("DEBUG", "Looking took 1 min 5 s"),
        ("INFO", "Best so far: frozen (0.9123)"),
        ("INFO", "Trial 3 (1 min 1 s left): tuned"),
        ("INFO", "Trial 4: tuned again"),
        ("INFO", "epoch 3 of 12, loss 0.512, score 0.812, rate 9.3e-04, 21 s left"),
    ]
    assert {one.name for one in caplog.records} == {"automl_tl"}


def test_training_and_search_are_heard(
    make_pictures: MakePictures, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "automl_tl")
    monkeypatch.setattr("automl_tl.lab.recommended.epochs_for", lambda n: 5)
    data = make_pictures(per_class=8)
    with tiny_alone():
        automl_tl.train(data, out=tmp_path / "train", device="cpu", strategy="fine_tuning")
        assert any("Training on every training picture" in line for line in caplog.messages)
        assert sum("epoch 5 of " in line for line in caplog.messages) == 2
        caplog.clear()
        automl_tl.search(data, out=tmp_path / "search", device="cpu", trials=1)
    assert any(line.startswith("Trial 1: ") for line in caplog.messages)
    assert any(line.startswith("Best so far: ") for line in caplog.messages)


def test_nothing_is_set_up_on_import() -> None:
    code = (
        "import logging, automl_tl.logs as logs; print(logging.root.handlers, logs.LOGGER.handlers, logs.LOGGER.level)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["[]", "[]", "0"]
