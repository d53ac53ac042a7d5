"""Pictures and tables in object stores, with fsspec's memory file system as the store."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pandas as pd
import pytest
from generated_pictures import write_pictures

from automl_tl.data import object_store
from automl_tl.data.address import Address
from automl_tl.data.dataset import open_dataset
from automl_tl.data.quality import scan
from automl_tl.data.stored import MAX_BYTES, Stored, look_up
from automl_tl.errors import DataError, OptionError, PictureError, StoreError
from automl_tl.features.picture import pictures_of
from automl_tl.lab.lab import open_lab
from automl_tl.options import LabOptions

Upload = Callable[..., str]


@pytest.fixture
def store() -> Iterator[fsspec.AbstractFileSystem]:
    """An empty store in memory."""
    files = object_store.file_system("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()


@pytest.fixture
def upload(store: fsspec.AbstractFileSystem, tmp_path: Path) -> Upload:
    """Return what copies generated class folders into the store, below an address."""

    def put(address: str = "memory://bucket/train", **options: object) -> str:
        folder = write_pictures(tmp_path / "up", **options)  # type: ignore[arg-type]
        for file in folder.rglob("*.png"):
            store.pipe_file(f"{address}/{file.relative_to(folder)}", file.read_bytes())
        return address

    return put


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses of the pictures that are fetched, as they are."""
    seen: list[str] = []
    content = object_store.content
    monkeypatch.setattr("automl_tl.data.stored.content", lambda address: seen.append(address) or content(address))
    return seen


def write(store: fsspec.AbstractFileSystem, address: str, text: str) -> str:
    store.pipe_file(address, text.encode())
    return address


def labels(dataset: object) -> dict[str, str]:
    frame: pd.DataFrame = dataset.frame  # type: ignore[attr-defined]
    return dict(zip(frame["path"], frame["label"], strict=True))


# --- what is listed ---------------------------------------------------------------------------------


def test_a_folder_of_class_folders(upload: Upload) -> None:
    dataset = open_dataset(upload(classes=("cat", "dog"), per_class=2))
    assert labels(dataset) == {
        f"memory://bucket/train/{label}/{n:03d}.png": label for label in ("cat", "dog") for n in range(2)
    }
    assert dataset.form == "folders in an object store"
    assert dataset.short("memory://bucket/train/cat/000.png") == "cat/000.png"


def test_the_parts_of_a_split_and_what_is_no_picture(store: fsspec.AbstractFileSystem, upload: Upload) -> None:
    for part in ("train", "test"):
        upload(f"memory://bucket/{part}", per_class=2)
    write(store, "memory://bucket/train/sky/notes.txt", "no picture")
    write(store, "memory://bucket/train/sky/.hidden.png", "")
    dataset = open_dataset("memory://bucket")
    assert dataset.frame["split"].value_counts().to_dict() == {"train": 6, "test": 6}
    assert [(one.path, one.reason) for one in dataset.skipped] == [
        ("memory://bucket/train/sky/notes.txt", "not a picture file")
    ]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_of_relative_paths_and_addresses(store: fsspec.AbstractFileSystem, upload: Upload, ending: str) -> None:
    upload("memory://bucket/set/img", classes=("a", "b"), per_class=3)
    upload("memory://elsewhere", classes=("a",), per_class=1)
    table = pd.DataFrame(
        [
            ("img/a/000.png", "a"),
            ("./img/a/001.png", "a"),
            ("img\\b\\000.png", "b"),
            ("img/b/001.png", "b"),
            ("memory://elsewhere/a/000.png", "a"),
            ("img/a/none.png", "a"),
            ("memory://elsewhere", "a"),
        ],
        columns=["path", "label"],
    )
    with store.open(f"memory://bucket/set/labels{ending}", "wb") as file:
        table.to_csv(file, index=False) if ending == ".csv" else table.to_parquet(file)
    dataset = open_dataset(f"memory://bucket/set/labels{ending}")
    found = labels(dataset)
    assert set(found) == {
        "memory://bucket/set/img/a/000.png", "memory://bucket/set/img/a/001.png", "memory://bucket/set/img/b/000.png",
        "memory://bucket/set/img/b/001.png", "memory://elsewhere/a/000.png",
    }  # fmt: skip
    assert [one.path for one in dataset.skipped] == ["memory://elsewhere", "memory://bucket/set/img/a/none.png"]
    assert "the address of a bucket, not of a picture" in dataset.skipped[0].reason


