"""Heat maps as pictures and files: what is hot is coloured, names are safe, and nothing is overwritten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from generated_pictures import picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_models import trained_model

from automl_tl.errors import OptionError
from automl_tl.model.inputs import Input, list_inputs
from automl_tl.model.predict import Prediction, predict_inputs
from automl_tl.output import check_new_folder
from automl_tl.report.heat_maps import HeatMaps
from automl_tl.report.overlay import MOST_OPAQUE, layer, overlay


def test_the_hottest_place_is_the_most_opaque_and_what_is_below_average_clear() -> None:
    heat = np.array([[-5.0, 0.0, 3.0, 10.0]], np.float32)
    colours = np.asarray(layer(heat))[0]
    opacity = colours[:, 3] / 255
    assert opacity[:2].tolist() == [0, 0]
    assert 0 < opacity[2] < opacity[3] == pytest.approx(MOST_OPAQUE, abs=0.01)
    brightness = colours[:, :3].sum(1)
    assert brightness[3] > brightness[2]


def test_a_map_that_is_the_same_everywhere_colours_nothing() -> None:
    assert np.asarray(layer(np.full((3, 4), 7.0, np.float32)))[..., 3].max() == 0


def test_an_overlay_has_the_pictures_size_and_form_where_nothing_is_hot() -> None:
    below = picture(0, 0)
    heat = np.zeros(below.size[::-1], np.float32)
    heat[:8, :8] = 1
    found = overlay(below, heat)
    assert (found.size, found.mode) == (below.size, "RGB")
    grey = np.asarray(below.convert("L")).astype(float)
    assert np.corrcoef(np.asarray(found.convert("L"))[12:].ravel(), grey[12:].ravel())[0, 1] > 0.95
    assert np.abs(np.asarray(found)[:8, :8].astype(int) - np.asarray(below)[:8, :8]).mean() > 30


@given(st.lists(st.text(min_size=1), min_size=1, max_size=12))
def test_names_are_safe_and_never_twice_the_same(shown: list[str]) -> None:
    maps = HeatMaps(None, Path("folder"), len(shown))  # type: ignore[arg-type]
    names = []
    for number, name in enumerate(shown, start=1):
        maps.seen = number
        names.append(maps._name(Input(name)))
    assert len({name.casefold() for name in names}) == len(shown)
    for name in names:
        assert Path(name).name == name
        assert len(f".{name}.tmp-1234567".encode()) < 255
        assert not set(name) & set('/\\:*?"<>|\n\r\t \0\u202e')
    assert names == sorted(names)


def test_every_readable_picture_gets_a_file_of_its_row(pictures: Path, tmp_path: Path) -> None:
    model = trained_model(pictures)
    (pictures / "apple" / "001.png").write_bytes(b"broken")
    inputs = list_inputs([pictures / "apple", pictures / "sky"])
    maps = HeatMaps(model, tmp_path, len(inputs))
    for one, prediction in zip(inputs, predict_inputs(model, inputs), strict=True):
        maps.write(one, prediction)
    files = sorted(tmp_path.glob("*.png"))
    assert [file.name for file in files] == [
        f"{row:02d}-{int(Path(one.source).stem):03d}.png" for row, one in enumerate(inputs, start=1) if row != 2
    ]
    with Image.open(files[0]) as first, Image.open(inputs[0].source) as source:
        assert first.size == source.size
        assert np.abs(np.asarray(first).astype(int) - np.asarray(source)).mean() > 2
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [file.name for file in files]


def test_what_cannot_be_written_is_a_sentence(pictures: Path, tmp_path: Path) -> None:
    maps = HeatMaps(trained_model(pictures), tmp_path / "gone", 1)
    file = str(pictures / "sky" / "000.png")
    with pytest.raises(OptionError, match=r"--explain .+ cannot be written"):
        maps.write(Input(file, file), Prediction(file, "sky", 1.0))


def test_a_folder_must_be_new_or_empty(tmp_path: Path) -> None:
    check_new_folder(tmp_path / "new", "--explain")
    (tmp_path / "empty").mkdir()
    check_new_folder(tmp_path / "empty", "--explain")
    (tmp_path / "file").write_text("x")
    for folder, told in (
        (tmp_path, "is not empty"),
        (tmp_path / "file", "is a file"),
        (tmp_path / "a" / "b", "does not exist"),
    ):
        with pytest.raises(OptionError, match=told):
            check_new_folder(folder, "--explain")
