"""Who follows a trial while it is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from automl_tl.learning.callbacks import Callback, Progress, Pruning
from automl_tl.monitor import Epoch

QUARTERS = 4
"""Parts of the first fold's schedule after which a trial reports; further folds report once."""
Report = Callable[[int, float], None]
Watch = Callable[[Epoch], None]


@dataclass(frozen=True)
class Observer:
    """Who follows a trial, on this side of the executor."""

    watch: Watch | None = None
    """Told of every epoch."""
    report: Report | None = None
    """Called with (step, estimated metric) after each of the parts of the first fold's schedule but the last, then
    after every fold; what it raises ends the trial."""
    parts: int = QUARTERS

    def of_fold(self, fold: int) -> Watch | None:
        """Return what is called here with every epoch of a fold, wherever it is trained, or None where nobody is."""
        here: list[Callback] = [] if self.watch is None else [Progress(self.watch)]
        here += [Pruning(self.report, self.parts)] if self.report is not None and fold == 0 else []

        def tell(epoch: Epoch) -> None:
            for callback in here:
                callback.on_epoch_end(epoch)

        return tell if here else None


NOBODY = Observer()
