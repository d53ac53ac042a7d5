"""Work that several of Ray's processes do together, as one group of torch.distributed that Ray Train starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from automl_tl.errors import AutomlTlError
from automl_tl.memory import tune_malloc

T = TypeVar("T")
RESTARTS = 3
"""How often all processes of a group are started again, after one of them has died."""
WAITS = 5
"""How many minutes are waited for the cores or GPUs of a machine that has gone."""
_PATIENCE = 24 * 3600
"""Seconds that a process waits for the others, who may read a million pictures: Ray finds out where one is lost."""


@dataclass(frozen=True)
class Group:
    """The processes that do a piece of work together, and where Ray may keep notes on them."""

    processes: int
    each: Mapping[str, float]
    """What each of them has, by Ray's name of the resource."""
    folder: Path
    """That all machines can write to."""


@dataclass(frozen=True)
class _Part:
    """What every process of a group is given."""

    work: Callable[..., Any]
    args: tuple[Any, ...]
    options: Mapping[str, Any]
    report: Callable[..., None] | None
    answer: Any
    """Of `_Answer`."""


@dataclass
class _Answer:
    """What came out: an actor, in a process of its own, which outlives those of the group."""

    found: list[Any] = field(default_factory=list)
    error: Exception | None = None

    def fail(self, error: Exception) -> None:
        """Keep what the work has raised; the first of several counts."""
        self.error = self.error or error

    def give(self, found: Any) -> None:
        """Keep what the work has returned."""
        self.found = [found]

    def has_failed(self) -> bool:
        """Return whether there is an error."""
        return self.error is not None

    def take(self) -> tuple[list[Any], Exception | None]:
        """Return both."""
        return self.found, self.error


def do_together(
    group: Group, work: Callable[..., T], options: Mapping[str, Any], *args: Any,
    report: Callable[..., None] | None = None,
) -> T:  # fmt: skip
    """Do a piece of work in every process of a group, and return what the first one returns: work for an executor.

    If a process dies, or is lost to the others, who raise ConnectionError or find no group any more, all begin again;
    whatever else the work raises is raised here, and not tried again.

    Args:
        group: that does it.
        work, options, args: see `Executor.submit`.
        report: what the first process reports with.

    Raises:
        AutomlTlError: processes died more often than RESTARTS, or there was no room for others within WAITS.
    """
    ray, _, _ = _modules()
    answer = ray.remote(_Answer).options(num_cpus=0).remote()
    ended = ""
    try:
        _trainer(group, _Part(work, args, options, report, answer)).fit()
    except Exception as error:  # of Ray Train, whatever it has made of what the work has raised
        ended = type(error).__name__
    found, raised = ray.get(answer.take.remote())
    if raised is not None:
        raise raised
    if not found:
        raise AutomlTlError(f"processes that trained together died and could not be replaced ({ended})")
    result: T = found[0]
    return result


def _trainer(group: Group, part: _Part) -> Any:
    """Return Ray Train's trainer of a group."""
    ray, train, torch = _modules()
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # relative paths are those of the driver's folder
    return torch.TorchTrainer(
        _take_part,
        train_loop_config={"part": part},
        torch_config=torch.TorchConfig(timeout_s=_PATIENCE),
        scaling_config=train.ScalingConfig(
            num_workers=group.processes, resources_per_worker=dict(group.each), use_gpu="GPU" in group.each
        ),
        run_config=train.RunConfig(
            name="ray",
            storage_path=str(group.folder.absolute()),
            failure_config=train.FailureConfig(RESTARTS, controller_failure_limit=WAITS),
            worker_runtime_env={"env_vars": _on_loopback(ray.util.get_node_ip_address())},
        ),
    )


def _take_part(config: Mapping[str, Any]) -> None:
    """Do the work in one process of the group."""
    ray, train, _ = _modules()
    tune_malloc()
    part: _Part = config["part"]
    if ray.get(part.answer.has_failed.remote()):
        return
    first = train.get_context().get_world_rank() == 0
    report = {} if part.report is None else {"report": part.report if first else _unheard}
    try:
        found = part.work(*part.args, **part.options, **report)
    except ConnectionError:
        raise
    except Exception as error:
        if not import_module("torch.distributed").is_initialized():
            raise ConnectionError("Ray Train has taken the group down, as it does when a process dies") from error
        ray.get(part.answer.fail.remote(error))
        raise
    if first:
        ray.get(part.answer.give.remote(found))


def _modules() -> tuple[Any, Any, Any]:
    """Return Ray's modules; their types are those of an earlier version of Ray Train."""
    return import_module("ray"), import_module("ray.train"), import_module("ray.train.torch")


def _on_loopback(address: str) -> dict[str, str]:
    """Return the settings with which gloo listens where a Ray of this machine alone does."""
    names = {"linux": "lo", "darwin": "lo0"}
    alone = address.startswith("127.") and sys.platform in names
    return {"GLOO_SOCKET_IFNAME": names[sys.platform]} if alone else {}


def _unheard(*values: Any) -> None:
    """Report nothing: what the first process reports counts."""
