"""References, runs, caches, tables and archives from somebody else: read, or named and refused."""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forms_of_data import write_zip
from generated_pictures import picture, write_pictures
from safetensors.numpy import save as save_numpy
from safetensors.torch import save_file

from automl_tl.data.dataset import open_dataset
from automl_tl.data.measure import MEASURED
from automl_tl.data.measurements import MeasurementStore
from automl_tl.domain import kernel
from automl_tl.domain.reference import DomainReference, load_reference, save_reference
from automl_tl.errors import DataError, DomainReferenceError, OptionError
from automl_tl.features.memo import remember
from automl_tl.learning.configuration import Configuration, Frozen
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.searcher.same_run import option_change
from automl_tl.searcher.space.search_space import Space
from automl_tl.searcher.trials.journal import open_storage
from automl_tl.searcher.trials.outcome import Outcome
from automl_tl.searcher.trials.outcome_file import read_outcome, write_outcome

RIDGE = Configuration("frozen", "tiny", 3, (3,), "mean", Frozen("ridge", 1.0))
SPACE = Space({"tiny": 3}, {}, {})
DEEP = "[" * 100_000

# --- references -------------------------------------------------------------------------------------


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


# --- runs -------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    path = tmp_path / "run"
    path.mkdir()
    folder = RunFolder(path)
    folder.begin({"seed": 0}, {})
    return folder


