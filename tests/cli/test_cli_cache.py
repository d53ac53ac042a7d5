"""The cache folder: found, created, shown, and cleared without touching anybody's files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from unprivileged import Restricted

from automl_tl import cache_dir as cache_dir_module
from automl_tl.cache_dir import KINDS, MARK, cache_dir, cache_path, clear, sizes
from automl_tl.cli import main
from automl_tl.errors import CacheError
from automl_tl.wording import format_bytes


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, ["cache", *arguments], input=answer)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    path = cache_dir(tmp_path / "store")
    (path / "features" / "ab").mkdir()
    (path / "features" / "ab" / "shard.safetensors").write_bytes(b"x" * 1500)
    (path / "scan" / "a.json").write_bytes(b"x" * 10)
    return path


def test_the_option_wins_over_the_variable_over_the_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOML_TL_CACHE_DIR", str(tmp_path / "variable"))
    assert cache_path(tmp_path / "option") == tmp_path / "option"
    assert cache_path() == tmp_path / "variable"
    monkeypatch.setenv("AUTOML_TL_CACHE_DIR", "")
    assert cache_path().name == "automl-tl"


def test_the_path_is_absolute_and_knows_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert cache_path(Path("~/store")) == tmp_path / "store"
    assert cache_path(Path("store")) == tmp_path / "store"


def test_it_is_created_with_its_kinds(tmp_path: Path) -> None:
    path = cache_dir(tmp_path / "a" / "b")
    assert path == tmp_path / "a" / "b"
    assert {entry.name for entry in path.iterdir()} == {MARK, *KINDS}
    assert cache_dir(path) == path  # a second time, now that it holds files


def test_a_folder_with_other_files_gets_a_folder_of_ours(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert cache_dir(tmp_path) == tmp_path / "automl-tl"
    assert cache_path(tmp_path) == tmp_path / "automl-tl"


def test_another_programs_tag_does_not_make_a_folder_ours(tmp_path: Path) -> None:
    (tmp_path / MARK).write_text("Signature: 8a477f597d28d172789f06886806bc55\n# made by somebody else\n")
    assert cache_path(tmp_path) == tmp_path / "automl-tl"


def test_a_file_in_the_way_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path, reason in (
        (tmp_path / "file", "it is a file"),
        (tmp_path / "file" / "below", "Not a directory"),
    ):
        with pytest.raises(CacheError, match=f"{reason}.*--cache-dir"):
            cache_dir(path)


def test_a_cache_that_cannot_be_written_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled = cache_dir(tmp_path / "cache")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert cache_dir(filled) == filled
    with pytest.raises(CacheError, match=r"Read-only file system.*--cache-dir"):
        cache_dir(tmp_path / "other")


def test_a_folder_without_permission_is_a_sentence(tmp_path: Path, pictures: Path, restricted: Restricted) -> None:
    (closed := tmp_path / "closed").mkdir(mode=0o500)
    result = restricted("-m", "automl_tl", "inspect", str(pictures), "--cache-dir", str(closed / "store"))
    assert result.returncode == 2
    assert "cannot be used" in result.stderr


def test_sizes_count_files_and_bytes(filled: Path) -> None:
    assert [(size.kind, size.n_files, size.n_bytes) for size in sizes(filled)] == [
        ("scan", 1, 10),
        ("features", 1, 1500),
        ("domain", 0, 0),
        ("evidence", 0, 0),
        ("short_training", 0, 0),
        ("timing", 0, 0),
        ("preflight", 0, 0),
    ]


def test_clear_deletes_the_kinds_and_nothing_else(filled: Path, tmp_path: Path) -> None:
    (filled / "mine.txt").write_text("keep")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "keep.txt").write_text("keep")
    (filled / "domain").rmdir()
    (filled / "domain").symlink_to(tmp_path / "elsewhere")
    clear(filled)
    assert {entry.name for entry in filled.iterdir()} == {MARK, "mine.txt"}
    assert (tmp_path / "elsewhere" / "keep.txt").exists()


def test_clear_refuses_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "model.py").write_text("mine")
    with pytest.raises(CacheError, match="was not made by automl-tl"):
        clear(tmp_path)
    assert run("clear", "--yes", "--cache-dir", str(tmp_path)).exit_code == 0
    assert (tmp_path / "features" / "model.py").exists()


def test_info_shows_each_kind(filled: Path) -> None:
    result = run("info", "--cache-dir", str(filled))
    assert result.exit_code == 0
    assert "2 files, 1.5 kB" in result.stdout
    assert all(kind in result.stdout for kind in KINDS)


def test_info_as_json(filled: Path) -> None:
    value = json.loads(run("info", "--cache-dir", str(filled), "--format", "json").stdout)
    assert value["path"] == str(filled)
    assert value["bytes"] == 1510
    assert value["kinds"]["features"] == {"files": 1, "bytes": 1500}


def test_info_creates_nothing(tmp_path: Path) -> None:
    result = run("info", "--cache-dir", str(tmp_path / "none"))
    assert result.exit_code == 0
    assert "nothing yet" in result.stdout
    assert not (tmp_path / "none").exists()


def test_clear_asks(filled: Path) -> None:
    for answer in ("n\n", ""):  # nobody is there to be asked
        refused = run("clear", "--cache-dir", str(filled), answer=answer)
        assert refused.exit_code == 1
        assert refused.stdout.endswith("Nothing was deleted; --yes deletes without asking.\n")
    assert (filled / "scan" / "a.json").exists()
    agreed = run("clear", "--cache-dir", str(filled), answer="y\n")
    assert agreed.exit_code == 0
    assert f"Deleted 2 files, 1.5 kB in {filled}." in agreed.stdout
    assert not (filled / "scan").exists()


def test_clear_with_yes_and_then_nothing_is_left(filled: Path) -> None:
    assert "Deleted 2 files" in run("clear", "--yes", "--cache-dir", str(filled)).stdout
    assert run("clear", "--cache-dir", str(filled)).stdout == f"Nothing is cached in {filled}.\n"


def test_a_file_as_cache_dir_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    result = run("info", "--cache-dir", str(tmp_path / "file"))
    assert result.exit_code == 2
    assert "it is a file" in result.stderr


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (99_600, "100 kB"),
        (999_700, "1.0 MB"),
        (8_000_000_000, "8.0 GB"),
    ],
)
def test_format_bytes(n: int, text: str) -> None:
    assert format_bytes(n) == text


def test_an_empty_tag_of_somebody_s_deletes_nothing(tmp_path: Path) -> None:
    (tmp_path / MARK).touch()
    (tmp_path / "features").mkdir()
    with pytest.raises(CacheError, match="was not made by automl-tl"):
        clear(tmp_path)
    assert (tmp_path / "features").is_dir()


def test_all_of_it_goes_though_another_process_deletes_too(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cache_dir_module.shutil.rmtree

    def interrupted(folder: Path) -> None:
        monkeypatch.setattr(cache_dir_module.shutil, "rmtree", whole)
        raise FileNotFoundError(folder)

    monkeypatch.setattr(cache_dir_module.shutil, "rmtree", interrupted)
    clear(filled)
    assert not any((filled / kind).exists() for kind in KINDS)


def test_a_tag_that_was_left_empty_is_written(tmp_path: Path) -> None:
    """As by a process that was killed between making and writing it."""
    path = cache_dir(tmp_path / "store")
    (path / MARK).write_text("")
    assert cache_dir(path) == path
    clear(path)
    assert "automl-tl" in (path / MARK).read_text()
