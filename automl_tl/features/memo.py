"""Small results kept as JSON under the hash of what they depend on: domain profiles, measured speeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from automl_tl.features.store import digest
from automl_tl.output import whole


def remember(folder: Path, depends_on: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
    """Return `compute()`'s JSON-able result, from disk where it was computed before.

    Args:
        folder: where the results of this kind lie; made if absent.
        depends_on: everything that changes the result.
        compute: called when nothing, or something damaged, is kept. What cannot be kept is not.
    """
    path = folder / f"{digest(depends_on)[:32]}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))["result"]
    except (OSError, ValueError, KeyError, TypeError):
        result = compute()
    with suppress(OSError):  # a read-only cache, a full disk: the result is there all the same
        folder.mkdir(parents=True, exist_ok=True)
        with whole(path) as new:
            new.write_text(json.dumps({"depends_on": depends_on, "result": result}, default=str), encoding="utf-8")
    return result
