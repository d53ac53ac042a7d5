"""Folders of class folders: layouts, what is ignored, what is skipped, and links."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from unprivileged import Restricted

from automl_tl.data.dataset import ImageDataset, open_dataset, training_counts
from automl_tl.data.names import SPLIT_NAMES
from automl_tl.errors import DataError, OptionError

Grow = Callable[..., Path]


def counts(dataset: ImageDataset) -> dict[tuple[str, str], int]:
    return dict(Counter(zip(dataset.frame["label"], dataset.frame["split"], strict=True)))


def reasons(dataset: ImageDataset) -> dict[str, str]:
    return {dataset.short(skipped.path): skipped.reason for skipped in dataset.skipped}


def sentence_of(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_dataset(root)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message


# --- layouts ----------------------------------------------------------------------------------------


def test_class_folders(grow: Grow) -> None:
    dataset = open_dataset(grow({"cat": 3, "dog": 2}))
    assert counts(dataset) == {("cat", ""): 3, ("dog", ""): 2}
    assert dataset.classes == ("cat", "dog")
    assert not dataset.has_given_splits
    assert list(dataset.frame.columns) == ["path", "label", "split", "group"]
    assert all(os.path.isabs(path) for path in dataset.frame["path"])
    assert dataset.skipped == dataset.notes == ()


def test_nested_folders_belong_to_their_class(grow: Grow) -> None:
    dataset = open_dataset(grow({"cat/black": 2, "cat/white/old": 1, "cat": 1, "dog": 2}))
    assert counts(dataset) == {("cat", ""): 4, ("dog", ""): 2}


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("Train", "VALID", "Test"),
        ("training", "validation", "testing"),
        ("train", "dev", "test"),
    ],
)
def test_split_folders(grow: Grow, names: tuple[str, str, str]) -> None:
    train, val, test = names
    tree = {f"{train}/a": 3, f"{train}/b": 2, f"{val}/a": 1, f"{test}/a": 1, f"{test}/b/deep": 2}
    dataset = open_dataset(grow(tree))
    assert counts(dataset) == {
        ("a", "train"): 3, ("b", "train"): 2, ("a", "val"): 1, ("a", "test"): 1, ("b", "test"): 2,
    }  # fmt: skip
    assert dataset.has_given_splits


def test_a_table_beside_a_single_folder_of_pictures_is_the_way_out(grow: Grow) -> None:
    root = grow({"images": 4})
    (root / "labels.csv").write_text("path,label\nimages/000.png,a\n")
    with pytest.raises(
        DataError, match=r"has one: 'images' \(4 pictures\); to use the table in it, give '.*labels\.csv'"
    ):
        open_dataset(root)


def test_parts_of_a_split_that_lie_in_the_classes(grow: Grow) -> None:
    root = grow({"cat/train": 3, "cat/Test": 2, "dog/train": 2, "dog/Test": 1})
    dataset = open_dataset(root)
    assert counts(dataset) == {
        ("cat", "train"): 3, ("cat", "test"): 2, ("dog", "train"): 2, ("dog", "test"): 1,
    }  # fmt: skip
    assert "Every class holds the parts of a split" in dataset.notes[0]
    assert counts(open_dataset(root, split_folders={})) == {("cat", ""): 5, ("dog", ""): 3}


def test_where_pictures_lie_beside_them_they_are_no_parts(grow: Grow) -> None:
    dataset = open_dataset(grow({"cat/train": 3, "cat/test": 2, "dog/train": 2, "dog": 1}))
    assert not dataset.has_given_splits
    assert dataset.classes == ("cat", "dog")


def test_every_name_of_a_split_is_in_lower_case() -> None:
    assert all(name == name.lower() for name in SPLIT_NAMES)


def test_two_names_of_one_part_are_one_part(grow: Grow) -> None:
    dataset = open_dataset(grow({"train/a": 2, "train/b": 2, "val/a": 1, "validation/b": 1}))
    assert counts(dataset)["b", "val"] == counts(dataset)["a", "val"] == 1


def test_an_empty_folder_beside_split_folders_does_not_matter(grow: Grow) -> None:
    root = grow({"train/a": 2, "train/b": 2, "test/a": 1})
    (root / "notebooks").mkdir()
    assert open_dataset(root).has_given_splits


def test_a_part_without_class_folders_is_left_out(grow: Grow) -> None:
    dataset = open_dataset(grow({"train/a": 2, "train/b": 2, "val/a": 1, "test": 3}))
    assert ("a", "val") in counts(dataset)
    assert len(dataset) == 5
    assert "'test'" in dataset.notes[0]
    assert set(reasons(dataset)) == {"test/0.png", "test/1.png", "test/2.png"}


def test_a_single_folder_is_descended_into(grow: Grow) -> None:
    dataset = open_dataset(grow({"data/images/cat": 2, "data/images/dog": 2}))
    assert dataset.classes == ("cat", "dog")
    assert [note.split()[1] for note in dataset.notes] == ["'data'", "'images'"]


def test_a_single_folder_above_split_folders(grow: Grow) -> None:
    assert open_dataset(grow({"set/train/a": 2, "set/train/b": 2, "set/test/a": 1})).has_given_splits


def test_a_single_split_folder_is_no_split(grow: Grow) -> None:
    dataset = open_dataset(grow({"train/a": 2, "train/b": 2}))
    assert not dataset.has_given_splits
    assert dataset.classes == ("a", "b")


def test_only_training_pictures_have_classes(grow: Grow) -> None:
    dataset = open_dataset(grow({"train/a": 2, "train/b": 2, "test": 2}))
    assert not dataset.has_given_splits


def test_classes_that_are_not_trained_are_left_out(grow: Grow) -> None:
    dataset = open_dataset(grow({"train/a": 2, "train/b": 2, "val/c": 3, "test/a": 1, "test/c": 1}))
    assert dataset.classes == ("a", "b")
    assert "No training pictures of 'c'" in dataset.notes[0]
    assert "(4 pictures)" in dataset.notes[0]


def test_an_evaluation_keeps_every_class(grow: Grow, tmp_path: Path) -> None:
    assert open_dataset(grow({"train/a": 2, "train/b": 2, "val/c": 3}), train=False).classes == ("a", "b", "c")
    assert len(open_dataset(grow({"x": 1, "y": 1}, tmp_path / "more"), train=False)) == 2


def test_names_written_by_different_systems_are_one_class(grow: Grow) -> None:
    dataset = open_dataset(grow({"train/caf\u00e9": 2, "train/tea": 2, "test/cafe\u0301": 1, "test/tea": 1}))
    assert dataset.classes == ("caf\u00e9", "tea")


def test_an_empty_class_folder_is_noted(grow: Grow) -> None:
    root = grow({"cat": 2, "dog": 2})
    (root / "bird").mkdir()
    assert "No pictures in 'bird'" in open_dataset(root).notes[0]


def test_the_order_does_not_depend_on_the_disk(grow: Grow) -> None:
    frame = open_dataset(grow({"b": 12, "a": 2})).frame
    assert list(frame["path"]) == sorted(frame["path"])


# --- what is ignored and what is skipped ------------------------------------------------------------


def test_hidden_and_system_files_are_ignored_without_a_word(grow: Grow) -> None:
    root = grow({"cat": 2, "dog": 2, ".git/objects": 1, "__MACOSX/cat": 1, "cat/.thumbnails": 2, "@eaDir": 1})
    for name in (".DS_Store", "cat/._0.png", "cat/Thumbs.db", "dog/desktop.ini", "dog/ehthumbs.db", "dog/.hidden.png"):
        (root / name).write_bytes(b"x")
    dataset = open_dataset(root)
    assert counts(dataset) == {("cat", ""): 2, ("dog", ""): 2}
    assert dataset.skipped == ()


def test_a_root_below_a_hidden_folder_works(grow: Grow, tmp_path: Path) -> None:
    root = grow({"cat": 2, "dog": 2}, tmp_path / ".cache" / ".data")
    assert len(open_dataset(root)) == 4


def test_endings_count_whatever_their_case(grow: Grow) -> None:
    root = grow({"cat": 2, "dog": 2})
    for name in ("IMG.JPG", "img.HeIc", "a.AVIF", "b.tif", "c.jp2"):
        (root / "cat" / name).write_bytes(b"not opened")
    assert counts(open_dataset(root))["cat", ""] == 7


def test_other_files_are_skipped_with_a_reason(grow: Grow) -> None:
    root = grow({"cat": 2, "dog": 2})
    for name in ("README.md", "cat/notes.txt", "cat/noending", "dog/film.mp4", "dog/drawing.eps", "dog/plan.pdf"):
        (root / name).write_bytes(b"x")
    dataset = open_dataset(root)
    assert len(dataset) == 4
    assert set(reasons(dataset).values()) == {"not a picture file"}
    assert len(dataset.skipped) == 6


def test_pictures_beside_class_folders_are_skipped(grow: Grow) -> None:
    dataset = open_dataset(grow({"cat": 2, "dog": 2, "": 1}))
    assert reasons(dataset) == {"0.png": "lies beside the class folders, so it has no class"}


def test_a_pipe_is_not_opened(grow: Grow) -> None:
    root = grow({"cat": 2, "dog": 2})
    os.mkfifo(root / "cat" / "pipe.jpg")
    assert reasons(open_dataset(root)) == {"cat/pipe.jpg": "not a regular file"}


def test_names_that_are_no_text_are_skipped(grow: Grow) -> None:
    root = grow({"cat": 2, "dog": 2})
    try:
        Path(os.fsdecode(os.fsencode(root / "cat") + b"/caf\xe9.png")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (skipped,) = open_dataset(root).skipped
    assert "UTF-8" in skipped.reason
    skipped.path.encode()


# --- links ------------------------------------------------------------------------------------------


def test_links_to_pictures_are_followed_wherever_they_point(grow: Grow, tmp_path: Path) -> None:
    store = grow({".store": 2}, tmp_path / "elsewhere")
    root = grow({"cat": 2, "dog": 2})
    (root / "cat" / "linked.png").symlink_to(store / ".store" / "0.png")
    (root / "cat" / "sub").symlink_to(store / ".store")
    (root / "bird").symlink_to(store / ".store")
    assert counts(open_dataset(root)) == {("cat", ""): 5, ("dog", ""): 2, ("bird", ""): 2}


def test_a_linked_root_keeps_its_name(grow: Grow, tmp_path: Path) -> None:
    root = grow({"cat": 2, "dog": 2})
    (tmp_path / "link").symlink_to(root)
    dataset = open_dataset(tmp_path / "link")
    assert dataset.root == tmp_path / "link"
    assert len(dataset) == 4


def test_broken_links_are_skipped(grow: Grow) -> None:
    root = grow({"cat": 2, "dog": 2})
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    (root / "cat" / "self.png").symlink_to(root / "cat" / "self.png")
    assert set(reasons(open_dataset(root))) == {"cat/gone.png", "cat/self.png"}


def test_links_never_lead_round_in_a_circle(grow: Grow) -> None:
    root = grow({"cat/old": 2, "dog": 2})
    (root / "cat" / "up").symlink_to(root)
    (root / "cat" / "old" / "again").symlink_to(root / "cat")
    dataset = open_dataset(root)
    assert counts(dataset) == {("cat", ""): 2, ("dog", ""): 2}
    assert set(reasons(dataset).values()) == {"a link to a folder that is listed already"}


def test_folders_full_of_links_to_each_other_end_soon(grow: Grow) -> None:
    names = [f"c{i}" for i in range(9)]
    root = grow(dict.fromkeys(names, 1))
    for name in names:
        for other in names:
            if other != name:
                (root / name / f"to_{other}").symlink_to(root / other)
    dataset = open_dataset(root)
    assert len(dataset.classes) == 9
    assert len(dataset) + len(dataset.skipped) < 9 * 9 * 9 * 9


def test_a_very_deep_tree_is_cut_off(grow: Grow, tmp_path: Path) -> None:
    root = grow({"cat": 2, "dog": 2})
    deep = root / "cat"
    for _ in range(120):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (skipped,) = open_dataset(root).skipped
    assert "100 folders deep" in skipped.reason


# --- one sentence for each fault --------------------------------------------------------------------


def test_an_empty_folder(tmp_path: Path) -> None:
    assert "no picture" in sentence_of(tmp_path)


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert "(other files: 1)" in sentence_of(tmp_path)


def test_a_folder_of_loose_pictures(grow: Grow) -> None:
    sentence = sentence_of(grow({"": 4}))
    assert "holds 4 pictures directly" in sentence
    assert "one folder for each class" in sentence


@pytest.mark.parametrize(
    ("name", "hint"), [("labels.csv", "give '"), ("photos.ZIP", "give '"), ("photos.tar.gz", "': unpack it")]
)
def test_a_folder_with_something_better_in_it(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / name).write_text("x")
    sentence = sentence_of(tmp_path)
    assert hint in sentence
    assert name in sentence


@pytest.mark.parametrize("tree", [{"cat": 5}, {"cat": 2, "cat/more": 3}, {"data/cat": 5}])
def test_one_class(grow: Grow, tree: dict[str, int]) -> None:
    sentence = sentence_of(grow(tree))
    assert "At least two classes are needed" in sentence
    assert "(5 pictures)" in sentence


def test_one_picture_in_every_class(grow: Grow) -> None:
    assert "Each of the 3 classes" in sentence_of(grow({"a": 1, "b": 1, "c": 1}))
    assert len(open_dataset(grow({"a": 1, "b": 2, "c": 1}))) > 0


def test_one_training_picture_in_every_class(grow: Grow) -> None:
    assert "only one picture to train on" in sentence_of(grow({"train/a": 1, "train/b": 1, "test/a": 5, "test/b": 5}))


def test_no_training_pictures(grow: Grow) -> None:
    assert "left for training" in sentence_of(grow({"val/a": 2, "val/b": 2, "test/a": 5, "test/b": 5}))


@pytest.mark.parametrize("path", ["", " "])
def test_an_empty_path_is_not_the_working_folder(path: str) -> None:
    with pytest.raises(DataError, match=r"^The path of the data is empty: give "):
        open_dataset(path)


def test_an_unknown_path(tmp_path: Path) -> None:
    assert "There is no file or folder" in sentence_of(tmp_path / "no")
    assert "There is no file or folder" in sentence_of(tmp_path / "no" / "no")


def test_a_path_that_cannot_be(tmp_path: Path) -> None:
    assert "cannot be opened" in sentence_of(tmp_path / ("x" * 5000))
    assert "cannot be opened" in sentence_of(tmp_path / "a\0b")


def test_a_file_below_a_file(grow: Grow) -> None:
    assert "There is no file or folder" in sentence_of(grow({"cat": 1}) / "cat" / "0.png" / "x")


def test_names_in_sentences_are_safe_to_print(tmp_path: Path) -> None:
    assert "\x1b" not in sentence_of(tmp_path / "evil\x1b[31m")
    assert "\\x1b" in sentence_of(tmp_path / "evil\x1b[31m")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("photos.zip", "cannot be read"),
        ("photos.TAR", "cannot be read as a tar without compression"),
        (
            "photos.tar.gz",
            "is compressed as a whole, so no picture in it can be read without all before it: type gunzip",
        ),
        ("my photos.tgz", "my photos.tgz' and give the file that this makes, which is read as it is"),
        ("photos.tar.xz", "type unxz --keep /"),
        ("photos.rar", "is an archive: unpack it"),
        ("cat.jpg", "is a single picture"),
        ("cat.HEIC", "is a single picture"),
        ("labels.xlsx", "save it as CSV"),
        ("labels.json", "neither a folder nor a table"),
        ("noending", "neither a folder nor a table"),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / name).write_bytes(b"PK")
    assert hint in sentence_of(tmp_path / name)


def _denied(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make `folder` unreadable, also where the tests run as root."""
    scandir = os.scandir

    def refuse(path: str | Path) -> object:
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)


