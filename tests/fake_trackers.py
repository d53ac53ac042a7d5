"""Stand-ins for TensorBoard and MLflow that remember what they are told, with the members that are used."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest


@dataclass
class Told:
    """What was written, by run, in order, and how runs ended."""

    values: dict[str, list[tuple[str, float, int]]] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)


class Writer:
    """As torch.utils.tensorboard's SummaryWriter."""

    def __init__(self, told: Told, log_dir: str) -> None:
        self.told, self.log_dir = told, log_dir
        told.values[log_dir] = []

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.told.values[self.log_dir].append((tag, scalar_value, global_step))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.told.ended.append(self.log_dir)


class Client:
    """As mlflow's MlflowClient; it knows the experiment "known"."""

    def __init__(self, told: Told) -> None:
        self.told = told

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id="7") if name == "known" else None

    def create_experiment(self, name: str) -> str:
        return f"new {name}"

    def create_run(self, experiment_id: str, *, run_name: str) -> Any:
        run = f"{experiment_id}/{run_name}"
        self.told.values[run] = []
        return SimpleNamespace(info=SimpleNamespace(run_id=run))

    def log_metric(self, run_id: str, key: str, value: float, *, step: int) -> None:
        self.told.values[run_id].append((key, value, step))

    def set_terminated(self, run_id: str) -> None:
        self.told.ended.append(run_id)


def install(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Let both be installed."""
    told = Told()
    board = SimpleNamespace(SummaryWriter=lambda log_dir: Writer(told, log_dir))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(MlflowClient=lambda: Client(told)))  # type: ignore[arg-type]
    return told


def uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let neither be installed."""
    for name in ("torch.utils.tensorboard", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]
