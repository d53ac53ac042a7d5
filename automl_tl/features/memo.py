"""Small results kept as JSON under the hash of what they depend on: domain profiles, measured speeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from automl_tl.features.store import digest
from automl_tl.foreign import LARGEST_JSON, is_a, parse_json, read_bytes
from automl_tl.logs import LOGGER
from automl_tl.output import whole
from automl_tl.wording import clean

T = TypeVar("T")


def unchanged(values: Any) -> Any:
    """Return JSON's values as they are."""
    return values


def remember(
    folder: Path,
    depends_on: Mapping[str, Any],
    compute: Callable[[], Any],
    read: Callable[[Any], T] = unchanged,
    *,
    most: int | None = None,
) -> T:
    """Return what `read` makes of `compute()`'s JSON-able result, from disk where it was computed before.

    Args:
        folder: where the results of this kind lie; made if absent.
        depends_on: everything that changes the result.
        compute: called when nothing, or something damaged, is kept. What cannot be kept is not.
        read: makes a value of JSON's; it raises KeyError, TypeError or ValueError for what `compute` never gives.
        most: results that are kept in the folder, the newest; default: all of them.
    """
    path = folder / f"{digest(depends_on)[:32]}.json"
    try:
        return _kept(path, read)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError):
        LOGGER.warning("'%s' in the cache is damaged and is computed again", clean(path))
    result = compute()
    with suppress(OSError):  # a read-only cache, a full disk: the result is there all the same
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"depends_on": depends_on, "result": result, "sha256": digest(result)}, default=str)
        if len(text) > LARGEST_JSON:  # what would not be read again
            return read(result)
        with whole(path) as new:
            new.write_text(text, encoding="utf-8")
        if most is not None:
            _forget_all_but(most, folder)
    return read(result)


def _forget_all_but(most: int, folder: Path) -> None:
    """Delete the oldest results of a folder; raises OSError where another process deletes them too."""
    oldest_first = sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    for file in oldest_first[:-most]:
        file.unlink(missing_ok=True)


def _kept(path: Path, read: Callable[[Any], T]) -> T:
    values = is_a(parse_json(read_bytes(path)), dict)
    result = values["result"]
    if values.get("sha256", digest(result)) != digest(result):  # entries from before there were checksums lack it
        raise ValueError("its checksum is another one")
    return read(result)