@pytest.mark.parametrize(
    "name", ["study.journal", "leaderboard.csv", "bundle", "trials", "scratch", ".lock", "run.json", "notes"]
)
@pytest.mark.parametrize("resume", [True, False])
def test_a_run_folder_with_links_is_not_written_through(
    run: RunFolder, tmp_path: Path, name: str, resume: bool
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (run.path / name).unlink(missing_ok=True)
    (run.path / name).symlink_to(victim)
    with pytest.raises(OptionError, match=f"holds a link, '{name}'"):
        run.check(resume=resume)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("text", [DEEP, "[1]", "null", '{"a":' * 100 + "1" + "}" * 100, '"x"', "\ud800"])
@pytest.mark.parametrize("name", ["run.json", "sample.json", "result.json", "pictures.json"])
def test_damaged_notes_of_a_run_are_as_none(run: RunFolder, name: str, text: str) -> None:
    (run.path / name).write_text(text, encoding="utf-8", errors="surrogatepass")
    assert run.read_json(name) is None
    assert run.sample_size is None
    if name == "run.json":
        with pytest.raises(OptionError, match="holds no run to resume"):
            run.check(resume=True)


@pytest.mark.parametrize("values", [{}, {"n_stages": 1}, {"n_stages": {}, "grids": {}, "maps": {}, "x": 1}, [], DEEP])
def test_a_damaged_space_is_named(run: RunFolder, values: Any) -> None:
    text = values if isinstance(values, str) else json.dumps(values)
    (run.path / "space.json").write_text(text)
    with pytest.raises(OptionError, match=r"space\.json of the run in .* is damaged"):
        run.space(SPACE)


@pytest.mark.parametrize("n", [-1, 0, 1.5, "many", None, [3], True])
def test_a_sample_of_a_senseless_size_is_none(run: RunFolder, n: object) -> None:
    (run.path / "sample.json").write_text(json.dumps({"n": n}))
    assert run.sample_size is None


@pytest.mark.parametrize("before", [None, "x", [], [1], {"a": 1}, 7])
def test_options_of_a_strange_shape_are_described_all_the_same(before: object) -> None:
    assert option_change("inputs", before, [[], None, None, 224])


JOURNALS = {
    "a line of rubbish before others": b'{"op_code": 0}\nrubbish\n{"op_code": 0}\n',
    "an unknown operation": b'{"op_code": 99, "worker_id": "x"}\n',
    "no object": b"[]\n[]\n",
    "depth": DEEP.encode() + b"\n1\n",
    "bytes": b"\xff\xfe\x00\n\x00\n",
}


@pytest.mark.parametrize("kind", JOURNALS)
def test_a_damaged_journal_is_named_and_left_as_it_is(run: RunFolder, kind: str) -> None:
    run.journal.write_bytes(JOURNALS[kind])
    with pytest.raises(OptionError, match=r"study\.journal' is damaged, so this run cannot be resumed"):
        open_storage(run.journal)
    assert run.journal.read_bytes() == JOURNALS[kind]


OUTCOMES: dict[str, Callable[[dict[str, Any], dict[str, torch.Tensor]], object]] = {
    "facts that are deep": lambda facts, tensors: facts.update(value=json.loads("[" * 90 + "]" * 90)),
    "a value that is a text": lambda facts, tensors: facts.update(value="0.9"),
    "no configuration": lambda facts, tensors: facts.update(configuration=None),
    "an unknown recipe": lambda facts, tensors: facts["configuration"].update(how={"evil": 1}),
    "a history of texts": lambda facts, tensors: facts.update(history=["x"]),
    "an epoch with a hostile loss": lambda facts, tensors: facts.update(history=[{"loss": "\x1b"}]),
    "a number of a trial that is none": lambda facts, tensors: facts.update(number=[0]),
    "rows below the first": lambda facts, tensors: tensors.update(rows=tensors["rows"] - 100),
    "rows twice": lambda facts, tensors: tensors.update(rows=torch.zeros_like(tensors["rows"])),
    "fewer scores than rows": lambda facts, tensors: tensors.update(scores=tensors["scores"][:1]),
    "scores without columns": lambda facts, tensors: tensors.update(scores=tensors["scores"][:, :0]),
    "scores of whole numbers": lambda facts, tensors: tensors.update(scores=tensors["scores"].long()),
    "no scores": lambda facts, tensors: tensors.pop("scores"),
}


@pytest.mark.parametrize("kind", OUTCOMES)
def test_a_candidate_that_makes_no_sense_is_left_out(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "trials" / "0.safetensors"
    file.parent.mkdir()
    scores = np.eye(3, dtype=np.float32)
    write_outcome(file, Outcome(RIDGE, 0.8, np.array([5, 1, 9]), scores, 1.0, n_folds=2, number=0, sample="ab"))
    sound = read_outcome(file)
    assert sound is not None
    facts = {name: getattr(sound, name) for name in ("value", "seconds", "epochs", "n_folds", "number", "sample")}
    facts = {**facts, "configuration": sound.configuration.to_dict(), "history": [], "trainer": 1}
    tensors = {"rows": torch.from_numpy(sound.rows), "scores": torch.from_numpy(sound.scores)}
    save_file(tensors, file, {"facts": json.dumps(facts)})
    assert read_outcome(file) is not None
    OUTCOMES[kind](facts, tensors)
    save_file({name: one.contiguous() for name, one in tensors.items()}, file, {"facts": json.dumps(facts)})
    assert read_outcome(file) is None


# --- caches -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"{", DEEP.encode(), b'{"result": "x"}', b'{"result": [1]}', b'{"result": 2.0, "sha256": "0"}', b"[]",
     b'{"result": NaN}', b'{"result": 1' + b"0" * 400 + b"}"],
)  # fmt: skip
def test_a_damaged_result_is_computed_again_and_said_once(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    from automl_tl.foreign import number

    assert remember(tmp_path, {"what": "x"}, lambda: 1.5, number) == 1.5
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert remember(tmp_path, {"what": "x"}, lambda: 2.5, number) == 2.5
    assert remember(tmp_path, {"what": "x"}, lambda: 3.5, number) == 2.5
    assert [record.getMessage() for record in caplog.records] == [
        f"'{file}' in the cache is damaged and is computed again"
    ]


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def npy_header(shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


MEASUREMENTS: dict[str, Callable[[Path], object]] = {
    "a bomb of zeros": lambda path: npz(path, version=np.array("x"), keys=np.zeros((10**7, 16), np.uint8)),
    "arrays of another shape": lambda path: np.savez(
        path, version=np.array("x"), keys=np.zeros(3), records=np.array(0)
    ),
    "objects, which would be pickles": lambda path: np.savez(path, version=np.array([{}], object)),
    "an array that claims a terabyte": lambda path: write_zip(
        path, {"version.npy": npy_header((2**40,)) + b"1234"}, zipfile.ZIP_STORED
    ),
    "no zip file": lambda path: path.write_bytes(b"PK\3\4 rubbish"),
}


@pytest.mark.parametrize("kind", MEASUREMENTS)
def test_damaged_measurements_are_as_none(tmp_path: Path, kind: str) -> None:
    store = MeasurementStore.of(tmp_path / "data", tmp_path)
    store.save({}, {bytes(16): np.zeros((), MEASURED)})
    assert len(store.load()) == 1
    MEASUREMENTS[kind](store.folder / store.name)
    assert store.load() == {}


# --- tables and archives ----------------------------------------------------------------------------


def bomb(archive: Path, declared: int) -> Path:
    """Write a zip of class folders with a file of 50 MB of zeros that says it has `declared` bytes."""
    buffer = io.BytesIO()
    picture(0, 0).save(buffer, "PNG")
    good = {f"{label}/{n}.png": buffer.getvalue() + bytes([n]) for label in "ab" for n in range(3)}
    write_zip(archive, {**good, "a/bomb.png": bytes(50_000_000)})
    content = archive.read_bytes()
    size = struct.pack("<I", 50_000_000)
    assert content.count(size) == 2  # in the file's own header and in the list
    archive.write_bytes(content.replace(size, struct.pack("<I", declared)))
    return archive


@pytest.mark.parametrize("declared", [0, 1, 1000])
def test_a_zip_unpacks_no_more_than_it_declares(tmp_path: Path, declared: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = open_dataset(bomb(tmp_path / "b.zip", declared)).frame["source"]
    (source,) = (one for one in sources if "bomb" in one.name)
    unpacked = []
    real = zlib.decompressobj

    class Watched:
        def __init__(self, bits: int) -> None:
            self.real = real(bits)

        def decompress(self, content: bytes, most: int) -> bytes:
            unpacked.append(self.real.decompress(content, most))
            return unpacked[-1]

    monkeypatch.setattr(zlib, "decompressobj", Watched)
    with contextlib.suppress(DataError):  # where it declares nothing
        assert len(source.open().read()) == declared
    assert len(unpacked[0]) <= max(declared, 1)


@pytest.mark.parametrize("name", ["../a/x.png", "/a/x.png", "C:/x.png", "a/../../x.png", "..\\x.png"])
def test_an_archive_whose_names_lead_out_is_refused(tmp_path: Path, name: str) -> None:
    archive = write_zip(tmp_path / "b.zip", {"a/1.png": b"x", name: b"x"})
    with pytest.raises(DataError, match="leads out of it"):
        open_dataset(archive)


def test_a_table_of_more_rows_than_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    from automl_tl.data import cells

    monkeypatch.setattr(cells, "MOST_ROWS", 5)
    table = tmp_path / "labels.parquet"
    pd.DataFrame({"path": ["x.png"] * 9, "label": ["a"] * 9}).to_parquet(table)
    with pytest.raises(DataError, match="it has 9 rows, more than 5"):
        open_dataset(table)


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_a_folder_that_is_its_own_is_left_in_time(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "data", per_class=2)
    (root / "apple" / "again").symlink_to(root)
    assert len(open_dataset(root).frame) == 6
