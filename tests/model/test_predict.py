"""Predictions come in the order of the input, one for every picture, whatever is wrong with some."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from forms_of_data import members, write_parquet, write_tar, write_zip
from generated_pictures import MakePictures, picture
from PIL import Image
from tiny_models import CLASSES, member, trained_model

from automl_tl.data.decode import Preprocessing, prepare, preprocess
from automl_tl.data.value_range import ValueRange
from automl_tl.errors import BackboneError, DataError, OptionError, PictureError
from automl_tl.model import decoding
from automl_tl.model.decoding import decoded_batches
from automl_tl.model.inputs import list_inputs, listed
from automl_tl.model.model import Model, mix
from automl_tl.model.novelty import contrast, like_training
from automl_tl.model.predict import predict

TWELVE = ValueRange(0, 4095)


@pytest.fixture
def model(pictures: Path) -> Model:
    return trained_model(pictures)


def files(pictures: Path) -> list[Path]:
    return sorted(pictures.rglob("*.png"))


# --- the model --------------------------------------------------------------------------------------


def test_probabilities_are_the_weighted_mean_of_each_members_softmax() -> None:
    scores = [np.array([[2.0, 0.0]]), np.array([[0.0, 4.0]])]
    expected = 0.25 / (1 + np.exp(-1)) + 0.75 / (1 + np.exp(2))
    found = mix(scores, (0.25, 0.75), 2.0)
    assert found == pytest.approx(np.array([[expected, 1 - expected]]))


def test_huge_scores_do_not_overflow() -> None:
    assert mix([np.array([[1e8, 0.0, -1e8]])], (1.0,), 0.01).tolist() == [[1.0, 0.0, 0.0]]


def test_two_members_with_pictures_of_their_own_kind(pictures: Path) -> None:
    first, second = member(weight=0.5), member(weight=0.5, seed=1, fit="crop")
    both = Model((first, second), CLASSES, 3.0, "squash")
    assert len(both.preprocessings) == 2
    found = both.probabilities(files(pictures)[:5], batch_size=2)
    single = [
        Model((type(one)(**{**vars(one), "weight": 1.0}),), CLASSES, 3.0, "squash").probabilities(files(pictures)[:5])
        for one in (first, second)
    ]
    assert found == pytest.approx((single[0] + single[1]) / 2, abs=1e-6)
    assert not np.allclose(single[0], single[1], atol=1e-3)
    assert found.sum(axis=1) == pytest.approx(np.ones(5))


def test_files_bytes_and_pixels_are_the_same_picture(model: Model, pictures: Path) -> None:
    file = files(pictures)[0]
    found = model.probabilities([file, str(file), file.read_bytes(), np.asarray(Image.open(file))])
    assert found == pytest.approx(np.repeat(found[:1], 4, axis=0), abs=1e-6)


def test_no_picture_gives_no_row(model: Model) -> None:
    assert model.probabilities([]).shape == (0, 3)


@pytest.mark.parametrize("bad", [b"nothing", np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), Path("none.png")])
def test_probabilities_name_the_picture_that_cannot_be_read(model: Model, pictures: Path, bad: object) -> None:
    with pytest.raises(PictureError, match="picture 3 cannot be used"):
        model.probabilities([*files(pictures)[:2], bad], batch_size=2)  # type: ignore[list-item]


def test_a_network_that_puts_out_nan_is_an_error(model: Model, pictures: Path) -> None:
    with torch.no_grad():
        model.members[0].head.linear.bias[0] = float("nan")
    with pytest.raises(BackboneError, match="tiny puts out NaN"):
        model.predict(pictures)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"members": ()}, "weights sum to 1"),
        ({"members": (replace(member(), weight=float("nan")),)}, "weights sum to 1"),
        ({"classes": ("a", "b")}, "3 classes, but the model has 2"),
        ({"classes": ("a", "b", "b")}, "each once"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": -1.0}, "temperature"),
    ],
)
def test_a_model_that_cannot_be(change: dict[str, object], told: str) -> None:
    parts = {"members": (member(),), "classes": CLASSES, "temperature": 1.0, "fit": "squash", **change}
    with pytest.raises(ValueError, match=told):
        Model(**parts)  # type: ignore[arg-type]


# --- predictions ------------------------------------------------------------------------------------


def test_every_picture_of_a_folder_in_order(model: Model, pictures: Path) -> None:
    found = model.predict(pictures)
    assert [one.path for one in found] == [str(file) for file in files(pictures)]
    assert [one.label for one in found] == [file.parent.name for file in files(pictures)]
    for one in found:
        assert one.probabilities is not None
        assert one.probabilities.sum() == pytest.approx(1)
        assert one.probability == one.probabilities.max() == one.top[0][1]
        assert one.error is None
        assert not one.unusual


def test_pictures_in_memory_among_files(model: Model, pictures: Path) -> None:
    file = files(pictures)[0]
    found = model.predict([np.array(Image.open(file)), file, Image.open(file), file.read_bytes(), np.zeros((4, 4))])
    assert [one.path for one in found] == ["picture 1", str(file), "picture 3", "picture 4", "picture 5"]
    assert len({one.probability for one in found[:4]}) == 1
    assert found[4].error == "pixels must be uint8 (H, W, 3), but are float64 (4, 4)"


def test_a_frame_names_its_pictures_as_a_table_does(model: Model, pictures: Path) -> None:
    files = sorted(pictures.rglob("*.png"))[:2]
    cells = [str(files[0]), files[1], files[0].read_bytes(), "gone.png"]
    found = model.predict(pd.DataFrame({"label": "?", "file": cells}, index=[3, 1, 1, 0]), path_column="file")
    assert [one.label for one in found] == [one.label for one in model.predict([*files, files[0]])] + [None]
    assert found[3].error == "no such file (row 4 of the table)"
    assert [one.label for one in model.predict(pd.DataFrame({"path": [files[0].stem]}), extension=".png",
            image_root=files[0].parent)] == [found[0].label]  # fmt: skip
    with pytest.raises(DataError, match="path"):
        model.predict(pd.DataFrame({"file": cells}))


def test_a_folder_whose_name_is_no_text_is_a_row(model: Model, pictures: Path, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "new") + b"/bad\xff"
    try:
        os.makedirs(folder)
    except OSError:
        pytest.skip("this file system takes no such names")
    file = next(pictures.rglob("*.png"))
    for name in (b"x.png", b"../good.png"):
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(file.read_bytes())
    good, bad = model.predict(tmp_path / "new")
    assert good.label is not None
    assert bad.error == "cannot be opened: its name is not valid UTF-8: rename it"


def test_pictures_in_archives_and_in_parquet(model: Model, pictures: Path, tmp_path: Path) -> None:
    content = members(pictures)
    expected = [one.probability for one in model.predict(pictures)]
    for data in (write_zip(tmp_path / "a.zip", content), write_tar(tmp_path / "a.tar", content)):
        found = model.predict(data)
        assert [one.path for one in found] == [f"{data}/{name}" for name in content]
        assert [one.probability for one in found] == pytest.approx(expected)
    found = model.predict(write_parquet(tmp_path / "a.parquet", content))
    assert found[-1].path == str(tmp_path / "a.parquet" / "row 18")
    assert [one.probability for one in found] == pytest.approx(expected)


def test_an_archive_without_pictures_or_with_hostile_ones(model: Model, tmp_path: Path) -> None:
    for content, sentence in (({"a.txt": b"x"}, "There is no picture in"), ({"../a.png": b"x"}, "leads out of it")):
        with pytest.raises(DataError, match=sentence):
            model.predict(write_zip(tmp_path / "a.zip", content))


def test_given_order_and_repetition_are_kept(model: Model, pictures: Path) -> None:
    first, second = files(pictures)[0], files(pictures)[-1]
    paths = [second, first, second, first.parent]
    found = list(predict(model, paths, batch_size=2))
    assert [one.path for one in found[:3]] == [str(second), str(first), str(second)]
    assert [one.label for one in found[:3]] == ["sky", "apple", "sky"]
    assert len(found) == 9


def test_top_k_is_sorted_and_never_more_than_there_are(model: Model, pictures: Path) -> None:
    (one,) = model.predict(files(pictures)[0], top_k=2)
    assert len(one.top) == 2
    assert one.top[0] == (one.label, one.probability)
    assert one.top[0][1] >= one.top[1][1]
    (every,) = model.predict(files(pictures)[0], top_k=99)
    assert sorted(label for label, _ in every.top) == sorted(CLASSES)
    with pytest.raises(OptionError, match="at least 1, but is 0"):
        predict(model, pictures, top_k=0)


def test_a_bad_picture_is_a_row_among_the_good_ones(model: Model, pictures: Path) -> None:
    (pictures / "apple" / "001.png").write_bytes(b"broken")
    (pictures / "leaf" / "000.png").write_bytes(b"")
    found = list(predict(model, pictures, batch_size=4))
    assert len(found) == 18
    bad = {Path(one.path).relative_to(pictures).as_posix(): one for one in found if one.error}
    assert {name: one.error for name, one in bad.items()} == {
        "apple/001.png": "not a picture",
        "leaf/000.png": "empty (0 bytes)",
    }
    one = bad["apple/001.png"]
    assert (one.label, one.probability, one.top, one.probabilities, one.novelty) == (None, None, (), None, None)
    good = [one for one in found if not one.error]
    assert [one.label for one in good] == [Path(one.path).parent.name for one in good]


def test_nothing_but_bad_pictures(model: Model, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    assert [one.error for one in model.predict([tmp_path / "a.png", tmp_path / "b.png"])] == ["not a picture"] * 2


def test_a_picture_of_something_else_is_unusual(model: Model, pictures: Path, tmp_path: Path) -> None:
    Image.fromarray((np.indices((48, 48)).sum(0) // 6 % 2 * 255).astype(np.uint8)).convert("RGB").save(
        tmp_path / "odd.png"
    )
    odd, known = model.predict([tmp_path / "odd.png", files(pictures)[0]])
    assert odd.unusual
    assert not known.unusual
    assert odd.novelty is not None
    assert known.novelty is not None
    assert odd.novelty > model.novelty.threshold > known.novelty  # type: ignore[union-attr]


def test_a_model_without_neighbours_calls_nothing_unusual(pictures: Path) -> None:
    (one,) = Model((member(),), CLASSES, 1.0, "squash").predict(files(pictures)[0])
    assert one.novelty is None
    assert not one.unusual


def test_progress_is_told(model: Model, pictures: Path) -> None:
    told: list[tuple[int, int]] = []
    list(predict(model, pictures, batch_size=7, progress=lambda done, total: told.append((done, total))))
    assert told == [(7, 18), (14, 18), (18, 18)]


# --- decoding ---------------------------------------------------------------------------------------


def test_decoding_is_never_far_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    lock, taken = threading.Lock(), [0]

    def source() -> Iterator[bytes]:
        for _ in range(1000):
            with lock:
                taken[0] += 1
            yield b"x"

    batches = decoded_batches(source(), [Preprocessing(8)], batch_size=10, threads=2)
    next(batches)
    assert taken[0] <= 10 * (decoding._AHEAD + 1)
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() < 20


def test_each_picture_is_decoded_once_for_each_preprocessing(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, Preprocessing]] = []

    def counted(source: Path | bytes, how: Preprocessing) -> tuple[np.ndarray, str]:
        calls.append((source, how))
        return prepare(source, how)

    monkeypatch.setattr(decoding, "prepare", counted)
    members = (member(weight=0.5), member(weight=0.25, seed=1), member(weight=0.25, fit="pad"))
    Model(members, CLASSES, 1.0, "squash").probabilities(files(pictures)[:3])
    assert len(calls) == len(set(calls)) == 6


# --- what is named ----------------------------------------------------------------------------------


def shown(*paths: str | Path, **more: str) -> list[str]:
    return [one.shown for one in list_inputs(paths, **more)]


def test_a_list_ends_lines_where_a_shell_does(tmp_path: Path) -> None:
    """All other characters that Python takes for the end of a line may be in a file's name."""
    names = ["a\u2028b.png", "c\x0bd.png", "e\rf.png", "g.png"]
    (tmp_path / "list").write_bytes("\r\n".join([*names, ""]).encode())
    assert listed([f"@{tmp_path / 'list'}"], None) == names


