"""References from somebody else: read, or named and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save as save_numpy

from automl_tl.domain import kernel
from automl_tl.domain.reference import DomainReference, load_reference, save_reference
from automl_tl.errors import DomainReferenceError

DEEP = "[" * 100_000


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    maps = np.zeros((2, 2 * kernel.N_FREQUENCIES), np.float16)
    known = DomainReference(
        "source",
        "tiny",
        "w",
        32,
        (0.5, 0.5, 0.5),
        (0.5, 0.5, 0.5),
        60,
        (1.0, 1.0),
        (0.5, 0.5),
        0.1,
        {"grey": 0.2},
        maps,
    )
    save_reference(known, tmp_path / "tiny.safetensors")
    load_reference(tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


REFERENCES: dict[str, dict[str, Any]] = {
    "an unknown field": {"evil": 1, "bandwidths": []},
    "no stages": {"bandwidths": [], "self_similarities": []},
    "a bandwidth of nothing": {"bandwidths": [0, 1]},
    "a text for a number": {"null": "x"},
    "infinity": {"null": float("inf")},
    "a number for a name": {"name": 7},
    "a mean of two": {"mean": [1, 2]},
    "no object of distances": {"degraded": [1]},
    "more stages than maps": {"bandwidths": [1] * 9, "self_similarities": [1] * 9},
    "an older format": {"format_version": 0},
    "a hostile version": {"format_version": "\x1b[2J" + "9" * 1000},
}


@pytest.mark.parametrize("kind", REFERENCES)
def test_a_reference_that_is_none_is_named(reference: Path, kind: str) -> None:
    values = {
        "format_version": 1, "name": "source", "backbone": "tiny", "weights": "w", "input_size": 32,
        "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "n_pictures": 60, "bandwidths": [1, 1],
        "self_similarities": [0.5, 0.5], "null": 0.1, "degraded": {"grey": 0.2}, **REFERENCES[kind],
    }  # fmt: skip
    maps = np.zeros((2, 2 * kernel.N_FREQUENCIES), np.float16)
    reference.write_bytes(save_numpy({"maps": maps}, {"reference": json.dumps(values)}))
    assert_refused(reference)


@pytest.mark.parametrize(
    "maps", [np.zeros((2, 5), np.float16), np.zeros((2, 4096), np.int64), np.full((2, 4096), np.nan, np.float16)]
)
def test_maps_that_are_none(reference: Path, maps: np.ndarray) -> None:
    from safetensors import safe_open

    with safe_open(reference, "numpy") as file:
        said = file.metadata()
    reference.write_bytes(save_numpy({"maps": maps}, said))
    assert_refused(reference)


@pytest.mark.parametrize("text", [DEEP, "[]", "1", "{}"])
def test_metadata_that_say_no_reference(reference: Path, text: str) -> None:
    reference.write_bytes(save_numpy({"maps": np.zeros((2, 4096), np.float16)}, {"reference": text}))
    assert_refused(reference)


def test_a_reference_larger_than_any(reference: Path) -> None:
    with reference.open("ab") as file:
        file.truncate(2**30)  # of zeros that take no room
    assert "1,073,741,824 bytes" in assert_refused(reference)


def assert_refused(reference: Path) -> str:
    with pytest.raises(DomainReferenceError) as caught:
        load_reference(reference)
    text = str(caught.value)
    assert reference.name in text
    assert text.endswith("build it again")
    assert len(text) < 700
    assert text.isprintable()
    return text
