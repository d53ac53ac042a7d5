"""The chosen candidates learn from every training picture, in the time that is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from automl_tl.errors import sentence
from automl_tl.searcher.delivery.members import Refitted, as_trained, refitted, with_second_round
from automl_tl.searcher.delivery.place import place_of
from automl_tl.searcher.trials.allotment import has_second_round, seconds_to_begin
from automl_tl.searcher.trials.allowance import Allowance
from automl_tl.searcher.trials.loop import Loop
from automl_tl.searcher.trials.outcome import Outcome

LEAST_EPOCHS = 2
"""Training goes on with more pictures only where there is time for so many epochs."""


def refit_chosen(loop: Loop, chosen: Sequence[Outcome]) -> tuple[list[Refitted], list[str]]:
    """Return the refitted candidates, without the best one's partner if that cannot be refitted; and notes.

    Args:
        loop: of the search that has ended.
        chosen: the best one first.
    """

    def refit(outcome: Outcome) -> Refitted:
        return _refit(loop, outcome)

    try:
        refits, notes = frozen_first(chosen, refit), []
    except Exception as error:  # whatever a plugin's code raises must not cost the best one its delivery
        if len(chosen) == 1:
            raise
        refits = [refit(chosen[0])]
        name = chosen[1].configuration.strategy
        notes = [f"{name} is not in the model, since its refit failed: {sentence(error)}"]
    return refits, notes + [one.note for one in refits if one.note]


def frozen_first(chosen: Sequence[Outcome], refit: Callable[[Outcome], Refitted]) -> list[Refitted]:
    """Refit each candidate; a frozen one before a trained one, which takes the time that is left."""
    order = sorted(range(len(chosen)), key=lambda i: chosen[i].configuration.is_trained)
    refits = {i: refit(chosen[i]) for i in order}
    return [refits[i] for i in range(len(chosen))]


def _refit(loop: Loop, outcome: Outcome) -> Refitted:
    """Refit a candidate on every training picture, as far as there is time."""
    task, l2, place = loop.task, loop.candidates.reference.l2, place_of(loop.session, loop.prepared)
    if not outcome.configuration.is_trained:
        return refitted(task, outcome, l2, place)
    partner_last = loop.allotment.partner_everything_seconds
    left = loop.allotment.left - partner_last
    epochs = _affordable(loop, outcome, left)
    if epochs == 0 or loop.interrupted:
        return as_trained(task, outcome, _not_refitted(loop, len(task.held_out(0))))
    seconds, memory = left if loop.session.deadline.is_set else None, loop.session.options.max_memory
    allowance = Allowance(seconds, memory, epochs=epochs)
    watch = loop.lab.monitor.learned
    first = refitted(task, outcome, l2, place, state=outcome.state, allowance=allowance, watch=watch)
    left = loop.allotment.left - partner_last - loop.allotment.everything_seconds(outcome.configuration)
    if epochs is not None or not _goes_on(loop, outcome, first, left):
        return first
    try:
        allowance = Allowance(left if loop.session.deadline.is_set else None, memory)
        return with_second_round(task, outcome, first, l2, place, allowance=allowance, watch=watch)
    except KeyboardInterrupt:  # the first round is whole
        loop.interrupted = True
        return first


def _goes_on(loop: Loop, outcome: Outcome, first: Refitted, left: float) -> bool:
    """Return whether a refit, which must be whole, goes on for a second round in the seconds that are left."""
    whole = first.is_refit and first.share == 1 and has_second_round(outcome.configuration)
    return whole and seconds_to_begin(loop.prepared.costs, outcome.configuration, loop.task.sample.n) <= left


def _not_refitted(loop: Loop, unseen: int) -> str:
    why = "The search was interrupted before the" if loop.interrupted else "There was no time for a"
    return f"{why} refit on every training picture, so the trained stages have not learned from {unseen} of them."


def _affordable(loop: Loop, outcome: Outcome, left: float) -> int | None:
    """Return None for the whole schedule, or the epochs for which training can go on, 0 for none."""
    how, costs, n = outcome.configuration.tuned, loop.prepared.costs, loop.task.sample.n
    if seconds_to_begin(costs, outcome.configuration, n) <= left:
        return None
    epochs = int(left / costs.seconds(outcome.configuration, n) * how.all_epochs)
    return epochs if epochs >= LEAST_EPOCHS else 0
