"""Caches, tables and archives from somebody else: read, or as none, or named and refused."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from forms_of_data import write_zip
from generated_pictures import picture, write_pictures

from automl_tl.data.dataset import open_dataset
from automl_tl.data.measure import MEASURED
from automl_tl.data.measurements import Known, MeasurementStore
from automl_tl.errors import DataError
from automl_tl.features.memo import remember

DEEP = "[" * 100_000

# --- caches ---


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
    store.save(store.load(), Known({bytes(16): 0}, np.zeros(1, MEASURED)))
    assert len(store.load()) == 1
    MEASUREMENTS[kind](store.folder / store.name)
    assert len(store.load()) == 0


# --- tables and archives ---


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
