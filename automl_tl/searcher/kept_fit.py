"""How pictures become square in a run: chosen when it begins, and the same when it is gone on with."""

from __future__ import annotations

from dataclasses import replace

from automl_tl.lab.fit_choice import with_best_fit
from automl_tl.searcher.first_look import GETTING_READY_SHARE
from automl_tl.searcher.session import Session

SHARE = 0.08
"""Of the budget, for seeing pictures in another way: 400 of them in a minute, on two cores."""


def with_kept_fit(session: Session) -> Session:
    """Return the session in which pictures become square as the run began with; a run that begins keeps its choice.

    One that an earlier version began goes on with what the sizes say.

    Raises:
        OptionError: what was kept is damaged.
    """
    folder, lab, deadline = session.folder, session.lab, session.deadline
    if session.options.resume and folder.sample_size is not None:
        kept = folder.fit
        return session if kept is None else replace(session, lab=lab.with_fit(*kept))
    with lab.clock("features"):
        seconds = SHARE * deadline.left
        lab = with_best_fit(lab, seconds, deadline.spare(GETTING_READY_SHARE))
    folder.keep_fit(lab.report.fit, lab.report.fit_reason)
    return replace(session, lab=lab)
