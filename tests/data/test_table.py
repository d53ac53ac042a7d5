"""Tables of pictures: cells as text, paths, splits, groups, and one sentence for each fault."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from generated_pictures import MakePictures

from automl_tl.data.dataset import ImageDataset, open_dataset
from automl_tl.errors import DataError, OptionError

Grow = Callable[..., Path]


@pytest.fixture
def folder(grow: Grow, tmp_path: Path) -> Path:
    """A folder with img/0.png to img/7.png, for tables beside img."""
    return grow({"img": 8}, tmp_path / "set")


@pytest.fixture
def table(folder: Path) -> Callable[..., Path]:
    def write(text: str | bytes, name: str = "labels.csv", encoding: str = "utf-8") -> Path:
        path = folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


FOUR = "img/0.png,a\nimg/1.png,a\nimg/2.png,b\nimg/3.png,b\n"
Write = Callable[..., Path]


def labels(dataset: ImageDataset) -> dict[str, str]:
    return {os.path.basename(p): label for p, label in zip(dataset.frame["path"], dataset.frame["label"], strict=True)}


def sentence_of(path: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        open_dataset(path, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message


# --- what tables may look like ----------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(table: Write, encoding: str) -> None:
    path = table("path,label\nimg/0.png,é\nimg/1.png,é\nimg/2.png,b\n", encoding=encoding)
    assert labels(open_dataset(path)) == {"0.png": "é", "1.png": "é", "2.png": "b"}


@pytest.mark.parametrize(
    ("separator", "name"),
    [(",", "x.csv"), ("|", "x.csv"), (";", "x.CSV"), ("\t", "x.tsv"), ("\t", "x.tab"), ("\t", "x.csv")],
)
def test_separators(table: Write, separator: str, name: str) -> None:
    path = table(("path,label\n" + FOUR).replace(",", separator), name)
    assert len(open_dataset(path)) == 4


def test_windows_line_ends_blank_lines_spaces_and_quotes(table: Write) -> None:
    path = table('label, path \r\n\r\na , img/0.png\r\n"a",img/1.png\r\n"b, c","img/2.png"\r\n\r\n')
    assert labels(open_dataset(path)) == {"0.png": "a", "1.png": "a", "2.png": "b, c"}


def test_labels_stay_what_they_are(table: Write) -> None:
    names = ["NA", "null", "007", "1.0", "True", "1e5", "NaN"]
    path = table("path,label\n" + "".join(f"img/{i}.png,{n}\n" for i, n in enumerate(names)) + "img/7.png,NA\n")
    assert sorted(set(labels(open_dataset(path)).values())) == sorted(names)


def test_columns_can_be_chosen(table: Write) -> None:
    rows = ("img/0.png,a,train,p", "img/1.png,a,test,q", "img/2.png,b,train,p", "img/3.png,b,train,")
    path = table("\n".join(("file,class,fold,patient", *rows)))
    options = {"path_column": "file", "label_column": "class", "split_column": "fold", "group_column": "patient"}
    frame = open_dataset(path, **options).frame
    assert list(frame["split"]) == ["train", "test", "train", "train"]
    assert list(frame["group"]) == ["p", "q", "p", ""]


def test_split_and_group_are_used_where_they_are(table: Write) -> None:
    rows = ("img/0.png,a,train,1", "img/1.png,a,,1", "img/2.png,b,Train,2", "img/3.png,b,VAL,2", "img/4.png,a,test,3")
    frame = open_dataset(table("\n".join(("path,label,split,group", *rows)))).frame
    assert list(frame["split"]) == ["train", "train", "train", "val", "test"]
    assert list(frame["group"]) == ["1", "1", "2", "2", "3"]


@pytest.mark.parametrize(
    ("given", "canonical"), [("valid", "val"), ("validation", "val"), ("dev", "val"), ("testing", "test")]
)
def test_names_of_splits(table: Write, given: str, canonical: str) -> None:
    text = f"path,label,split\nimg/0.png,a,training\nimg/1.png,b,train\nimg/2.png,b,train\nimg/3.png,b,{given}\n"
    assert list(open_dataset(table(text)).frame["split"]) == ["train", "train", "train", canonical]


def test_an_empty_split_column_is_none(table: Write) -> None:
    path = table("path,label,split\n" + FOUR.replace("\n", ",\n"))
    assert not open_dataset(path).has_given_splits


def test_a_column_that_is_only_called_split_or_group_can_be_left_out(table: Write) -> None:
    path = table("path,label,split,group\n" + FOUR.replace("\n", ",fold 0,g\n"))
    with pytest.raises(DataError, match="or say --split-column none to leave it out"):
        open_dataset(path)
    frame = open_dataset(path, split_column="none", group_column="none").frame
    assert set(frame["split"]) == set(frame["group"]) == {""}


def test_a_split_of_one_part_is_none(table: Write) -> None:
    dataset = open_dataset(table("path,label,split\n" + FOUR.replace("\n", ",train\n")))
    assert not dataset.has_given_splits
    assert "no split is given" in dataset.notes[0]


def test_parquet(folder: Path) -> None:
    frame = pd.DataFrame(
        {
            "path": [f"img/{i}.png" for i in range(6)],
            "label": pd.Categorical(["x", "x", "y", "y", "y", None]),
            "group": [1.0, 1.0, 2.0, None, 2.0, 3.0],
            "bytes": [b"\0" * 10] * 6,
        }
    )
    frame.to_parquet(folder / "labels.parquet")
    dataset = open_dataset(folder / "labels.parquet")
    assert list(dataset.frame["label"]) == ["x", "x", "y", "y", "y"]
    assert list(dataset.frame["group"]) == ["1", "1", "2", "", "2"]
    assert [skipped.reason for skipped in dataset.skipped] == ["no label (row 6 of the table)"]


@pytest.mark.parametrize("index", ["path", "label"])
def test_parquet_whose_index_is_a_column(folder: Path, index: str) -> None:
    frame = pd.DataFrame({"path": [f"img/{i}.png" for i in range(4)], " label": ["a", "a", "b", "b"]})
    frame.set_index(index if index == "path" else " label").to_parquet(folder / "t.parquet")
    assert labels(open_dataset(folder / "t.parquet")) == {"0.png": "a", "1.png": "a", "2.png": "b", "3.png": "b"}


def test_parquet_with_numbers_as_labels(folder: Path) -> None:
    pd.DataFrame({"path": [f"img/{i}.png" for i in range(4)], "label": [0, 0, 1, 1]}).to_parquet(folder / "t.pq")
    assert open_dataset(folder / "t.pq").classes == ("0", "1")


# --- paths ------------------------------------------------------------------------------------------


def test_absolute_paths_may_lie_anywhere(table: Write, grow: Grow, tmp_path: Path) -> None:
    other = grow({"": 2}, tmp_path / "other")
    path = table(f"path,label\n{other}/0.png,a\n{other}/1.png,a\nimg/2.png,b\n")
    assert len(open_dataset(path)) == 3


def test_rows_that_cannot_be_used_are_skipped_with_a_reason(table: Write, grow: Grow, tmp_path: Path) -> None:
    grow({"": 2}, tmp_path / "other")
    text = "path,label\n" + FOUR + ",a\nimg/none.png,a\n../other/0.png,a\nimg,a\nimg/5.png,\nimg/6.png,  \n"
    dataset = open_dataset(table(text))
    assert [skipped.reason.split(" (row")[0] for skipped in dataset.skipped] == [
        "no path",
        "no such file",
        f"leads out of the table's folder: allow it by --image-root {tmp_path}",
        "a folder, not a picture",
        "no label",
        "no label",
    ]
    assert dataset.skipped[0].path == "row 5"
    assert len(dataset) == 4


def test_dots_that_stay_inside_are_fine(table: Write) -> None:
    assert len(open_dataset(table("path,label\n" + FOUR.replace("img/0", "./img/../img/0")))) == 4


def test_links_out_of_the_folder_are_followed(table: Write, folder: Path, grow: Grow, tmp_path: Path) -> None:
    (folder / "far").symlink_to(grow({"": 2}, tmp_path / "other"))
    assert len(open_dataset(table("path,label\n" + FOUR + "far/0.png,a\n"))) == 5


def test_paths_written_on_windows(table: Write) -> None:
    assert len(open_dataset(table("path,label\n" + FOUR.replace("/", "\\")))) == 4


def test_paths_that_no_system_takes(table: Write) -> None:
    dataset = open_dataset(table("path,label\n" + FOUR + "x" * 5000 + ".png,a\n"))
    assert "no such file" in dataset.skipped[0].reason


def test_the_ending_does_not_matter_in_a_table(table: Write, folder: Path) -> None:
    os.rename(folder / "img" / "0.png", folder / "img" / "0")
    assert len(open_dataset(table("path,label\n" + FOUR.replace("0.png", "0")))) == 4


def test_a_relative_table_path(table: Write, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table("path,label\n" + FOUR)
    monkeypatch.chdir(folder / "img")
    dataset = open_dataset("../labels.csv")
    assert len(dataset) == 4
    assert dataset.short(dataset.frame["path"][0]) == os.path.join("img", "0.png")


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_as_another_system_writes_them(table: Write, folder: Path, forms: tuple[str, str]) -> None:
    on_disk, in_table = (unicodedata.normalize(form, "Ménage/été.png") for form in forms)
    (folder / on_disk).parent.mkdir()
    os.rename(folder / "img" / "0.png", folder / on_disk)
    assert len(open_dataset(table("path,label\n" + FOUR.replace("img/0.png", in_table)))) == 4


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("https://example.org/0.png", "an address, not a file: download"),
        ("file:///data/0.png", "an address, not a file: download"),
        ("C:\\data\\0.png", "a path on a Windows drive"),
        ("d:/data/0.png", "a path on a Windows drive"),
    ],
)
def test_what_is_no_path_here_is_said_to_be_that(table: Write, cell: str, reason: str) -> None:
    (skipped,) = open_dataset(table("path,label\n" + FOUR + f"{cell},a\n")).skipped
    assert skipped.path == cell
    assert skipped.reason.startswith(reason)


def test_ids_whose_files_lie_in_a_folder(table: Write, folder: Path, warnings_raised: Callable[[], list[str]]) -> None:
    path = table("id,label\n0,a\n1,a\n2,b\n3,b\n")
    assert f"give --image-root {folder / 'img'} --extension .png" in sentence_of(path, path_column="id")
    dataset = open_dataset(path, path_column="id", image_root=folder / "img", extension="png")
    assert labels(dataset) == {"0.png": "a", "1.png": "a", "2.png": "b", "3.png": "b"}
    assert warnings_raised() == []


def test_names_of_files_in_another_folder(table: Write, folder: Path) -> None:
    path = table("path,label\n" + FOUR.replace("img/", ""))
    assert f"give --image-root {folder / 'img'}." in sentence_of(path)
    assert len(open_dataset(path, image_root=folder / "img")) == 4
    with pytest.raises(OptionError, match="--image-root 'nowhere' is no folder"):
        open_dataset(path, image_root="nowhere")


def test_paths_out_of_the_folder_can_be_allowed(table: Write, folder: Path) -> None:
    (folder / "tables").mkdir()
    path = table("path,label\n" + FOUR.replace("img/", "../img/"), "tables/x.csv")
    assert f"allow it by --image-root {folder} (row 1" in sentence_of(path)
    assert len(open_dataset(path, image_root=folder)) == 4
    outside = table("path,label\n" + FOUR + "../../other/0.png,a\n", "tables/y.csv")
    assert "leads out" in open_dataset(outside, image_root=folder).skipped[0].reason


# --- the same picture twice -------------------------------------------------------------------------


def test_the_same_path_and_label_count_once(table: Write) -> None:
    dataset = open_dataset(table("path,label\n" + FOUR + "./img/0.png,a\n"))
    assert len(dataset) == 4
    assert "more than once: 1" in dataset.notes[0]


def test_the_same_path_with_different_labels_is_left_out(table: Write) -> None:
    dataset = open_dataset(table("path,label\n" + FOUR + "img/4.png,a\nimg/4.png,b\n"))
    assert len(dataset) == 4
    assert dataset.skipped[0].reason == "named 2 times in the table with different labels: 'a', 'b'"


def test_the_same_path_in_two_parts_stays_in_the_test(table: Write) -> None:
    text = "path,label,split\n" + FOUR.replace("\n", ",train\n") + "img/4.png,a,train\nimg/4.png,a,test\n"
    frame = open_dataset(table(text)).frame
    assert list(frame.loc[frame["path"].str.endswith("4.png"), "split"]) == ["test"]


# --- one sentence for each fault --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({}, "columns 'path', 'label'"),
        ({"path_column": "thing"}, "column 'label'"),
        ({"path_column": "thing", "label_column": "kind", "split_column": "part"}, "column 'part'"),
        ({"path_column": "thing", "label_column": "kind", "group_column": "patient"}, "column 'patient'"),
    ],
)
def test_a_missing_column(table: Write, options: dict[str, str], missing: str) -> None:
    sentence = sentence_of(table("thing,kind\nimg/0.png,a\n"), **options)
    assert f"has no {missing};" in sentence
    assert "its columns are 'thing', 'kind'" in sentence
    assert sentence.endswith("-column.")


def test_the_way_out_names_every_missing_column(table: Write) -> None:
    sentence = sentence_of(table("file,klass\nimg/0.png,a\n"))
    assert sentence.endswith("give --path-column file and name one with --label-column.")


@pytest.mark.parametrize("header", ["Path,Label", "PATH,label", " Path , LABEL "])
def test_the_case_of_a_column_does_not_matter(table: Write, header: str) -> None:
    assert len(open_dataset(table(f"{header}\n{FOUR}"))) == 4


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("filename,class", "--path-column filename --label-column class"),
        ("Image,label", "--path-column Image"),
        ("Image Path,species", "--path-column 'Image Path' --label-column species"),
        ("path,Category", "--label-column Category"),
    ],
)
def test_well_known_columns_are_proposed(table: Write, header: str, options: str) -> None:
    assert sentence_of(table(f"{header}\n{FOUR}")).endswith(f": give {options}.")


@pytest.mark.parametrize(
    ("header", "both"),
    [
        ("path,label,label ", "'label' (column 2) and 'label' (column 3)"),
        ("path,label,label", "'label' (column 2) and 'label' (column 3)"),
        ("path,Label,LABEL", "'Label' (column 2) and 'LABEL' (column 3)"),
    ],
)
def test_a_column_that_is_there_twice(table: Write, header: str, both: str) -> None:
    sentence = sentence_of(table(f"{header}\nimg/0.png,a,b\nimg/1.png,c,d\n"))
    assert both in sentence
    assert "rename all but one" in sentence


def test_a_second_column_that_nobody_needs_may_be_there(table: Write) -> None:
    text = "path,label,note,note\n" + FOUR.replace("\n", ",x,y\n")
    assert len(open_dataset(table(text))) == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (FOUR, "its first line is 'img/0.png', 'a', so put one that names the columns (path,label) on top"),
        (f"# made by hand\npath,label\n{FOUR}", "is a comment ('# made by hand'): remove it"),
    ],
)
def test_a_table_without_names_of_columns(table: Write, text: str, told: str) -> None:
    assert told in sentence_of(table(text))


def test_a_missing_column_in_parquet(folder: Path) -> None:
    pd.DataFrame({"image": ["a"], "label": ["b"]}).to_parquet(folder / "t.parquet")
    assert "its columns are 'image', 'label'" in sentence_of(folder / "t.parquet")


def test_an_unknown_split(table: Write) -> None:
    sentence = sentence_of(table("path,label,split\nimg/0.png,a,later\nimg/1.png,b,train\n"))
    assert "one of train, training, val, valid, validation, dev, test, testing, eval" in sentence
    assert "'later'" in sentence


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"path,label\n", "names no picture"),
        (b"path,label\nimg/0.png,caf\xe9\n", "is not UTF-8 text"),
        (b'path,label\nimg/0.png,"open\n', "cannot be read"),
        (b"path,label\nnothing.png,a\n", "the first is"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ""),
        (bytes(range(256)) * 20, ""),
    ],
)
def test_tables_that_cannot_be_used(table: Write, text: bytes, hint: str) -> None:
    assert hint in sentence_of(table(text))


@pytest.mark.parametrize("content", [b"", b"PAR1 but not really", b"path,label\n"])
def test_parquet_that_is_none(table: Write, content: bytes) -> None:
    assert "cannot be read" in sentence_of(table(content, "t.parquet"))


def test_rows_of_uneven_length(table: Write) -> None:
    dataset = open_dataset(table("path,label,group\n" + FOUR))
    assert list(dataset.frame["group"]) == ["", "", "", ""]
    assert labels(open_dataset(table("path,label\n" + FOUR.replace("\n", ",,\n"))))["3.png"] == "b"


@pytest.mark.parametrize(
    ("text", "line", "example"),
    [
        ("path,label\nimg/0.png,lion, male\nimg/1.png,lion, female\n", "Line 2", '"lion, male"'),
        ("path,label\nimg/0.png,a\nimg/1.png,a,too,many\nimg/2.png,b\n", "Line 3", '"a, too, many"'),
        ("path;label\n\nimg/0.png;a;\nimg/1.png;a;b\n", "Line 4", '"a, b"'),
    ],
)
def test_cells_without_a_column_are_an_error(
    table: Write, text: str, line: str, example: str, warnings_raised: Callable[[], list[str]]
) -> None:
    sentence = sentence_of(table(text))
    assert sentence.startswith(line)
    assert f"quote the cell that holds a separator, as in {example}" in sentence
    assert warnings_raised() == []


def test_one_class_and_one_picture_each(table: Write) -> None:
    assert "At least two classes" in sentence_of(table("path,label\nimg/0.png,a\nimg/1.png,a\n"))
    assert "only one picture" in sentence_of(table("path,label\nimg/0.png,a\nimg/1.png,b\n"))


def test_a_table_that_cannot_be_opened(table: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table("path,label\n" + FOUR)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "Permission denied" in sentence_of(path)


def test_what_only_a_folder_reads_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label\na.png,a\n")
    with pytest.raises(OptionError, match=r"^--split-folder cannot be used with the table '.*': leave it out$"):
        open_dataset(tmp_path / "t.csv", split_folders={"fold0": "banana"})


def test_what_is_left_out_of_a_table_is_told_where_only_a_part_is(make_pictures: MakePictures) -> None:
    """`recommend` shows the notes alone: half a column of labels looks like a smaller data set."""
    files = sorted(make_pictures(per_class=4).rglob("*.png"))
    frame = pd.DataFrame({"path": map(str, files), "label": [file.parent.name for file in files]})
    assert open_dataset(frame).notes == ()
    frame.loc[[1, 3], "label"] = None
    frame.loc[5, "path"] = "gone.png"
    (note,) = open_dataset(frame).notes
    assert note.startswith("Left out of the table: no label (row 2 of the table), and 2 more;")
