"""Work on Ray, the cores or GPUs of one machine or of many; imported where --ray is given, and nowhere else."""

from __future__ import annotations

import itertools
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from automl_tl.cluster_clock import Countdown
from automl_tl.cluster_group import Group, do_together
from automl_tl.cluster_join import joined
from automl_tl.errors import AutomlTlError, OptionError, ShortageError
from automl_tl.memory import tune_malloc

T = TypeVar("T")
CORES = 4
"""Of each worker on CPUs, where no number of workers is given and a machine has as many."""
LEAST_SHARE = 0.01
"""Of a core that a worker may have."""
_HEARD_EVERY = 0.2
"""Seconds between two looks at what is reported."""
_KEPT = 16
"""Arguments that stay in Ray's memory: what every trial is given, the task above all, is sent once."""


class RayExecutor:
    """Does work in Ray's processes, each with its share of the cores, or with a GPU; see `work.Executor`.

    What a process did that died is done once more, elsewhere.

    Args:
        address: "local" starts a Ray of this machine that nobody else can use, "auto" joins the one that runs here or
            that RAY_ADDRESS names, "ray://HOST:PORT" joins one from outside.
        workers: default: one per GPU, or one per four cores.
        device: "cuda" gives each worker a GPU.

    Raises:
        OptionError: nothing to join, or fewer GPUs than workers.
    """

    def __init__(self, address: str, workers: int | None, device: str) -> None:
        if device.startswith("cuda:"):
            raise OptionError(f"--ray shares out the GPUs itself: give --device cuda in place of {device}")
        self._ray = joined(address)
        self._workers, self._gpus = workers, int(device == "cuda")
        self.cores = self._share(workers)
        """Of each worker; below 1 where several share a core."""
        self._mailbox = self._ray.remote(_Mailbox).options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote()
        needs = {"num_cpus": self.cores, "num_gpus": self._gpus, "max_retries": 1}
        self._work = self._ray.remote(_work).options(**needs)
        self._starting = self._ray.remote(_work).options(num_cpus=0, max_retries=1)
        self._numbers = itertools.count()
        self._sent: OrderedDict[int, tuple[Any, Any]] = OrderedDict()
        self._sending = threading.Lock()
        self._running: set[Any] = set()
        self._loading = [self._ray.remote(_load).options(**needs).remote() for _ in range(self.n_workers)]
        """Not waited for: workers load what they need while the driver is busy, else the first pictures seem slow."""

    def __str__(self) -> str:
        each = "a GPU" if self._gpus else f"{self.cores:.2g} cores"
        return f"Ray: {self.n_workers} workers with {each} each, on {len(self._nodes())} machines"

    @property
    def n_workers(self) -> int:
        """As many as were asked for, else as there is room for now: machines come and go."""
        return self._workers or max(1, self._room(self.cores))

    @property
    def per_machine(self) -> int:
        """As many as the largest machine has room for now."""
        return max(1, min(self.n_workers, max(self._rooms(self.cores), default=1)))

    def submit(
        self, work: Callable[..., T], /, *args: Any, report: Callable[..., None] | None = None, **options: Any
    ) -> Future[T]:
        """Send the work to whoever is free; see `Executor`."""
        return self._send(self._work, work, args, options, report)

    def together(
        self, work: Callable[..., T], /, *args: Any, processes: int, folder: Path,
        report: Callable[..., None] | None = None, **options: Any,
    ) -> Future[T]:  # fmt: skip
        """Have Ray Train start the processes, no more than there is room for now; see `Executor`."""
        each = {"CPU": self.cores, "GPU": self._gpus} if self._gpus else {"CPU": self.cores}
        group = Group(min(processes, max(1, self._room(self.cores))), each, folder)
        return self._send(self._starting, do_together, (group, work, options, *args), {}, report)

    def countdown(self, seconds: float) -> Callable[[], float]:
        """Count down by a clock on the driver's machine; see `Executor`."""
        return Countdown.of(seconds)

    def _send(
        self, how: Any, work: Callable[..., T], args: Sequence[Any], options: dict[str, Any],
        report: Callable[..., None] | None,
    ) -> Future[T]:  # fmt: skip
        number = next(self._numbers)
        mailbox = None if report is None else self._mailbox
        result = how.remote(mailbox, number, work, options, *map(self._shared, args))
        self._running.add(result)
        return _Awaited(lambda: self._await(result, number, report))

    def cancel(self) -> None:
        """Kill the processes that work; see `Executor`."""
        for result in tuple(self._running):
            self._ray.cancel(result, force=True)

    def _await(self, result: Any, number: int, report: Callable[..., None] | None) -> Any:
        """Return a result; what is reported before it is heard here."""
        from ray.exceptions import OutOfMemoryError, RayError, RayTaskError, TaskCancelledError

        try:
            if report is not None:
                self._hear(result, number, report)
            return self._ray.get(result)
        except KeyboardInterrupt:  # of whoever waits here: nobody else would end it
            self._ray.cancel(result, force=True)
            raise
        except TaskCancelledError:
            raise CancelledError from None
        except OutOfMemoryError as error:
            raise ShortageError("the machine that it ran on had no memory left") from error
        except RayTaskError as error:
            raise error.cause from None
        except RayError as error:
            raise AutomlTlError(f"two processes that did it died ({type(error).__name__})") from error
        finally:
            self._running.discard(result)

    def _hear(self, result: Any, number: int, report: Callable[..., None]) -> None:
        """Call `report` with what the work reports, each once, though it may have begun twice; return at its end."""
        heard, ended = 0, False
        try:
            while not ended:
                ended = bool(self._ray.wait([result], timeout=_HEARD_EVERY)[0])
                for place, values in sorted(self._ray.get(self._mailbox.take.remote(number)).items()):
                    if place >= heard:  # letters of a mailbox that has died are lost, not those after them
                        heard = place + 1
                        report(*values)
        finally:
            self._mailbox.close.remote(number)

    def _shared(self, value: Any) -> Any:
        """Return a reference to what may be sent again; anything else as it is."""
        if not is_dataclass(value):
            return value
        with self._sending:  # several threads submit
            kept = self._sent.get(id(value)) or (value, self._ray.put(value))
            self._sent[id(value)] = kept  # with the value itself, so that its id stays its own
            self._sent.move_to_end(id(value))
            while len(self._sent) > _KEPT:
                self._sent.popitem(last=False)
        return kept[1]

    def _nodes(self) -> list[tuple[float, float]]:
        """Return the cores and GPUs of each machine that is there."""
        resources = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return [(float(one.get("CPU", 0)), float(one.get("GPU", 0))) for one in resources]

    def _share(self, workers: int | None) -> float:
        """Return the cores of each worker: the most of which all have room."""
        nodes = self._nodes()
        if self._gpus:
            seen = sum(int(gpus) for _, gpus in nodes)
            if seen < (workers or 1):
                raise OptionError(f"--workers {workers or 1} with a GPU each, but Ray sees {seen} GPUs")
            workers = workers or seen
        workers = workers or sum(max(1, int(cores / CORES)) for cores, _ in nodes)
        shares = {cores / parts for cores, _ in nodes for parts in range(1, workers + 1)}
        fair = max((share for share in shares if share and self._room(share) >= workers), default=1.0)
        if fair < LEAST_SHARE:
            most = sum(int(cores / LEAST_SHARE) for cores, _ in nodes)
            raise OptionError(f"--workers {workers} are more than the {most} that share the cores Ray sees")
        return math.floor(fair) if fair >= 1 else math.floor(100 * fair) / 100

    def _room(self, cores: float) -> int:
        """Return how many workers with so many cores there is room for."""
        return sum(self._rooms(cores))

    def _rooms(self, cores: float) -> list[int]:
        """Return the same of each machine."""
        return [int(min(has / cores + 1e-9, gpus if self._gpus else math.inf)) for has, gpus in self._nodes()]