def test_a_table_of_this_machine_names_addresses_or_starts_at_one(upload: Upload, tmp_path: Path) -> None:
    root = upload(classes=("a", "b"), per_class=2)
    table = tmp_path / "labels.csv"
    cells = [f"{label}/{n:03d}" for label in "ab" for n in range(2)]
    table.write_text("path,label\n" + "".join(f"{cell},{cell[0]}\n" for cell in cells))
    beside = open_dataset(table, image_root=root, extension=".png")
    table.write_text("path,label\n" + "".join(f"{root}/{cell}.png,{cell[0]}\n" for cell in cells))
    assert labels(beside) == labels(open_dataset(table))


def test_each_folder_is_listed_once(upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    root = upload(classes=("a", "b"), per_class=20)
    asked: list[str] = []
    listed = object_store.listed
    monkeypatch.setattr("automl_tl.data.stored.listed", lambda folder: asked.append(folder) or listed(folder))
    assert len(look_up(f"{root}/{label}/{n:03d}.png" for label in "ab" for n in range(20))) == 40
    assert sorted(asked) == [f"{root}/a", f"{root}/b"]


# --- what is kept -----------------------------------------------------------------------------------


def test_a_second_scan_fetches_what_has_changed_alone(
    store: fsspec.AbstractFileSystem, upload: Upload, fetched: list[str], tmp_path: Path
) -> None:
    root = upload(per_class=4)
    first, report = scan(open_dataset(root), cache_dir=tmp_path / "cache")
    assert len(fetched) == report.n_images == 12
    again, _ = scan(open_dataset(root), cache_dir=tmp_path / "cache")
    assert len(fetched) == 12
    assert again.fingerprint == first.fingerprint
    changed = f"{root}/sky/000.png"
    store.pipe_file(changed, store.cat_file(f"{root}/sky/000.png")[:-12] + b"\0" * 12)
    scan(open_dataset(root), cache_dir=tmp_path / "cache")
    assert fetched[12:] == [changed]


def test_what_the_scan_has_fetched_is_not_fetched_for_the_features(
    upload: Upload, fetched: list[str], tmp_path: Path
) -> None:
    lab = open_lab(
        upload(per_class=4), LabOptions(backbones=("efficientnet_lite0",), cache_dir=str(tmp_path / "cache"))
    )
    assert len(fetched) == 12
    lab.features("efficientnet_lite0", pictures_of(lab.dataset.frame))
    assert len(fetched) == 12
    assert not list((tmp_path / "cache").rglob("*.png"))  # what keeps them has no name
    source = lab.dataset.frame["source"][0]
    travelled = pickle.loads(pickle.dumps(source))
    assert travelled == source
    assert travelled.fetched is None  # another process has no such file
    assert travelled.open().read() == source.open().read()
    assert fetched[12:] == [source.name]


def test_the_same_pictures_on_the_disk_have_the_same_fingerprint(upload: Upload, tmp_path: Path) -> None:
    stored, _ = scan(open_dataset(upload()), cache_dir=None)
    on_disk, _ = scan(open_dataset(tmp_path / "up"), cache_dir=None)
    assert stored.fingerprint == on_disk.fingerprint


# --- what is refused, and what goes wrong -----------------------------------------------------------


def test_a_table_leads_nowhere_that_the_user_did_not_name(store: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    own = tmp_path / "own.png"
    write_pictures(tmp_path / "own", classes=("a",), per_class=1)
    rows = ["../secret/a.png", "../../other/a.png", str(own), "https://example.org/a.png", "file:///etc/a.png"]
    write(store, "memory://bucket/set/labels.csv", "path,label\n" + "".join(f"{row},a\n" for row in rows))
    store.pipe_file("memory://bucket/secret/a.png", b"secret")
    with pytest.raises(DataError, match="can be used; 5 left out") as caught:
        open_dataset("memory://bucket/set/labels.csv")
    assert "leads out of the table's folder" in str(caught.value)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("memory://nothing/here", "There is nothing at 'memory://nothing/here'"),
        (
            "https://example.org/set",
            "is an address, not a file: download it and name its file, or name an object (s3://, s3a://, gs://",
        ),
        ("S3://bucket/set", "is an address, not a file"),
        ("memory://bucket/set.zip", "neither a folder nor a table"),
    ],
)
def test_addresses_that_cannot_be_read(store: fsspec.AbstractFileSystem, address: str, says: str) -> None:
    write(store, "memory://bucket/set.zip", "x")
    with pytest.raises(DataError, match=re.escape(says)):
        open_dataset(address)


