"""The trials of a search: on the sample that it begins with and, where that pays, on a larger one from half-way on."""

from __future__ import annotations

from dataclasses import replace

from automl_tl.errors import sentence
from automl_tl.searcher.beginning import begin_again
from automl_tl.searcher.growth import (
    Growth,
    affordable,
    carried,
    expected_growth,
    grown,
    half_way,
    is_carried_over,
)
from automl_tl.searcher.trials.loop import PAUSED, Loop
from automl_tl.spare_time import LateError


def try_candidates(loop: Loop) -> tuple[Loop, str]:
    """Run the trials; return the loop whose candidates can be delivered, and why the trials ended."""
    with loop.lab.clock("growth"):
        growth = expected_growth(loop.session, loop.prepared)
    begun = loop.session.folder.growing_to
    if begun is None and (growth is None or not growth.sizes):
        if growth is not None:
            _note(loop, f"The sample did not grow: {growth}, so the time went into trials.")
        return loop, _run(loop)
    loop.pauses = half_way(loop)
    stopped = PAUSED if begun else _run(loop)
    larger = None if loop.interrupted else _larger(loop, growth, begun)
    if larger is not None:
        return _go_on(loop, larger)
    if loop.interrupted:
        return loop, "it was interrupted"
    if begun:  # trials on the smaller sample would take the numbers of those on the larger one
        return loop, "there was no time to go on with the larger sample"
    loop.pauses = lambda: False
    return loop, _run(loop) if stopped == PAUSED else stopped


def _run(loop: Loop) -> str:
    with loop.lab.clock("trials"):
        return loop.run()


def _larger(loop: Loop, growth: Growth | None, begun: int | None) -> Loop | None:
    """Return the loop on a larger sample, of the size that an earlier session has begun, or None where it cannot be."""
    n, folder, why = loop.task.sample.n, loop.session.folder, growth or "as it had in the session before"
    try:
        size = affordable(loop, growth) if begun is None and growth is not None else begun
        prepared = None if size is None else grown(loop, size)
        if size is not None and prepared is not None:
            folder.keep_sample(n, growing_to=size)
            note = f"The sample grew from {n:,} to {size:,} training pictures, on which the model was chosen: {why}."
            return begin_again(loop, replace(prepared, notes=(*prepared.notes, note)), carried(loop).tried)
    except KeyboardInterrupt:
        loop.interrupted = True
        return None
    except LateError:
        pass
    except Exception as error:  # of a plugin's code, or of a full disk: it must not cost what is known
        _note(loop, f"The sample stayed as it was, since that of more pictures failed: {sentence(error)}")
        loop.interrupted |= loop.study.pictures != n  # the study has gone on, so nothing more can be tried on fewer
        return None
    _note(loop, f"The sample did not grow, since there was no time for more pictures, which would pay: {why}.")
    return None


def _go_on(smaller: Loop, larger: Loop) -> tuple[Loop, str]:
    """Run the trials on the larger sample; its candidates are delivered if the best of before were tried there."""
    stopped, n = _run(larger), larger.task.sample.n
    if is_carried_over(smaller, larger):
        larger.session.folder.keep_sample(n)
        return larger, stopped
    smaller.interrupted = larger.interrupted
    _note(
        smaller,
        f"On a larger sample, of {n:,} training pictures, no training could be finished, so the model was chosen on "
        f"{smaller.task.sample.n:,}: --resume goes on with the larger one.",
    )
    return smaller, stopped


def _note(loop: Loop, text: str) -> None:
    loop.prepared = replace(loop.prepared, notes=(*loop.prepared.notes, text))