def test_folders_are_searched_without_what_is_hidden(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pictures.parent)
    (pictures / ".cache").mkdir()
    shutil.copy(files(pictures)[0], pictures / ".cache" / "x.png")
    shutil.copy(files(pictures)[0], pictures / ".hidden.png")
    (pictures / "notes.txt").write_text("x")
    found = shown("pictures")
    assert len(found) == 18
    assert found[0] == os.path.join("pictures", "apple", "000.png")


def test_what_looks_like_a_picture_in_a_folder_and_is_none_is_told(model: Model, pictures: Path) -> None:
    (pictures / "gone.png").symlink_to(pictures / "nowhere.png")
    with open(os.fsencode(pictures) + b"/\xff.png", "wb"):
        pass
    found = model.predict(pictures)
    assert len(found) == 20
    assert {one.error for one in found[18:]} == {
        "a link to a file that does not exist",
        "its name is not valid UTF-8: rename it",
    }


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_a_table_needs_no_labels(model: Model, pictures: Path, ending: str) -> None:
    cells = [f"apple/{number:03d}.png" for number in (3, 1, 3)]
    frame = pd.DataFrame({"path": cells, "fold": ["x", "y", "z"], "split": ["odd", "names", "here"]})
    table = pictures / f"list.{ending}"
    if ending == "parquet":
        frame.to_parquet(table)
    else:
        frame.to_csv(table, index=False, sep="\t" if ending == "tsv" else ",")
    found = model.predict(table)
    assert [one.path for one in found] == cells
    assert [one.label for one in found] == ["apple"] * 3