def test_an_image_root_of_an_unknown_store(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("path,label\na.png,a\n")
    with pytest.raises(OptionError, match="ftp://host"):
        open_dataset(table, image_root="ftp://host/pictures")


def test_no_permission_and_no_network(upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    root = upload()
    files = object_store.file_system("memory")

    def raising(error: Exception) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            raise error

        return call

    monkeypatch.setattr(type(files), "ls", raising(PermissionError("403")))
    with pytest.raises(DataError, match="gives no permission to read 'memory://bucket/train'"):
        open_dataset(root)
    assert look_up([f"{root}/sky/000.png"])[f"{root}/sky/000.png"].open().read()[:4] == b"\x89PNG"
    monkeypatch.setattr(type(files), "ls", raising(RuntimeError("no\nroute")))
    with pytest.raises(StoreError, match=r"cannot be reached \(no route\)"):
        open_dataset(root)


def test_a_store_that_goes_away_ends_the_scan_and_keeps_what_was_read(
    upload: Upload, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dataset = open_dataset(upload(per_class=8))
    content, seen = object_store.content, []

    def failing(address: str) -> bytes:
        seen.append(address)
        if len(seen) > 10:
            raise StoreError("gone")
        return content(address)

    monkeypatch.setattr("automl_tl.data.stored.content", failing)
    with pytest.raises(StoreError):
        scan(dataset, cache_dir=tmp_path / "cache", threads=1)
    monkeypatch.setattr("automl_tl.data.stored.content", lambda address: seen.append(address) or content(address))
    seen.clear()
    scan(dataset, cache_dir=tmp_path / "cache")
    assert len(seen) == 24 - 10


def test_an_object_that_vanishes_is_left_out(store: fsspec.AbstractFileSystem, upload: Upload) -> None:
    dataset = open_dataset(upload())
    store.rm_file("/bucket/train/sky/000.png")
    scanned, report = scan(dataset, cache_dir=None)
    assert [(one.path, one.reason) for one in report.unreadable] == [
        ("memory://bucket/train/sky/000.png", "there is no such object in the store")
    ]
    assert len(scanned) == 17


def test_an_object_that_is_too_large_is_not_fetched(upload: Upload, fetched: list[str]) -> None:
    with pytest.raises(PictureError, match="too large"):
        Stored(f"{upload()}/sky/000.png", size=MAX_BYTES + 1).open()
    assert not fetched


@pytest.mark.parametrize("address", ["https://example.org/a.png", "file:///a.png", "ftp://host/a.png"])
def test_nothing_else_that_fsspec_knows_is_ever_opened(address: str) -> None:
    with pytest.raises(StoreError, match="are not read"):
        Stored(address).open()


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
    object_store.file_system.cache_clear()
    with pytest.raises(StoreError, match=r"gs:// need the package gcsfs: pip install 'automl-tl\[cloud\]'"):
        open_dataset("gs://bucket/train")


# --- addresses --------------------------------------------------------------------------------------


def test_an_address_stays_what_it_is() -> None:
    one = Address("s3://bucket/train")
    assert str(one / "cat" / "a.jpg") == "s3://bucket/train/cat/a.jpg"
    assert str((one / "a.csv").parent) == "s3://bucket/train"
    assert pickle.loads(pickle.dumps(one)) == one
    assert str(pickle.loads(pickle.dumps(one))) == "s3://bucket/train"
