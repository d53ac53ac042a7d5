"""Pictures in object stores that `predict` is given: alone, in folders, in tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from automl_tl.data.object_store import file_system
from automl_tl.errors import DataError
from automl_tl.model.inputs import Input, list_inputs

ROOT = "memory://bucket/new"


@pytest.fixture(autouse=True)
def store() -> Iterator[None]:
    """A store in memory with three pictures and a table."""
    files = file_system("memory")
    files.store.clear()
    for name in ("a.png", "deep/b.png", "deep/c.png"):
        files.pipe_file(f"{ROOT}/{name}", name.encode())
    files.pipe_file(f"{ROOT}/table.csv", b"path\ndeep/b.png\nnone.png\n../secret.png\n\n")
    yield
    files.store.clear()


def contents(inputs: tuple[Input, ...]) -> list[str]:
    return [one.source.open().read().decode() for one in inputs if not one.problem]  # type: ignore[union-attr]


def test_a_folder_and_a_picture() -> None:
    assert contents(list_inputs([ROOT, f"{ROOT}/deep/c.png"])) == ["a.png", "deep/b.png", "deep/c.png", "deep/c.png"]


def test_a_table_keeps_the_place_of_what_is_not_there() -> None:
    found = list_inputs(f"{ROOT}/table.csv")
    assert contents(found) == ["deep/b.png"]
    assert [one.shown for one in found] == ["deep/b.png", "none.png", "../secret.png"]
    assert [one.problem for one in found] == [
        None,
        "there is no such object in the store (row 2 of the table)",
        "leads out of the table's folder: name it by its whole address (row 3 of the table)",
    ]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (f"{ROOT}/none", "There is nothing at"),
        ("memory://nowhere", "There is nothing at"),
        ("https://example.org/new", "is an address, not a file"),
        ("https://example.org/new.png", "is an address, not a file"),
        ("file:///etc/new.png", "is an address, not a file"),
    ],
)
def test_what_is_not_there(address: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        list_inputs(address)
