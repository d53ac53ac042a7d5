"""Tables that users ask for as files: whole or not there, and inert in a spreadsheet."""

from __future__ import annotations

import csv
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_tl.errors import OptionError
from automl_tl.output import appearing, check_output, write_csv

COLUMNS = ("path", "share")
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)


def written(file: Path, rows: list[tuple[str, float]]) -> list[list[str]]:
    write_csv(file, COLUMNS, rows)
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


@given(st.lists(st.tuples(TEXTS, st.floats(0, 1)), max_size=4))
def test_every_cell_comes_back_and_none_is_a_formula(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, float]]
) -> None:
    header, *found = written(tmp_path_factory.mktemp("t") / "t.csv", rows)
    assert header == list(COLUMNS)
    for (text, share), (cell, number) in zip(rows, found, strict=True):
        assert cell in (text, f"'{text}")
        assert cell[:1] not in ("=", "@", "\t", "\r")
        assert float(number) == pytest.approx(share, rel=1e-5, abs=1e-300)


def test_what_no_encoding_has_is_written_out(tmp_path: Path) -> None:
    assert written(tmp_path / "t.csv", [("caf\udce9.png", 0.5)])[1] == ["caf\\udce9.png", "0.5"]


def test_nothing_is_left_of_a_table_that_was_not_finished(tmp_path: Path) -> None:
    def rows() -> object:
        yield "a", 0.5
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_csv(tmp_path / "t.csv", COLUMNS, rows())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_standard_output_may_be_named() -> None:
    """Where it is a pipe it has no other name: what /dev/stdout leads to is called pipe:[123]."""
    code = (
        "from pathlib import Path; from automl_tl.output import check_output, write_csv; "
        "check_output(Path('/dev/stdout')); write_csv(Path('/dev/stdout'), ('a',), [('b',)])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["a", "b"]


def test_what_is_wrong_with_another_file_is_not_said_of_this_one(tmp_path: Path) -> None:
    """Too many open files, found while a picture is read: --output has nothing to do with it."""
    other = OSError(errno.EMFILE, "Too many open files", "photo.jpg")
    with pytest.raises(OSError, match=r"photo\.jpg"), appearing(tmp_path / "t.csv"):
        raise other
    with pytest.raises(OptionError, match=r"--output .*t\.csv' cannot be written"), appearing(tmp_path / "t.csv"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_device_may_be_written_to_and_a_link_is_looked_at_where_it_leads(tmp_path: Path) -> None:
    check_output(Path(os.devnull))
    (tmp_path / "link").symlink_to(tmp_path / "gone" / "t.csv")
    with pytest.raises(OptionError, match="its folder does not exist"):
        check_output(tmp_path / "link")


def test_a_dash_is_no_file() -> None:
    with pytest.raises(OptionError, match="'-' would be a file of that name, not standard output; name a"):
        check_output(Path("-"))


def test_what_is_read_is_never_replaced(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("path,label\n")
    (tmp_path / "link.csv").symlink_to(table)
    for output in (table, tmp_path / "link.csv", tmp_path / "." / "table.csv"):
        with pytest.raises(OptionError, match=r"--errors '.*' is what is read, and would be replaced; name another"):
            check_output(output, "--errors", read=["s3://bucket/table.csv", table])
    check_output(tmp_path / "other.csv", read=[table])
