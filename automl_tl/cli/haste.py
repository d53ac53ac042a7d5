"""`--fast`: by what a model is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_tl.cli.render import notice

if TYPE_CHECKING:
    from automl_tl.model.model import Model
    from automl_tl.model.predict import Scorer


def chosen_scorer(model: Model, *, fast: bool) -> Scorer:
    """Return the model, or the fastest way to its answers, and say which that is."""
    if not fast:
        return model
    from automl_tl.model.fast import fast as fastest

    found = fastest(model)
    notice(f"Computing by {found.how}.")
    return found