class _Awaited(Future[T]):
    """A result that comes when it is waited for, in the thread that waits."""

    def __init__(self, come: Callable[[], T]) -> None:
        super().__init__()
        self._come: Callable[[], T] | None = come

    def result(self, timeout: float | None = None) -> T:
        """Wait for it."""
        come, self._come = self._come, None
        if come is not None:
            try:
                self.set_result(come())
            except Exception as error:
                self.set_exception(error)
        return super().result(timeout)


class _Mailbox:
    """What work reports on its way to whoever waits for it: an actor, in a process of its own."""

    def __init__(self) -> None:
        self._letters: dict[int, dict[int, tuple[Any, ...]]] = {}
        self._closed: set[int] = set()

    def put(self, number: int, place: int, values: tuple[Any, ...]) -> bool:
        """Keep the `place`-th report of a piece of work; return whether anybody waits for more."""
        if number not in self._closed:
            self._letters.setdefault(number, {})[place] = values
        return number not in self._closed

    def take(self, number: int) -> dict[int, tuple[Any, ...]]:
        """Return what has been reported since the last time."""
        return self._letters.pop(number, {})

    def close(self, number: int) -> None:
        """Take no more."""
        self._closed.add(number)
        self._letters.pop(number, None)


def _load() -> None:
    """Load torch and what is called first, in a process of Ray's."""
    import_module("automl_tl.features.extract")


def _work(mailbox: Any, number: int, work: Callable[..., T], options: dict[str, Any], *args: Any) -> T:
    """Do a piece of work in a process of Ray's."""
    tune_malloc()
    report = {} if mailbox is None else {"report": _Report(mailbox, number)}
    return work(*args, **options, **report)


@dataclass
class _Report:
    """What work reports with; it can travel on to other processes."""

    mailbox: Any
    number: int
    place: int = 0

    def __call__(self, *values: Any) -> None:
        import ray

        if not ray.get(self.mailbox.put.remote(self.number, self.place, values)):
            raise CancelledError
        self.place += 1
