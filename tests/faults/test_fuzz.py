"""Any bytes give a value or the project's own error: the readers of bundles, tables, references, runs and pictures."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from generated_pictures import picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from resealing import reseal
from tiny_models import CLASSES, member

from automl_tl.data.cells import read_columns, read_header
from automl_tl.data.decode import FORMATS, read_rgb
from automl_tl.domain.reference import load_reference
from automl_tl.errors import AutomlTlError
from automl_tl.features.memo import remember
from automl_tl.foreign import parse_json
from automl_tl.model.bundle import load_bundle, save_bundle
from automl_tl.model.model import Model
from automl_tl.report.page import render
from automl_tl.report.run import run_page
from automl_tl.reviewer.run import open_run
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.trials.journal import open_storage
from automl_tl.searcher.trials.outcome_file import read_outcome

FEW, MANY = 25, 1000
SHORT = settings(
    max_examples=FEW, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
LONG = settings(SHORT, max_examples=MANY)
Read = Callable[[Path, bytes], object]


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """Return bytes like `whole`, with some of them changed, cut off, or put in."""
    change = st.tuples(st.integers(0, len(whole)), st.integers(0, 40), st.binary(max_size=40))

    def changed(changes: list[tuple[int, int, bytes]]) -> bytes:
        content = whole
        for place, cut, put in changes:
            content = content[:place] + put + content[place + cut :]
        return content

    return st.lists(change, min_size=1, max_size=4).map(changed)


def value_or_error(read: Callable[[], object]) -> None:
    """Run `read`: any exception that is not the project's own is the test's failure."""
    try:
        read()
    except AutomlTlError as error:
        text = str(error)
        assert text
        assert "\x1b" not in text


def pictures() -> list[bytes]:
    found = []
    for form in sorted({*FORMATS} - {"IM"}):  # which Pillow will read for a while and writes with a warning
        buffer = io.BytesIO()
        try:
            picture(0, 0, (24, 24)).convert("1" if form in ("XBM", "MSP") else "RGB").save(buffer, form)
        except (OSError, KeyError, ValueError):  # formats that Pillow only reads
            continue
        found.append(buffer.getvalue())
    return found


PICTURES = pictures()
TABLE = "path,label,split\nimg/0.png,é,train\n\"a,b\",x,\r\nimg/1.png;,'y',val\n".encode()
JOURNAL = b'{"op_code": 0, "worker_id": "x", "study_name": "x", "directions": [2]}\n{"op_code": 4, "study_id": 0}\n'


def parquet() -> bytes:
    import pandas as pd

    buffer = io.BytesIO()
    pd.DataFrame({"path": ["a.png", "b.png"], "label": ["x", "y"]}).to_parquet(buffer)
    return buffer.getvalue()


def read_table(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    value_or_error(lambda: read_columns(path, range(len(read_header(path)))))


def check_picture(content: bytes) -> None:
    value_or_error(lambda: read_rgb(content))


def check_table(folder: Path, content: bytes) -> None:
    for name in ("t.csv", "t.tsv", "t.parquet"):
        read_table(folder / name, content)


def check_reference(folder: Path, content: bytes) -> None:
    (folder / "r.safetensors").write_bytes(content)
    value_or_error(lambda: load_reference(folder / "r.safetensors"))
    assert read_outcome(folder / "r.safetensors") is None


def check_run(folder: Path, content: bytes) -> None:
    for name in ("run.json", "space.json", "sample.json", "fit.json", "result.json"):
        (folder / name).write_bytes(content)
    run = RunFolder(folder)
    value_or_error(lambda: run.check(resume=True))
    value_or_error(lambda: run.delivered())
    value_or_error(lambda: run.sample_size)
    value_or_error(lambda: run.fit)
    value_or_error(lambda: render(run_page(open_run(folder), "no pictures")))
    run.journal.write_bytes(content)
    value_or_error(lambda: open_storage(run.journal))


def check_memo(folder: Path, content: bytes) -> None:
    remember(folder, {"a": 1}, lambda: [1.5], list)
    for file in folder.glob("*.json"):
        file.write_bytes(content)
    assert isinstance(remember(folder, {"a": 1}, lambda: [1.5], list), list)


# --- the quick ones, and the same with many more examples -------------------------------------------

reference_file = Path(__file__).parents[2] / "datasets_meta" / "references" / "efficientnet_lite0.safetensors"
HEADER = reference_file.read_bytes()[:2000]
JSON = json.dumps({"n": 3, "n_stages": {"tiny": 3}, "result": [1.0], "members": [{"how": {}}]}).encode()

CASES: dict[str, tuple[Any, Callable[[Path, bytes], None]]] = {
    "pictures": (st.sampled_from(PICTURES).flatmap(damaged), lambda folder, content: check_picture(content)),
    "tables": (st.binary(max_size=300) | damaged(TABLE) | damaged(parquet()), check_table),
    "references": (st.binary(max_size=100) | damaged(HEADER), check_reference),
    "runs": (st.binary(max_size=100) | damaged(JSON) | damaged(JOURNAL), check_run),
    "results in the cache": (st.binary(max_size=100) | damaged(JSON), check_memo),
}


@pytest.mark.parametrize("kind", CASES)
def test_any_bytes(kind: str, tmp_path: Path) -> None:
    _fuzz(kind, tmp_path, SHORT)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASES)
def test_many_more_bytes(kind: str, tmp_path: Path) -> None:
    _fuzz(kind, tmp_path, LONG)


def _fuzz(kind: str, folder: Path, how: settings) -> None:
    examples, check = CASES[kind]

    @how
    @given(examples)
    def run(content: bytes) -> None:
        check(folder, content)

    run()


# --- bundles, whose checksums fit -------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where anything lies in JSON's values: the keys and numbers that lead to it."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inside for place in places(one, (*path, key)))]


def put(values: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return `values` with `new` at a place."""
    if not path:
        return new
    copy = dict(values) if isinstance(values, dict) else list(values)
    copy[path[0]] = put(copy[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize("how", [SHORT, pytest.param(LONG, marks=pytest.mark.slow)], ids=["few", "many"])
def test_any_value_anywhere_in_a_manifest(tmp_path: Path, how: settings) -> None:
    bundle = save_bundle(Model((member(),), CLASSES, 1.0, "squash"), tmp_path / "bundle")
    whole = json.loads((bundle / "bundle.json").read_text())

    @how
    @given(st.sampled_from(places(whole)), VALUES)
    def run(place: tuple[Any, ...], new: Any) -> None:
        (bundle / "bundle.json").write_text(json.dumps(put(whole, place, new)))
        reseal(bundle)
        value_or_error(lambda: load_bundle(bundle, "cpu"))

    run()


@pytest.mark.parametrize("how", [SHORT, pytest.param(LONG, marks=pytest.mark.slow)], ids=["few", "many"])
@pytest.mark.parametrize("name", ["bundle.json", "model.safetensors", "SHA256SUMS"])
def test_any_bytes_in_a_file_of_a_bundle(tmp_path: Path, name: str, how: settings) -> None:
    bundle = save_bundle(Model((member(),), CLASSES, 1.0, "squash"), tmp_path / "bundle")
    whole = {file: (bundle / file).read_bytes() for file in ("bundle.json", "model.safetensors", "SHA256SUMS")}
    head = whole[name][:3000]

    @how
    @given(damaged(head), st.booleans())
    def run(content: bytes, sealed: bool) -> None:
        for file, sound in whole.items():
            (bundle / file).write_bytes(sound)
        (bundle / name).write_bytes(content + whole[name][len(head) :])
        if sealed and name != "SHA256SUMS":
            reseal(bundle)
        value_or_error(lambda: load_bundle(bundle, "cpu"))

    run()


@SHORT
@given(VALUES)
def test_json_is_what_was_written(value: Any) -> None:
    assert json.dumps(parse_json(json.dumps(value))) == json.dumps(value)


def test_the_fuzz_begins_from_many_formats() -> None:
    assert len(PICTURES) >= 12
    assert all(isinstance(read_rgb(one), Image.Image) for one in PICTURES)
