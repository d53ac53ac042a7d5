"""Source pictures are spread over the folders, drawn by the seed, and readable."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from automl_tl.domain.source_pictures import source_pictures, spread
from automl_tl.errors import DataError, DomainReferenceError


def test_every_folder_gets_its_turn() -> None:
    paths = [Path("big") / f"{i}" for i in range(50)] + [Path("small") / f"{i}" for i in range(3)] + [Path("top")]
    assert Counter(str(path.parent) for path in spread(paths, 11, seed=0)) == {"big": 7, "small": 3, ".": 1}
    assert spread(paths, 1000, seed=0) == sorted(paths)


def test_the_seed_draws() -> None:
    paths = [Path("a") / f"{i}" for i in range(50)]
    assert spread(paths, 10, seed=1) == spread(paths[::-1], 10, seed=1)
    assert spread(paths, 10, seed=1) != spread(paths, 10, seed=2)


def test_unreadable_pictures_are_left_out(make_pictures: Callable[..., Path]) -> None:
    folder = make_pictures(per_class=2)
    (folder / "apple" / "000.png").write_bytes(b"no picture")
    pictures = source_pictures(folder)
    assert len(pictures) == 5
    assert all(one.sha256 == hashlib.sha256(Path(one.path).read_bytes()).hexdigest() for one in pictures)


def test_no_picture_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DomainReferenceError, match="no picture that can be read"):
        source_pictures(tmp_path)
    with pytest.raises(DataError, match="cannot be opened"):
        source_pictures(tmp_path / "none")
