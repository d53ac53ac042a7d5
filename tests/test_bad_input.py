"""A corpus of bad input: every kind ends in one clear sentence and exit code 2, or is listed with its reason.

No entry may show a traceback or the word "unexpected" (which the command line says of a bug).
"""

from __future__ import annotations

import copy
import io
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from forms_of_data import write_tar, write_zip
from generated_pictures import picture, write_pictures
from PIL import Image

from automl_tl.cli import main


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def png(kind: int = 0, seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    picture(kind, seed).save(buffer, "PNG")
    return buffer.getvalue()


def huge_header() -> bytes:
    """A PNG that claims 60,000 x 60,000 pixels."""
    content = bytearray(png())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    return bytes(content)


def broken_jpeg() -> bytes:
    buffer = io.BytesIO()
    picture(0, 0, (200, 200)).save(buffer, "JPEG")
    return buffer.getvalue()[:1500]


# One bad file inside a good data set: it is listed with the reason, and the command works.
FILES: dict[str, tuple[str, bytes, str]] = {
    "zero bytes": ("bad.png", b"", "empty"),
    "truncated JPEG": ("bad.jpg", broken_jpeg(), "truncated or damaged"),
    "truncated PNG": ("bad.png", png()[:200], "truncated or damaged"),
    "text named as a picture": ("bad.jpg", b"hello, this is text", "not a picture"),
    "HTML of a failed download": ("bad.jpeg", b"<!doctype html><h1>404</h1>", "not a picture"),
    "header of a picture too large": ("bad.png", huge_header(), "too large"),
    "PDF": ("bad.pdf", b"%PDF-1.4", "not a picture"),
    "EPS, which would run a program": (
        "bad.eps",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "not a picture",
    ),
    "EPS named as JPEG": ("bad.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    "video": ("bad.mp4", b"\0\0\0\x18ftypmp42", "not a picture"),
    "random bytes": ("bad.webp", bytes(range(256)) * 4, "not a picture"),
    "PNG without pixels": ("bad.png", png()[:33], "not a picture|truncated or damaged"),
    "TIFF of rubbish": ("bad.tiff", b"II*\0" + b"\xff" * 60, "not a picture|truncated or damaged"),
    "SVG": ("bad.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
    "notes": ("notes.txt", b"remember", "not a picture"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_bad_file_is_listed_with_its_reason(kind: str, tmp_path: Path) -> None:
    name, content, reason = FILES[kind]
    root = write_pictures(tmp_path / "data")
    (root / "apple" / name).write_bytes(content)
    result = run("inspect", root, "--verbose")
    assert result.exit_code == 0, result.output
    (line,) = [part for part in result.output.splitlines() if name in part and "apple" in part]
    rest = result.output[result.output.index(line) :]
    assert re.search(reason, " ".join(rest.split())), rest
    assert "18 in 3 classes" in result.output


def folder(make: Callable[[Path], object]) -> Callable[[Path], tuple[object, ...]]:
    """Return what makes a bad folder and the arguments that name it."""

    def build(tmp_path: Path) -> tuple[object, ...]:
        root = tmp_path / "data"
        made = make(root)
        return ("inspect", made if isinstance(made, Path) else root)

    return build


def table(frame: dict[str, list[object]] | bytes, *options: str) -> Callable[[Path], tuple[object, ...]]:
    """Return what writes a bad table beside good pictures and the arguments that name it."""

    def build(tmp_path: Path) -> tuple[object, ...]:
        write_pictures(tmp_path)
        path = tmp_path / "table.csv"
        if isinstance(frame, bytes):
            path.write_bytes(frame)
        else:
            pd.DataFrame(frame).to_csv(path, index=False)
        return ("inspect", path, *options)

    return build


def good(*options: object) -> Callable[[Path], tuple[object, ...]]:
    """Return what asks for a recommendation of good pictures with bad options."""

    def build(tmp_path: Path) -> tuple[object, ...]:
        return ("recommend", write_pictures(tmp_path / "data"), *options)

    return build


def empty(root: Path) -> None:
    root.mkdir()


def loose(root: Path) -> None:
    root.mkdir()
    (root / "a.png").write_bytes(png())


def one_class(root: Path) -> None:
    write_pictures(root, classes=("apple",))


def one_each(root: Path) -> None:
    write_pictures(root, per_class=1)


def all_broken(root: Path) -> None:
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for i in range(3):
            (root / label / f"{i}.jpg").write_bytes(b"nothing")


def a_picture(root: Path) -> Path:
    path = root.with_suffix(".png")
    path.write_bytes(png())
    return path


def only_text(root: Path) -> None:
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        (root / label / "x.txt").write_text("x")


def only_hidden(root: Path) -> None:
    for label in (".a", ".b"):
        (root / label).mkdir(parents=True)
        (root / label / "1.png").write_bytes(png())


def same_everywhere(root: Path) -> None:
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for i in range(3):
            (root / label / f"{i}.png").write_bytes(png())


def parts(*names: str) -> Callable[[Path], None]:
    """Return what writes parts of a split that hold the same classes, or pictures alone."""

    def write(root: Path) -> None:
        for seed, name in enumerate(names):
            write_pictures(root / name, classes=("cats", "dogs"), per_class=2, seed=seed)

    return write


def twice(folder: Path, *names: str) -> Path:
    """Write the same pictures as every part of a split."""
    for name in names:
        write_pictures(folder / name, classes=("cats", "dogs"))
    return folder


def deep(root: Path, largest: int = 4095, form: str = "png", n: int = 6) -> Path:
    """Write grey pictures of 16 bits that use the values up to `largest`."""
    for kind, name in enumerate(("cats", "dogs")):
        (root / name).mkdir(parents=True, exist_ok=True)
        for seed in range(n):
            grey = np.asarray(picture(kind, seed).convert("L"), np.float64)
            values = (grey - grey.min()) * largest / np.ptp(grey)
            Image.fromarray(values.astype(np.uint16)).save(root / name / f"{seed}.{form}")
    return root


def black(root: Path) -> Path:
    """Write good pictures and a black one."""
    write_pictures(root)
    Image.new("RGB", (48, 48)).save(root / "apple" / "black.png")
    return root


def linked(root: Path) -> Path:
    archive = write_tar(root.with_suffix(".tar"), {"leaf/x.png": png()})
    with tarfile.open(archive, "a") as file:
        info = tarfile.TarInfo("apple/x.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(info)
    return archive


def cut_off(root: Path) -> Path:
    archive = write_tar(root.with_suffix(".tar"), {"apple/x.png": png()})
    archive.write_bytes(archive.read_bytes()[:1000])
    return archive


def bomb(root: Path) -> Path:
    """Write a zip whose last file is said to have 3 GB."""
    archive = write_zip(root.with_suffix(".zip"), {"apple/x.png": png()})
    content = bytearray(archive.read_bytes())
    place = content.rindex(b"PK\1\2") + 24
    content[place : place + 4] = (3_000_000_000).to_bytes(4, "little")
    archive.write_bytes(content)
    return archive


def overlapping(root: Path) -> Path:
    """Write a zip that lists one file of zeros under many names."""
    archive = write_zip(root.with_suffix(".zip"), {"apple/0.png": bytes(1_000_000)})
    with zipfile.ZipFile(archive, "a") as file:
        for number in range(1, 50):
            again = copy.copy(file.infolist()[0])
            again.filename = f"leaf/{number}.png"
            file.filelist.append(again)
        file.comment = b"changed"
    return archive


def saved_to_disk(root: Path) -> None:
    root.mkdir()
    for name in ("data-00000-of-00001.arrow", "dataset_info.json", "state.json"):
        (root / name).write_bytes(b"{}")


PATHS = ["apple/000.png", "apple/001.png", "leaf/000.png", "leaf/001.png"]
LABELS = ["a", "a", "b", "b"]

# The whole command is refused with one sentence and exit code 2.
REFUSED: dict[str, tuple[Callable[[Path], tuple[object, ...]], str]] = {
    "path that does not exist": (lambda p: ("inspect", p / "nowhere"), r"There is no file or folder '.*nowhere'"),
    "empty folder": (folder(empty), r"(?i)no .*(picture|class)"),
    "pictures without class folders": (folder(loose), r"directly, without a class: put them"),
    "one class": (folder(one_class), r"At least two classes are needed, but .* has one: 'apple' \(6 pictures\)"),
    "one picture per class": (folder(one_each), r"has only one picture to train on"),
    "every picture broken": (folder(all_broken), r"None of the pictures of .* can be used; .*not a picture"),
    "archive of another kind": (folder(lambda p: write_zip(p.with_suffix(".rar"), {"a/1.png": png()})), r"unpack it"),
    "a tar that is cut off": (folder(cut_off), r"cannot be read as a tar without compression"),
    "a tar of paths that lead outside": (
        folder(lambda p: write_tar(p.with_suffix(".tar"), {"../../apple/x.png": png()})),
        r"'\.\./\.\./apple/x\.png', a path that leads out of it",
    ),
    "a zip of absolute paths": (
        folder(lambda p: write_zip(p.with_suffix(".zip"), {"/apple/x.png": png()})),
        r"'/apple/x\.png', a path that leads out of it",
    ),
    "a tar with a link": (folder(linked), r"'apple/x\.png', a link"),
    "a zip of one huge file": (folder(bomb), r"a file of 3,000,000,000 bytes"),
    "a zip of nothing": (
        folder(lambda p: write_zip(p.with_suffix(".zip"), {f"a/{n}.png": b"" for n in range(10_001)})),
        r"more than 10,000 empty files",
    ),
    "a compressed tar": (
        folder(lambda p: write_tar(p.with_suffix(".tar.gz"), {"a/x.png": png()}, "w:gz")),
        r"type gunzip --keep \S+\.tar\.gz and give the file that this makes",
    ),
    "a data set that Hugging Face saved": (
        folder(saved_to_disk),
        r"as Hugging Face's save_to_disk writes it: give load_from_disk\(\.\.\.\) of it in Python",
    ),
    "a zip whose files lie over one another": (folder(overlapping), r"so some lie over others: give one of ordinary"),
    "a single picture": (folder(a_picture), r"(?i)picture"),
    "folders of text": (folder(only_text), r"(?i)picture"),
    "hidden folders only": (folder(only_hidden), r"(?i)(picture|class)"),
    "a training part of copies of the test": (
        lambda p: ("recommend", twice(p, "train", "test")),
        r"Every training picture of .* is a copy of one in a later part of its split: 12 training pictures left out",
    ),
    "the same picture under every label": (folder(same_everywhere), r"(?i)(different labels|left)"),
    "folds taken for classes": (
        folder(parts("fold0", "fold1")),
        r"look like parts of a split.*--split-folder fold1=test",
    ),
    "a part of a split of unknown name": (folder(parts("train", "test", "extra")), r"--split-folder extra=test"),
    "parts of a split without classes": (
        folder(lambda root: write_pictures(root, classes=("train", "test")) and None),
        r"holds only parts of a split \('test', 'train'\)",
    ),
    "a folder of a split that is not there": (
        lambda p: ("inspect", write_pictures(p / "d"), "--split-folder", "fold9=test"),
        r"--split-folder: there is no 'fold9'",
    ),
    "a part of a split without a name": (good("--split-folder", "test"), r"--split-folder: must be NAME=PART"),
    "table without the label": (table({"path": PATHS}), r"has no column 'label'; its columns are 'path'"),
    "table without the group": (
        table({"path": PATHS, "label": LABELS}, "--group-column", "patient"),
        r"has no column 'patient'",
    ),
    "unknown split": (
        table({"path": PATHS, "label": LABELS, "split": ["train", "train", "later", "train"]}),
        r"must be one of .*'later'",
    ),
    "empty table": (table(b""), r"(?i)table"),
    "table of a header only": (table({"path": [], "label": []}), r"(?i)(picture|row)"),
    "binary table": (table(b"\x00\xff\xfe\x00" * 50), r"(?i)table"),
    "labels with a comma and without quotes": (
        table(b"path,label\napple/000.png,lion, male\napple/001.png,lion, female\n"),
        r'Line 2 of the table .* has 3 cells .*quote the cell .* as in "lion, male"',
    ),
    "columns of other names": (
        table({"filename": PATHS, "class": LABELS}),
        r"give --path-column filename --label-column class",
    ),
    "one column twice": (table(b"path,label,label \na.png,b,c\n"), r"'label' \(column 2\) and 'label' \(column 3\)"),
    "table without names of columns": (
        table(b"apple/000.png,a\nleaf/000.png,b\n"),
        r"its first line is 'apple/000.png'",
    ),
    "table with a comment on top": (table(b"# my labels\npath,label\n"), r"is a comment \('# my labels'\): remove it"),
    "ids in place of paths": (
        table({"path": ["000", "001"], "label": ["a", "b"]}),
        r"give --image-root .*apple --extension \.png",
    ),
    "addresses in place of paths": (
        table({"path": ["https://x.org/a.png", "https://x.org/b.png"], "label": ["a", "b"]}),
        r"'https://x\.org/a\.png': an address, not a file",
    ),
    "paths on a Windows drive": (
        table({"path": ["C:\\data\\0.png", "C:\\data\\1.png"], "label": ["a", "b"]}),
        r"a path on a Windows drive",
    ),
    "a root of pictures that is not there": (
        table({"path": PATHS, "label": LABELS}, "--image-root", "/no/where"),
        r"--image-root '/no/where' is no folder",
    ),
    "table that leads outside": (
        table({"path": ["../../etc/a.png", "../b.png"], "label": ["a", "b"]}),
        r"leads out of the table's folder",
    ),
    "table of missing files": (
        table({"path": ["x.png", "y.png"], "label": ["a", "b"]}),
        r"(?i)(no such|not exist|missing)",
    ),
    "table without labels": (table({"path": PATHS, "label": [""] * 4}), r"(?i)label"),
    "Parquet of rubbish": (
        lambda p: ((p / "t.parquet").write_bytes(b"PAR1 nonsense"), ("inspect", p / "t.parquet"))[1],
        r"(?i)table",
    ),
    "unknown metric": (good("--metric", "bleu"), r"'bleu' is not one of"),
    "unknown backbone": (
        good("--backbone", "efficientnet_lite9"),
        r"there is no backbone 'efficientnet_lite9'; did you mean",
    ),
    "family without a name": (good("--backbone", "timm"), r"'timm' is a family; name one of its backbones"),
    "unknown member of a family": (good("--backbone", "timm:resnet51"), r"has no backbone 'resnet51'"),
    "member of what is no family": (good("--backbone", "efficientnet_lite0:x"), r"is a backbone, not a family"),
    "weights without a file": (good("--weights", "timm:resnet18"), r"must be NAME=FILE, but is 'timm:resnet18'"),
    "weights that do not exist": (good("--weights", "timm:resnet18=/nowhere/w.pth"), r"/nowhere/w\.pth does not exist"),
    "budget in words": (good("--budget", "soon"), r"--budget.*'soon'"),
    "negative budget": (good("--budget", "-5"), r"--budget"),
    "device of another planet": (good("--device", "tpu"), r"'tpu' is no device"),
    "CUDA where there is none": (good("--device", "cuda:7"), r"(?i)cuda"),
    "mean of two numbers": (good("--mean", "0.5,0.5"), r"must be one or three numbers"),
    "mean of bytes": (good("--mean", "123,116,103"), r"divide it by 255"),
    "std of zero": (good("--std", "0,0,0"), r"std must be positive"),
    "input size of one pixel": (good("--input-size", "1"), r"from 8 to 4096, but is 1"),
    "no picture allowed": (good("--max-images", "0"), r"--max-images"),
    "seed that is no number": (good("--seed", "x"), r"--seed"),
    "format of the future": (good("--format", "yaml"), r"'yaml' is not one of"),
    "cache folder that is a file": (
        lambda p: ((p / "f").write_text("x"), ("inspect", write_pictures(p / "d"), "--cache-dir", p / "f"))[1],
        r"the cache folder .* cannot be used",
    ),
    "reference of an unknown backbone": (
        lambda p: ("reference", "build", "nothing", write_pictures(p / "d")),
        r"no backbone 'nothing'",
    ),
    "reference from too few pictures": (
        lambda p: ("reference", "build", "efficientnet_lite0", write_pictures(p / "d"), "--out", p / "r.safetensors"),
        r"(?i)at least 50 pictures",
    ),
    "a run among the pictures": (
        lambda p: ("search", write_pictures(p / "d"), "--trials", 1, "--out", p / "d" / "run"),
        r"lies in the data .*, where it would become a class: give an --out outside",
    ),
    "a run in a folder of a name that is too long": (
        lambda p: ("search", write_pictures(p / "d"), "--trials", 1, "--out", p / ("n" * 300)),
        r"\(File name too long\): give a shorter path",
    ),
    "an output of unknown ending": (
        lambda p: ("predict", p, p, "--output", p / "o.xlsx"),
        r"no format is called '\.xlsx'; end it in \.csv, \.json",
    ),
    "an output of a name that is too long": (
        lambda p: ("predict", p, p, "--output", p / ("n" * 300 + ".csv")),
        r"\(File name too long\): give a shorter path",
    ),
    "Parquet on standard output": (
        lambda p: ("predict", p, p, "--format", "parquet"),
        r"--format parquet is not for standard output",
    ),
    "a list of paths that is not there": (
        lambda p: ("predict", p, "@nowhere.txt"),
        r"The list 'nowhere\.txt' cannot be read",
    ),
    "no such command": (lambda p: ("recomend", p), r"No such command 'recomend'"),
    "no data": (lambda p: ("recommend",), r"Missing argument 'DATA'"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_bad_input_is_refused_with_one_sentence(
    kind: str, tmp_path: Path, warnings_raised: Callable[[], list[str]]
) -> None:
    build, sentence = REFUSED[kind]
    result = run(*build(tmp_path))
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert "unexpected" not in result.output
    assert re.search(sentence, " ".join(result.output.split())), result.output
    assert warnings_raised() == []


# What is easily misread: it is read as it was meant, and the page says what was understood.
UNDERSTOOD: dict[str, tuple[Callable[[Path], tuple[object, ...]], str]] = {
    "the tutorial's training_set and test_set": (
        folder(parts("training_set", "test_set")),
        r"pictures 8 in 2 classes.* given split 4 train, 4 test",
    ),
    "train and eval": (folder(parts("train", "eval")), r"given split 4 train, 4 test"),
    "pictures to try beside the parts": (
        folder(lambda root: (parts("Train", "Test")(root), write_pictures(root, ("single_prediction",)))[0]),
        r"pictures 8 in 2 classes.*'single_prediction' lie in no class folder and are left out",
    ),
    "folds that are named": (
        lambda p: (*folder(parts("a", "b"))(p), "--split-folder", "a=train", "--split-folder", "b=test"),
        r"pictures 8 in 2 classes.* given split 4 train, 4 test",
    ),
    "a table as a spreadsheet writes it": (
        table(b"Path|Label|\r\napple/000.png|a|\r\napple/001.png|a|\r\nleaf/000.png|b|\r\n"),
        r"pictures 3 in 2 classes",
    ),
    "ids with a root and an extension": (
        lambda p: (
            *table({"path": ["000", "001", "002"], "label": ["a", "b", "b"]})(p),
            "--image-root",
            p / "apple",
            "--extension",
            ".png",
        ),
        r"pictures 3 in 2 classes",
    ),
    "several labels in one": (
        table({"path": PATHS, "label": ["cat|small", "cat|small", "b", "b"]}),
        r"'cat\|small' for example, of 2 pictures: a picture has one label here",
    ),
    "words for no label": (
        table({"path": PATHS, "label": ["NaN", "NaN", "None", "None"]}),
        r"Taken as it stands, as a class: 'NaN', 'None' \(4 pictures\)",
    ),
    "classes that differ in case": (
        folder(lambda root: write_pictures(root, classes=("Cat", "cat")) and None),
        r"differ in case or white space alone: 'Cat' and 'cat'",
    ),
    "classes that differ in white space": (
        folder(lambda root: write_pictures(root, classes=("dog", "dog ")) and None),
        r"Classes dog 6 \S+ 'dog ' 6 .*differ in case or white space alone: 'dog' and 'dog '",
    ),
    "a split that leaks": (
        lambda p: ("inspect", twice(p, "train", "test")),
        r"given split 12 train, 12 test it leaks 12 of 12 pictures in 'train' have copies in a later part .*"
        r"Duplicates - 12 pictures could go without losing one; the given split has them in several parts.*"
        r"Worth knowing - The given split leaks: 12 of 12 pictures in 'train' have copies in a later part",
    ),
    "classes that are numbers": (
        folder(lambda root: write_pictures(root, classes=("1", "10", "9", "2"), per_class=2) and None),
        r"Classes 1 2 \S+ 2 2 \S+ 9 2 \S+ 10 2",
    ),
    "twelve bits in sixteen": (folder(deep), r"depth 12 bits \(0 to 4,095\)"),
    "one TIFF of 4,096 among those of 4,095": (
        folder(lambda root: deep(deep(root, form="tif"), 4096, "tiff", 1)),
        r"depth 14 bits \(0 to 16,383\)",
    ),
    "a test part beyond the range of the training part": (
        folder(lambda root: (deep(root / "train"), deep(root / "test", 65535, n=1), root)[-1]),
        r"depth 12 bits .*Outside the range of the training pictures, 12 bits \(0 to 4,095\): 2 of 14 pictures "
        r"\('test/cats/0\.png', 'test/dogs/0\.png'\)",
    ),
    "a black picture": (
        folder(black),
        r"Blank, nearly black or of hardly any contrast, .*: 1 of 19 pictures \('apple/black\.png'\)",
    ),
    "one picture of more bits among those of 8": (
        folder(lambda root: (write_pictures(root), deep(root, n=1), root)[-1]),
        r"8-bit RGB, of 2 pictures 12 bits \(0 to 4,095\).*depth 8 bits \(0 to 255\), of 2 pictures 12 bits",
    ),
    "classes of classes": (
        lambda p: (*folder(parts("animals", "toys"))(p), "--split-folder", "none"),
        r"The folders in 'animals' \('cats', 'dogs'\) are taken together as one class",
    ),
}


@pytest.mark.parametrize("kind", UNDERSTOOD)
def test_what_is_easily_misread_is_understood(
    kind: str, tmp_path: Path, warnings_raised: Callable[[], list[str]]
) -> None:
    build, shown = UNDERSTOOD[kind]
    result = run(*build(tmp_path))
    assert result.exit_code == 0, result.output
    assert re.search(shown, " ".join(result.output.split())), result.output
    assert warnings_raised() == []


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(FILES) + len(REFUSED) + len(UNDERSTOOD) >= 95


def weights_file(tmp_path: Path, content: object) -> Path:
    import torch

    path = tmp_path / "w.pth"
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"wrong": [1.0]}, r"holds no tensors by name"),
        ({"a": Image.new("RGB", (1, 1))}, r"(?i)weights"),  # a pickle of something else than tensors
    ],
)
def test_a_weights_file_of_something_else_is_refused(content: object, sentence: str, tmp_path: Path) -> None:
    file = weights_file(tmp_path, content)
    result = run("recommend", write_pictures(tmp_path / "data"), "--weights", f"timm:resnet18={file}")
    assert result.exit_code == 2, result.output
    assert "unexpected" not in result.output
    assert re.search(sentence, " ".join(result.output.split())), result.output
