"""Features of the sample's pictures, one backbone after the other."""

from __future__ import annotations

from collections.abc import Sequence

from automl_tl.errors import BackboneError
from automl_tl.features.extract import Features
from automl_tl.features.picture import Picture
from automl_tl.lab.considered import without_broken
from automl_tl.lab.lab import Lab
from automl_tl.spare_time import UNLIMITED, SpareTime


def extract_each(
    lab: Lab, names: Sequence[str], pictures: Sequence[Picture], spare: SpareTime = UNLIMITED
) -> tuple[dict[str, Features], tuple[str, ...]]:
    """Return the features by backbone, and a note for each backbone that failed on these pictures and is left out.

    What was computed is kept, also where there is no time for all of it.

    Raises:
        BackboneError: a backbone that the user named fails; any one in strict mode.
        DataError: a picture cannot be read any more.
        LateError: `spare` is over before all are computed.
    """

    def features_of(name: str) -> Features:
        with lab.monitor.activity(f"Features of {name}") as update:
            return lab.features(name, pictures, progress=spare.counting(update))

    return without_broken(lab.networks, names, features_of)


def extract_all(
    lab: Lab, names: Sequence[str], pictures: Sequence[Picture], spare: SpareTime = UNLIMITED
) -> tuple[dict[str, Features], tuple[str, ...]]:
    """Return what `extract_each` does, of at least one backbone; raises BackboneError where none is left."""
    features, notes = extract_each(lab, names, pictures, spare)
    if not features:
        raise BackboneError(f"no backbone could compute features of these pictures: {'; '.join(notes)}")
    return features, notes
