"""A zip file or a tar of class folders, read in place; hostile ones are refused."""

from __future__ import annotations

import copy
import io
import pickle
import shlex
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from forms_of_data import members, write_tar, write_zip
from generated_pictures import write_pictures

from automl_tl.data import open_dataset, read_rgb, scan
from automl_tl.data.forms import entries
from automl_tl.data.source import sources_of
from automl_tl.errors import DataError, PictureError

Write = Callable[[Path, dict[str, bytes]], Path]


def stored(archive: Path, content: dict[str, bytes]) -> Path:
    return write_zip(archive, content, zipfile.ZIP_STORED)


WRITERS: dict[str, tuple[str, Write]] = {
    "deflated": ("a.zip", write_zip),
    "stored": ("a.zip", stored),
    "tar": ("a.tar", write_tar),
}


@pytest.fixture(params=WRITERS)
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    name, writer = WRITERS[request.param]
    return lambda content: writer(tmp_path / name, content)


def listed(data: Path) -> pd.DataFrame:
    frame = open_dataset(data).frame.assign(path=lambda f: [Path(p).relative_to(data) for p in f["path"]])
    return frame.drop(columns="source", errors="ignore")


def test_an_archive_is_listed_as_the_folder_in_it(write: Write, pictures: Path) -> None:
    (pictures / "apple" / ".hidden.png").write_bytes(b"x")
    (pictures / "apple" / "notes.txt").write_bytes(b"x")
    archive = write(members(pictures))
    pd.testing.assert_frame_equal(listed(archive), listed(pictures))
    assert [one.reason for one in open_dataset(archive).skipped] == ["not a picture file"]