def test_a_table_may_lie_elsewhere_and_leave_endings_out(model: Model, pictures: Path, tmp_path: Path) -> None:
    table = tmp_path / "elsewhere" / "list.csv"
    table.parent.mkdir()
    table.write_text("path\napple/000\nsky/001.png\n")
    found = model.predict(table, image_root=pictures, extension=".png")
    assert [one.label for one in found] == ["apple", "sky"]


def test_bad_rows_of_a_table_keep_their_place(model: Model, pictures: Path, tmp_path: Path) -> None:
    table = pictures / "list.csv"
    table.write_text("label,file\na,apple/000.png\nb,\nc,../outside.png\nd,none.png\ne,apple\nf,sky/000.png\n")
    found = model.predict(table, path_column="file")
    assert [one.path for one in found] == [
        "apple/000.png", "row 2 of list.csv", "../outside.png", "none.png", "apple", "sky/000.png",
    ]  # fmt: skip
    told = [one.error or "" for one in found]
    assert told[0] == told[5] == ""
    assert told[1] == "no path (row 2 of the table)"
    assert "out of the table's folder" in told[2]
    assert told[3] == "no such file (row 4 of the table)"
    assert told[4] == "a folder, not a picture (row 5 of the table)"


def test_a_missing_picture_is_a_row_and_a_missing_folder_an_error(model: Model, pictures: Path) -> None:
    bad, good = model.predict([pictures / "none.JPG", files(pictures)[0]])
    assert bad.error == "no such file"
    assert good.error is None
    with pytest.raises(DataError, match="no file or folder"):
        model.predict([pictures / "none"])


