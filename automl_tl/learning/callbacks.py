"""What watches a training run: small callbacks, each with the hooks that it needs (as skorch's are)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from automl_tl.memory import check_memory
from automl_tl.monitor import Epoch

if TYPE_CHECKING:
    from automl_tl.learning.state import State
    from automl_tl.learning.tunable import Tunable


class Callback:
    """The hooks of a training run; each does nothing unless it is overridden, and what it raises ends the run.

    Those that look at epochs alone can stand on either side of the seam for work: where a run is trained, or where
    it is driven from and its epochs are reported to.
    """

    def on_train_begin(self, tunable: Tunable) -> None:
        """Called once, before the first epoch."""

    def on_state(self, state: State) -> None:
        """Called once after that, with what changes; where it is put back to what it was, the run goes on from there.

        The epochs of before are then told again, so that whoever watches knows all of them.
        """

    def on_epoch_end(self, epoch: Epoch) -> Epoch:
        """Called after every epoch, in the order of the callbacks; the next one gets what is returned."""
        return epoch

    def on_train_end(self) -> None:
        """Called once, after the last epoch, however the run has ended."""

    def spent(self) -> float:
        """Return the share of what the run may take that is used up: at 1 it ends, its rates follow before."""
        return 0.0


class Deadline(Callback):
    """Ends a run in time, with small rates: its schedule follows the clock where the steps fall behind.

    Args:
        seconds: from now to the end; what is built before the first epoch counts.
    """

    def __init__(self, seconds: float) -> None:
        self.ends = time.perf_counter() + seconds
        self.begun = time.perf_counter()

    def on_train_begin(self, tunable: Tunable) -> None:
        """Begin to count."""
        self.begun = time.perf_counter()

    def spent(self) -> float:
        """Return the share of the time since the first epoch began."""
        return (time.perf_counter() - self.begun) / max(self.ends - self.begun, 1e-9)


class Memory(Callback):
    """Ends a run whose process holds more than so many bytes."""

    def __init__(self, most: int) -> None:
        self.most = most

    def on_epoch_end(self, epoch: Epoch) -> Epoch:
        """Raise AutomlTlError where it is more."""
        check_memory(self.most)
        return epoch


class Validation(Callback):
    """Scores a run after each of so many parts of its schedule, the last excepted: its end is scored in any case.

    Args:
        score: of the network in eval mode, on pictures that are not learned from.
        parts: of the schedule.
    """

    def __init__(self, score: Callable[[Tunable], float], parts: int) -> None:
        self.score, self.parts, self.done = score, parts, 0

    def on_train_begin(self, tunable: Tunable) -> None:
        """Remember what is trained."""
        self.tunable = tunable

    def on_epoch_end(self, epoch: Epoch) -> Epoch:
        """Return the epoch with its score, at the end of a part."""
        part = part_of(epoch, self.parts)
        if not self.done < part < self.parts:
            return epoch
        self.done = part
        self.tunable.eval()
        return replace(epoch, score=self.score(self.tunable))


class Pruning(Callback):
    """Asks, whenever a run was scored, whether it is worth going on.

    Args:
        ask: called with the part of the schedule that is done, from 1, and the score; it raises what ends the run.
        parts: of the schedule.
    """

    def __init__(self, ask: Callable[[int, float], None], parts: int) -> None:
        self.ask, self.parts = ask, parts

    def on_epoch_end(self, epoch: Epoch) -> Epoch:
        """Ask."""
        if epoch.score is not None:
            self.ask(part_of(epoch, self.parts), epoch.score)
        return epoch


class Progress(Callback):
    """Tells whoever watches of every epoch."""

    def __init__(self, tell: Callable[[Epoch], None]) -> None:
        self.tell = tell

    def on_epoch_end(self, epoch: Epoch) -> Epoch:
        """Tell."""
        self.tell(epoch)
        return epoch


class History(Callback):
    """Keeps every epoch."""

    def __init__(self) -> None:
        self.epochs: list[Epoch] = []

    def on_epoch_end(self, epoch: Epoch) -> Epoch:
        """Keep it."""
        self.epochs.append(epoch)
        return epoch


def part_of(epoch: Epoch, parts: int) -> int:
    """Return how many of `parts` equal parts of the schedule are done.

    >>> [part_of(Epoch(n, 10, n / 10, loss=1.0, rate=0.1, seconds=1.0), 4) for n in (2, 3, 5, 10)]
    [0, 1, 2, 4]
    >>> part_of(Epoch(29, 100, 29 / 100, loss=1.0, rate=0.1, seconds=1.0), 100)  # 100 * .29 is a little less
    29
    """
    return min(int(parts * epoch.progress + 1e-9), parts)