def test_parts_of_a_split_in_an_archive(write: Write, tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_pictures(tmp_path / "set" / part, seed=len(part))
    archive = write({f"./set/{name}": one for name, one in members(tmp_path / "set").items()})
    dataset = open_dataset(archive)
    assert dataset.frame["split"].value_counts().to_dict() == {"train": 18, "test": 18}
    assert dataset.form == f"folders in a {archive.suffix[1:]}"


def test_pictures_are_those_of_the_files(write: Write, pictures: Path) -> None:
    frame = open_dataset(write(members(pictures))).frame
    for source, file in zip(sources_of(frame), sorted(pictures.rglob("*.png")), strict=True):
        assert np.array_equal(read_rgb(pickle.loads(pickle.dumps(source))), read_rgb(file))


def test_an_archive_has_the_fingerprint_of_its_folder(write: Write, pictures: Path, tmp_path: Path) -> None:
    archive = write(members(pictures))
    (one, report), (other, _) = (scan(open_dataset(data), cache_dir=tmp_path) for data in (archive, pictures))
    assert one.fingerprint == other.fingerprint
    assert report.n_images == 18
    assert one.short(one.frame["path"][0]) == f"{archive.name}/apple/000.png"


def test_a_second_scan_opens_nothing(write: Write, pictures: Path, tmp_path: Path) -> None:
    archive = write(members(pictures))
    seen: list[int] = []
    for _ in range(2):
        scan(open_dataset(archive), cache_dir=tmp_path, progress=lambda done, _: seen.append(done))
    assert seen == [*range(19), 18]


def test_an_archive_that_was_changed_is_read_again(pictures: Path, tmp_path: Path) -> None:
    content = members(pictures)
    first, _ = scan(open_dataset(write_tar(tmp_path / "a.tar", content)), cache_dir=tmp_path)
    content["apple/000.png"] = members(write_pictures(tmp_path / "new", seed=7))["apple/000.png"]
    second, _ = scan(open_dataset(write_tar(tmp_path / "a.tar", content)), cache_dir=tmp_path)
    assert first.fingerprint != second.fingerprint


def test_a_zip_of_windows_and_one_of_macos(pictures: Path, tmp_path: Path) -> None:
    content = {name.replace("/", "\\"): one for name, one in members(pictures).items()}
    content["__MACOSX/apple/._000.png"] = b"x"
    dataset = open_dataset(write_zip(tmp_path / "a.zip", content))
    assert (len(dataset), dataset.skipped) == (18, ())


@pytest.mark.parametrize("encoding", ["utf-8", "cp437"])
def test_names_in_a_zip_whose_encoding_is_not_said(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """Unix's zip and macOS write UTF-8 without the flag that says so; where it is not set, cp437 is meant."""
    monkeypatch.setattr(zipfile.ZipInfo, "_encodeFilenameFlags", lambda info: (info.filename.encode(encoding), 0))
    content = {name.replace("apple", "K\u00fche"): one for name, one in members(pictures).items()}
    assert open_dataset(write_zip(tmp_path / "a.zip", content)).classes == ("K\u00fche", "leaf", "sky")


def test_a_tar_that_ends_too_early(pictures: Path, tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", members(pictures))
    whole = archive.read_bytes()
    source = sources_of(open_dataset(archive).frame)[-1]
    archive.write_bytes(whole[: whole.rindex(b"\x89PNG") + 100])
    with pytest.raises(PictureError, match="the archive ends within it"):
        read_rgb(source)
    with pytest.raises(DataError, match="cut off"):
        open_dataset(archive)


def test_a_member_that_is_gone(pictures: Path, tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", members(pictures))
    source = sources_of(open_dataset(archive).frame)[-1]
    archive.write_bytes(b"PK" * 100)
    with pytest.raises(PictureError, match="the archive has no file where it says"):
        read_rgb(source)
    archive.unlink()
    with pytest.raises(PictureError, match="cannot be read"):
        read_rgb(source)


# --- hostile ones -----------------------------------------------------------------------------------


def linked(kind: bytes) -> Callable[[Path, dict[str, bytes]], Path]:
    """Return what writes a tar with one more entry, of a kind that is no file."""

    def write(archive: Path, content: dict[str, bytes]) -> Path:
        write_tar(archive, content)
        with tarfile.open(archive, "a") as file:
            info = tarfile.TarInfo("apple/x.png")
            info.type, info.linkname = kind, "../../secret.png"
            file.addfile(info)
        return archive

    return write


def zip_link(archive: Path, content: dict[str, bytes]) -> Path:
    write_zip(archive, content)
    with zipfile.ZipFile(archive, "a") as file:
        info = zipfile.ZipInfo("apple/x.png")
        info.external_attr = 0o120777 << 16
        file.writestr(info, "../../secret.png")
    return archive


def bomb(archive: Path, content: dict[str, bytes]) -> Path:
    """Write a zip whose last file is said to have 3 GB."""
    write_zip(archive, content | {"apple/x.png": bytes(5000)})
    whole = bytearray(archive.read_bytes())
    place = whole.rindex(b"PK\1\2") + 24
    whole[place : place + 4] = (3_000_000_000).to_bytes(4, "little")
    archive.write_bytes(whole)
    return archive


def tar_bomb(archive: Path, content: dict[str, bytes]) -> Path:
    """Write a tar whose last header declares 8 GB that are not there."""
    write_tar(archive, content)
    info = tarfile.TarInfo("apple/x.png")
    info.size = 8 << 30
    archive.write_bytes(archive.read_bytes().rstrip(b"\0").ljust(512 * 400, b"\0")[: 512 * 400])
    with archive.open("r+b") as file:
        file.seek(0)
        file.write(info.tobuf())
    return archive


def encrypted(archive: Path, content: dict[str, bytes]) -> Path:
    write_zip(archive, content)
    whole = bytearray(archive.read_bytes())
    whole[whole.rindex(b"PK\1\2") + 8] |= 1
    archive.write_bytes(whole)
    return archive


def in_another_way(archive: Path, content: dict[str, bytes]) -> Path:
    return write_zip(archive, content, zipfile.ZIP_LZMA)


def compressed(archive: Path, content: dict[str, bytes]) -> Path:
    return write_tar(archive, content, "w:gz")


def overlapping(archive: Path, content: dict[str, bytes]) -> Path:
    """Write a zip that lists one file of zeros under many names."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("apple/0.png", bytes(1_000_000))
        (real,) = file.infolist()
        for number in range(1, 50):
            again = copy.copy(real)
            again.filename = f"leaf/{number}.png"
            file.filelist.append(again)
    return archive


HOSTILE: dict[str, tuple[str, Write, dict[str, bytes], str]] = {
    "a path that leads outside, zip": ("a.zip", write_zip, {"../x.png": b"x"}, r"'\.\./x\.png', a path that leads out"),
    "a path that leads outside, tar": ("a.tar", write_tar, {"b/../../x.png": b"x"}, "a path that leads out of it"),
    "an absolute path, zip": ("a.zip", write_zip, {"/etc/x.png": b"x"}, "'/etc/x.png', a path that leads out of it"),
    "an absolute path, tar": ("a.tar", write_tar, {"/etc/x.png": b"x"}, "a path that leads out of it"),
    "a drive": ("a.zip", write_zip, {"C:\\x.png": b"x"}, "a path that leads out of it"),
    "a link, zip": ("a.zip", zip_link, {}, "'apple/x.png', a link"),
    "a symbolic link, tar": ("a.tar", linked(tarfile.SYMTYPE), {}, "'apple/x.png', a link"),
    "a hard link, tar": ("a.tar", linked(tarfile.LNKTYPE), {}, "'apple/x.png', a link"),
    "a device": ("a.tar", linked(tarfile.CHRTYPE), {}, "'apple/x.png', a device"),
    "a bomb, zip": ("a.zip", bomb, {}, "'apple/x.png', a file of 3,000,000,000 bytes, where no picture"),
    "a bomb, tar": ("a.tar", tar_bomb, {}, "'apple/x.png', a file of 8,589,934,592 bytes, where no picture"),
    "a bomb of files that lie over one another": ("a.zip", overlapping, {}, "so some lie over others: give one of"),
    "encrypted": ("a.zip", encrypted, {}, "is encrypted: unpack it"),
    "another compression": ("a.zip", in_another_way, {}, "compressed in an unusual way: unpack it"),
    "a compressed tar": ("a.tar", compressed, {}, "cannot be read as a tar without compression"),
    "escapes in a name": ("a.tar", write_tar, {"../\x1b[31m": b"x"}, r"\\x1b\[31m', a path that leads out"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_refused(kind: str, pictures: Path, tmp_path: Path) -> None:
    name, writer, more, sentence = HOSTILE[kind]
    archive = writer(tmp_path / name, members(pictures) | more)
    with pytest.raises(DataError, match=sentence):
        open_dataset(archive)


@pytest.mark.parametrize(("name", "writer"), WRITERS.values(), ids=list(WRITERS))
def test_very_many_empty_files_are_refused(
    name: str, writer: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "MAX_EMPTY", 99)
    with pytest.raises(DataError, match="more than 99 empty files"):
        open_dataset(writer(tmp_path / name, {f"a/{number}.png": b"" for number in range(100)}))


@pytest.mark.parametrize(("name", "writer"), WRITERS.values(), ids=list(WRITERS))
def test_very_many_folders_are_refused(
    name: str, writer: Write, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "MAX_FOLDERS", 9)
    archive = writer(tmp_path / name, members(pictures))
    if name.endswith(".tar"):
        with tarfile.open(archive, "a") as file:
            for number in range(10):
                info = tarfile.TarInfo(f"empty/{number}")
                info.type = tarfile.DIRTYPE
                file.addfile(info)
    else:
        with zipfile.ZipFile(archive, "a") as file:
            for number in range(10):
                file.writestr(f"empty/{number}/", b"")
    with pytest.raises(DataError, match="more than 9 folders"):
        open_dataset(archive)


@pytest.mark.parametrize(("ending", "mode"), [("tgz", "gz"), ("tar.gz", "gz"), ("tar.bz2", "bz2"), ("txz", "xz")])
def test_the_command_for_a_compressed_tar_makes_one_that_is_read(
    pictures: Path, tmp_path: Path, ending: str, mode: str
) -> None:
    """A path with a blank and a quote is one word of the command."""
    archive = write_tar(tmp_path / f"it's all.{ending}", members(pictures), f"w:{mode}")
    with pytest.raises(DataError, match="is compressed as a whole") as caught:
        open_dataset(archive)
    command = shlex.split(str(caught.value).partition(": type ")[2].partition(" and give")[0])
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]} here")
    subprocess.run(command, check=True)
    assert len(open_dataset(tmp_path / "it's all.tar").frame) == 18


def test_a_bomb_that_hides_its_size_gives_no_more_than_it_says(pictures: Path, tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", members(pictures) | {"sky/zzz.png": bytes(50_000_000)})
    whole = bytearray(archive.read_bytes())
    place = whole.rindex(b"PK\1\2") + 24
    whole[place : place + 4] = (1000).to_bytes(4, "little")
    archive.write_bytes(whole)
    source = sources_of(open_dataset(archive).frame)[-1]
    assert len(source.open().read()) == 1000


def test_a_tar_whose_header_leads_back_ends(tmp_path: Path) -> None:
    info = tarfile.TarInfo("apple/x.png")
    block = bytearray(info.tobuf())
    block[124:136] = b"\xff" * 10 + b"\xfe\x00"  # a negative size in base 256
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    (tmp_path / "a.tar").write_bytes(bytes(block) * 3)
    with pytest.raises(DataError, match="a file of -512 bytes"):
        open_dataset(tmp_path / "a.tar")


def test_what_is_no_archive(tmp_path: Path) -> None:
    for name in ("a.zip", "a.tar"):
        (tmp_path / name).write_bytes(io.BytesIO(b"text" * 500).getvalue())
        with pytest.raises(DataError, match="cannot be read"):
            open_dataset(tmp_path / name)
