"""Pictures in Parquet files, as Hugging Face keeps them."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import pyarrow
import pytest
from forms_of_data import members, write_parquet
from generated_pictures import write_pictures
from pyarrow import parquet

from automl_tl.data import open_dataset, scan
from automl_tl.data.decode import opened
from automl_tl.data.forms import parquet_rows
from automl_tl.data.source import sources_of
from automl_tl.errors import DataError, PictureError
from automl_tl.report.facts.data import about_data


@pytest.fixture
def content(pictures: Path) -> dict[str, bytes]:
    return members(pictures)


def test_rows_are_pictures_with_the_names_of_their_classes(content: dict[str, bytes], tmp_path: Path) -> None:
    dataset = open_dataset(write_parquet(tmp_path / "a.parquet", content))
    assert dataset.classes == ("apple", "leaf", "sky")
    assert dataset.frame["label"].tolist() == [Path(name).parent.name for name in content]
    assert dataset.frame["path"][0] == str(tmp_path / "a.parquet" / "row 1")
    assert dataset.form == "a Parquet file"


def test_it_has_the_fingerprint_of_its_folder(content: dict[str, bytes], pictures: Path, tmp_path: Path) -> None:
    table = write_parquet(tmp_path / "a.parquet", content, group_rows=4)
    one, other = (scan(open_dataset(data), cache_dir=tmp_path)[0] for data in (table, pictures))
    assert one.fingerprint == other.fingerprint


def test_parts_of_a_split_by_the_names_of_files(tmp_path: Path) -> None:
    names = ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001", "test-00000-of-00001-0a1b")
    for seed, name in enumerate(names):
        write_parquet(tmp_path / f"set/data/{name}.parquet", members(write_pictures(tmp_path / name, seed=seed)))
    (tmp_path / "set" / "README.md").write_text("x")
    dataset = open_dataset(tmp_path / "set")
    assert dataset.frame["split"].value_counts().to_dict() == {"train": 36, "val": 18, "test": 18}
    assert dataset.form == "4 Parquet files"


def test_names_of_files_say_no_part_where_none_is_wanted(content: dict[str, bytes], tmp_path: Path) -> None:
    for name in ("train", "test"):
        write_parquet(tmp_path / f"set/{name}-0.parquet", content)
    assert set(open_dataset(tmp_path / "set", split_column="none").frame["split"]) == {""}


def test_parts_of_a_split_by_the_names_of_folders(content: dict[str, bytes], tmp_path: Path) -> None:
    for name in ("train", "test"):
        write_parquet(tmp_path / f"set/{name}/0000.parquet", content)
    assert open_dataset(tmp_path / "set").frame["split"].value_counts().to_dict() == {"train": 18, "test": 18}


def test_a_picture_beside_the_files_hides_nothing(content: dict[str, bytes], tmp_path: Path) -> None:
    write_parquet(tmp_path / "set" / "data" / "train-0.parquet", content)
    (tmp_path / "set" / "assets").mkdir()
    for name in ("logo.png", "assets/thumb.png"):
        (tmp_path / "set" / name).write_bytes(next(iter(content.values())))
    dataset = open_dataset(tmp_path / "set")
    assert len(dataset) == len(content)
    beside = {dataset.short(one.path) for one in dataset.skipped if "beside the files" in one.reason}
    assert beside == {"logo.png", "assets/thumb.png"}


def test_a_file_of_no_known_part_is_left_out(content: dict[str, bytes], tmp_path: Path) -> None:
    for name in ("train-0", "unsupervised-0"):
        write_parquet(tmp_path / f"set/{name}.parquet", content)
    (skipped,) = open_dataset(tmp_path / "set").skipped
    assert "says no part of the split" in skipped.reason


def test_columns_of_a_split_and_of_groups(content: dict[str, bytes], tmp_path: Path) -> None:
    parts, who = ["train", "test"] * 9, [f"p{number % 3}" for number in range(18)]
    table = write_parquet(tmp_path / "a.parquet", content, split=parts, patient=who)
    frame = open_dataset(table, group_column="patient").frame
    assert (frame["split"].tolist(), frame["group"].tolist()) == (parts, who)


def test_what_a_file_without_a_split_has_is_for_training_where_another_has_one(
    content: dict[str, bytes], tmp_path: Path
) -> None:
    rows, third = list(enumerate(content.items())), len(content) // 3
    tested, others = (dict(row for n, row in rows if n % 3 != without) for without in (0, 1))
    write_parquet(tmp_path / "d" / "a.parquet", tested, split=["test"] * len(tested))
    write_parquet(tmp_path / "d" / "b.parquet", others)
    dataset, report = scan(open_dataset(tmp_path / "d"), cache_dir=tmp_path)
    assert dataset.frame["split"].value_counts().to_dict() == {"train": 2 * third, "test": 2 * third}
    said = f"{third} of {2 * third} pictures in 'train' have copies in a later part"
    assert ("it leaks", said) in list(about_data(dataset, report))


def test_a_column_that_is_asked_for_counts_for_more_than_the_name_of_the_file(
    content: dict[str, bytes], tmp_path: Path
) -> None:
    fold = ["train", "test"] * 9
    for name in ("train-0.parquet", "test-0.parquet"):
        write_parquet(tmp_path / "set" / name, content, fold=fold)
    assert open_dataset(tmp_path / "set", train=False).frame["split"].tolist() == ["test"] * 18 + ["train"] * 18
    assert open_dataset(tmp_path / "set", train=False, split_column="fold").frame["split"].tolist() == fold * 2


def test_rows_without_a_label_or_a_picture_are_left_out(content: dict[str, bytes], tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", content)
    table = parquet.read_table(path)
    labels, cells = table["label"].to_pylist(), table["image"].to_pylist()
    labels[0], labels[1], cells[2] = -1, None, {"bytes": None, "path": "a.png"}
    for number, (name, values) in enumerate((("image", cells), ("label", labels))):
        table = table.set_column(number, table.schema.field(name), pyarrow.array(values, table.schema.field(name).type))
    parquet.write_table(table, path)
    dataset, report = scan(open_dataset(path), cache_dir=None)
    assert [one.reason for one in dataset.skipped] == ["no label", "no label", "the row holds no picture"]
    assert report.n_images == 15


def test_a_table_of_the_paths_of_pictures_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """As `datasets` writes what it has read from a folder of pictures."""
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    cells = [{"bytes": None, "path": f"/pictures/{number}.png"} for number in range(4)]
    rows = pyarrow.table({"image": pyarrow.array(cells, kind), "label": [0, 0, 1, 1]})
    parquet.write_table(rows, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"holds no pictures, at most the paths of their files.* give the folder of"):
        open_dataset(tmp_path / "a.parquet")


def test_a_column_that_was_asked_for_is_not_replaced(content: dict[str, bytes], tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", content)
    with pytest.raises(DataError, match="has no column 'labels'"):
        open_dataset(tmp_path / "a.parquet", label_column="labels")


def test_plain_bytes_and_texts_are_understood(content: dict[str, bytes], tmp_path: Path) -> None:
    table = pyarrow.table({"img": list(content.values()), "label": [Path(name).parent.name for name in content]})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert open_dataset(tmp_path / "a.parquet").classes == ("apple", "leaf", "sky")


def test_another_column_of_numbered_classes_is_found(content: dict[str, bytes], tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", content)
    table = parquet.read_table(path)
    metadata = {b"huggingface": table.schema.metadata[b"huggingface"].replace(b'"label"', b'"fine_label"')}
    parquet.write_table(table.rename_columns(["img", "fine_label"]).replace_schema_metadata(metadata), path)
    assert open_dataset(path).classes == ("apple", "leaf", "sky")


@pytest.mark.parametrize("metadata", [b"not JSON", b"[]", b'{"info": null}', b'{"info": {"features": {"label": 1}}}'])
def test_metadata_of_another_shape_names_nothing(content: dict[str, bytes], tmp_path: Path, metadata: bytes) -> None:
    path = write_parquet(tmp_path / "a.parquet", content)
    parquet.write_table(parquet.read_table(path).replace_schema_metadata({b"huggingface": metadata}), path)
    assert open_dataset(path).classes == ("0", "1", "2")


def test_a_table_of_paths_stays_one(pictures: Path) -> None:
    paths = sorted(str(one.relative_to(pictures)) for one in pictures.rglob("*.png"))
    columns = {"path": paths, "label": [one[0] for one in paths], "thumbnail": [b"x"] * len(paths)}
    parquet.write_table(pyarrow.table(columns), pictures / "a.parquet")
    dataset = open_dataset(pictures / "a.parquet")
    assert dataset.form == "a table"
    assert len(dataset) == 18


def test_sentences(content: dict[str, bytes], tmp_path: Path) -> None:
    cells = list(content.values())
    parquet.write_table(pyarrow.table({"front": cells, "back": cells, "label": list("ab") * 9}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"several columns of pictures, 'front', 'back': .* --path-column front"):
        open_dataset(tmp_path / "a.parquet")
    assert len(open_dataset(tmp_path / "a.parquet", path_column="back")) == 18
    parquet.write_table(pyarrow.table({"image": cells, "class": list("ab") * 9}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"no column 'label'.*--label-column class"):
        open_dataset(tmp_path / "b.parquet")


# --- reading ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("group_rows", [1, 7, 64, 1000])
def test_rows_in_any_order(group_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "_ROWS", 4)
    content = {f"{'ab'[number % 2]}/{number}.png": b"%d" % number for number in range(200)}
    sources = sources_of(open_dataset(write_parquet(tmp_path / "a.parquet", content, group_rows=group_rows)).frame)
    order = [*range(200), *random.Random(0).sample(range(200), 200)]
    for row in order:
        with opened(pickle.loads(pickle.dumps(sources[row]))) as file:
            assert file.read() == b"%d" % row


def test_rows_in_order_are_read_once_and_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = {f"{'ab'[number % 2]}/{number}.png": b"%d" % number for number in range(1000)}
    table = write_parquet(tmp_path / "a.parquet", content, group_rows=1000)
    rows = parquet_rows._Rows(str(table), "image.bytes")
    read: list[int] = []
    batches = rows._batches
    monkeypatch.setattr(rows, "_batches", lambda group: (read.append(one[0]) or one for one in batches(group)))
    for row in range(1000):
        near = row ^ 7  # eight threads, each a little ahead or behind
        assert rows.read(near) == b"%d" % near
    assert read == list(range(0, 1000, parquet_rows._ROWS))
    assert sum(len(kept) for _, kept in rows.kept) <= parquet_rows._BATCHES * parquet_rows._ROWS


def test_a_file_that_is_gone_or_has_become_shorter(content: dict[str, bytes], tmp_path: Path) -> None:
    table = write_parquet(tmp_path / "a.parquet", content)
    source = sources_of(open_dataset(table).frame)[-1]
    write_parquet(table, dict(list(content.items())[:3]))
    with pytest.raises(PictureError, match="the row holds no picture"), opened(source):
        pass
    table.write_bytes(b"PAR1")
    with pytest.raises(PictureError, match="damaged"), opened(source):
        pass
    table.unlink()
    with pytest.raises(PictureError), opened(source):
        pass
