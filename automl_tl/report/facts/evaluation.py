"""An evaluation in named facts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from automl_tl.model.evaluation import ECE_BINS, Evaluation
from automl_tl.wording import label_text, plural


def about_evaluation(result: Evaluation) -> Iterator[tuple[str, str]]:
    """Yield how good a model is."""
    n_classes = sum(one.n > 0 for one in result.per_class)
    known = len(result.classes)
    yield (
        "pictures",
        f"{result.n:,} of {n_classes:,} of the {known:,} classes"
        if n_classes < known
        else (f"{result.n:,} in {plural(known, 'class', 'classes')}"),
    )
    yield "accuracy", f"{result.accuracy:.1%} ({int(np.trace(result.confusion)):,} right)"
    if (constant := result.majority) is not None:
        yield "constant answer", f"{constant.accuracy:.1%} by always answering {label_text(constant.label)}"
    yield "balanced accuracy", f"{result.balanced_accuracy:.1%} (every class counts the same)"
    yield "macro F1", f"{result.macro_f1:.3f}"
    yield "log loss", f"{result.log_loss:.3f} nats"
    yield "calibration error", f"{result.ece:.3f} (ECE, {ECE_BINS} bins: confidence and accuracy are so far apart)"
