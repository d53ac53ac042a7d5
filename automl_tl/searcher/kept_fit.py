"""How pictures become square in a run: chosen when it begins, and the same when it is gone on with."""

from __future__ import annotations

from dataclasses import replace

from automl_tl.lab.fit_choice import with_best_fit
from automl_tl.searcher.first_look import GETTING_READY_SHARE
from automl_tl.searcher.session import Session

SHARE = 0.08
"""Of the time that is left, for seeing pictures in another way: of a minute enough for 400, on two cores."""

PART = 0.5
"""Of the time for getting ready, after which it ends: backbones are loaded and timed after it."""


def with_kept_fit(session: Session) -> Session:
    """Return the session in which pictures become square as the run began with; a run that begins keeps its choice.

    One that an earlier version began goes on with what the sizes say.

    Raises:
        OptionError: what was kept is damaged.
    """
    folder, lab, deadline = session.folder, session.lab, session.deadline
    if session.options.resume and (kept := folder.fit) is not None:
        return replace(session, lab=lab.with_fit(*kept))
    if session.options.resume and folder.sample_size is not None:
        return session
    with lab.clock("features"):
        lab = with_best_fit(lab, SHARE * deadline.left, deadline.spare(GETTING_READY_SHARE).part(PART))
    folder.keep_fit(lab.report.fit, lab.report.fit_reason)
    return replace(session, lab=lab)