def test_an_unreadable_root(grow: Grow, monkeypatch: pytest.MonkeyPatch) -> None:
    root = grow({"cat": 2, "dog": 2})
    _denied(monkeypatch, root)
    assert "(Permission denied): check its permissions" in sentence_of(root)


def test_an_unreadable_class_folder_is_skipped(grow: Grow, monkeypatch: pytest.MonkeyPatch) -> None:
    root = grow({"cat": 2, "dog": 2, "bird": 2})
    _denied(monkeypatch, root / "bird")
    dataset = open_dataset(root)
    assert dataset.classes == ("cat", "dog")
    assert reasons(dataset) == {"bird": "cannot be opened: Permission denied"}


def test_a_root_without_permission(grow: Grow, restricted: Restricted) -> None:
    root = grow({"cat": 2, "dog": 2})
    root.chmod(0)
    try:
        result = restricted("-m", "automl_tl", "inspect", str(root))
    finally:
        root.chmod(stat.S_IRWXU)
    assert result.returncode == 2
    assert "permissions" in result.stderr


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"group_column": "patient"}, "^--group-column cannot be used with the folder '.*': leave it out, or"),
        ({"split_column": "fold", "image_root": "x"}, "^--split-column and --image-root cannot .* leave them out, or"),
    ],
)
def test_what_only_a_table_reads_is_refused(grow: Grow, given: dict[str, str], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        open_dataset(grow({"cat": 2, "dog": 2}), **given)


def test_a_packed_archive_is_to_be_unpacked_and_a_zip_may_be_given(tmp_path: Path) -> None:
    told_of = {"a.rar": "'.*a.rar': unpack it", "b.zip": "'.*b.zip': give '.*b.zip' itself, or unpack it"}
    for name, told in told_of.items():
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        (folder / name).write_bytes(b"x")
        with pytest.raises(DataError, match=f"but an archive, {told}"):
            open_dataset(folder)


def test_classes_are_in_the_order_in_which_people_count(grow: Grow) -> None:
    names = tuple(map(str, range(11)))
    dataset = open_dataset(grow(dict.fromkeys(names, 2)))
    assert dataset.classes == names
    assert tuple(training_counts(dataset.frame)) == names


def test_a_user_that_is_unknown_is_a_name_like_any_other(
    grow: Grow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"There is no file or folder '~nobody-of-this-name/pics'"):
        open_dataset("~nobody-of-this-name/pics")
    grow({"cats": 2, "dogs": 2}, tmp_path / "~old")
    assert open_dataset("~old").classes == ("cats", "dogs")