def test_one_picture_in_memory_is_one_and_what_is_none_is_said(model: Model, pictures: Path) -> None:
    file = files(pictures)[0]
    for one in (file.read_bytes(), Image.open(file), np.asarray(Image.open(file).convert("RGB")), file):
        assert [found.label for found in model.predict(one)] == ["apple"]
        assert model.probabilities(one).shape == (1, 3)
    for wrong in (None, 1, [None], [file, 1]):
        with pytest.raises(DataError, match=r"^A picture is a path, .* but not a (NoneType|int)\.$"):
            model.predict(wrong)  # type: ignore[arg-type]


def test_a_file_of_any_ending_is_looked_at(model: Model, pictures: Path) -> None:
    odd = pictures / "picture"
    shutil.copy(files(pictures)[0], odd)
    (pictures / "text.txt").write_text("x")
    found = model.predict([odd, pictures / "text.txt"])
    assert [one.label for one in found] == ["apple", None]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("empty", "no picture in the folder"),
        ("texts", "other files: 1"),
        ("none.csv", "no file or folder"),
        ("header.csv", "names no picture"),
        ("other.csv", "no column 'path'; its columns are 'file'"),
        ("bytes.csv", "not UTF-8"),
        ("bad.parquet", "cannot be read"),
        ("zero\0byte", "no file or folder"),
    ],
)
def test_what_names_nothing_is_one_sentence(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("x")
    (tmp_path / "header.csv").write_text("path\n")
    (tmp_path / "other.csv").write_text("file\nx.png\n")
    (tmp_path / "bytes.csv").write_bytes(b"path\n\xff\xfe\xff\n")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=told) as caught:
        list_inputs(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_no_path_at_all() -> None:
    with pytest.raises(DataError, match="No picture is named"):
        list_inputs([])


def test_hostile_names_are_found(model: Model, make_pictures: MakePictures, tmp_path: Path) -> None:
    names = ["[red]a.png", "b\x1b[31m.png", "c,d.png", "e\nf.png", "=1+1.png"]
    for number, name in enumerate(names):
        picture(0, number).save(tmp_path / name, "PNG")
    assert [one.path for one in model.predict([tmp_path / name for name in names])] == [
        str(tmp_path / name) for name in names
    ]


# --- values and contrast ----------------------------------------------------------------------------


def deep_png(path: Path, largest: int) -> Path:
    values = np.linspace(0, largest, 48 * 48).reshape(48, 48).astype(np.uint16)
    Image.fromarray(values).save(path)
    return path


def test_a_picture_beyond_the_training_pictures_range_is_said_to_be(pictures: Path, tmp_path: Path) -> None:
    model = trained_model(pictures)
    (one,) = model.members
    model = replace(model, members=(replace(one, preprocessing=replace(one.preprocessing, value_range=TWELVE)),))
    inside, outside = model.predict([deep_png(tmp_path / "in.png", 4095), deep_png(tmp_path / "out.png", 60_000)])
    assert inside.outside == ""
    assert outside.unusual
    assert outside.outside == "it has values from 0 to 60,000, the training pictures 12 bits (0 to 4,095)"
    ordinary = model.predict(pictures / "apple" / "000.png")[0]
    assert (ordinary.outside, ordinary.unusual) == ("", False)


def test_a_deep_picture_is_outside_where_all_had_eight_bits(pictures: Path, tmp_path: Path) -> None:
    (prediction,) = trained_model(pictures).predict(deep_png(tmp_path / "deep.png", 4095))
    assert prediction.unusual
    assert "the training pictures 8 bits (0 to 255)" in prediction.outside


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_blank_picture_is_unlike_the_training_pictures(pictures: Path, tmp_path: Path, grey: int) -> None:
    model = trained_model(pictures)
    assert model.novelty is not None
    model = replace(model, novelty=replace(model.novelty, threshold=2.0, least_contrast=16.0))
    Image.new("L", (48, 48), grey).save(tmp_path / "blank.png")
    assert [one.unusual for one in model.predict([tmp_path / "blank.png", pictures / "sky" / "000.png"])] == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"extension": ".jpg"}, "--extension cannot be used without a table of pictures: leave it out"),
        ({"image_root": ".", "path_column": "file"}, "--path-column and --image-root cannot .*: leave them out"),
    ],
)
def test_what_only_tables_read_is_refused_where_there_is_none(pictures: Path, given: Any, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        list_inputs(pictures, **given)


@pytest.mark.parametrize("grey", [0, 120, 255])
def test_the_bars_beside_a_padded_picture_are_no_contrast_of_it(grey: int) -> None:
    how = Preprocessing(16, "pad")
    blank, half = np.full((8, 16, 3), grey, np.uint8), np.zeros((8, 16, 3), np.uint8)
    half[:, :8] = 200
    filled = np.full((16, 16, 3), how.fill, np.uint8)
    prepared = [preprocess(blank, how), preprocess(half, how), filled]
    assert contrast(torch.from_numpy(np.stack(prepared)), how).tolist() == [0, 200, 0]


def test_blank_pictures_are_usual_where_some_were_learned() -> None:
    images = torch.zeros((3, 8, 8, 3), dtype=torch.uint8)
    images[1, :4] = 255
    assert contrast(images, Preprocessing(8)).tolist() == [0, 255, 0]
    assert like_training(contrast(images, Preprocessing(8))) == 0
    assert like_training(np.array([255.0, 40.0])) == 16
