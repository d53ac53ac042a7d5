"""`automl-tl predict` and `automl-tl evaluate`: rows, numbers, exit codes, and one sentence for bad input."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from generated_pictures import MakePictures, picture
from PIL import Image
from tiny_models import member, register, trained_model

from automl_tl.backbones import plugins, registry
from automl_tl.backbones.registry import get_backbone
from automl_tl.backbones.stages import build_network
from automl_tl.cli import main
from automl_tl.cli.predict_page import writer
from automl_tl.features.batch_size import ON_CPU
from automl_tl.model import predict as predict_module
from automl_tl.model.bundle import save_bundle
from automl_tl.model.inputs import Input
from automl_tl.model.model import Model
from automl_tl.model.predict import Prediction

HOSTILE = ("[red]x", "a,b\nc", "\x1b[31mz")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


@pytest.fixture
def bundle(pictures: Path, tmp_path: Path) -> Path:
    return save_bundle(trained_model(pictures), tmp_path / "bundle")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


def predicted(bundle: Path, *arguments: str | Path, code: int = 0) -> str:
    result = run("predict", bundle, *arguments)
    assert result.exit_code == code, result.output
    return result.stdout


def objects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


# --- predict ----------------------------------------------------------------------------------------


def test_the_table_has_a_line_for_every_picture(bundle: Path, pictures: Path) -> None:
    lines = predicted(bundle, pictures).splitlines()
    assert lines[0].split() == ["picture", "label", "probability"]
    assert len(lines) == 19
    for line, file in zip(lines[1:], sorted(pictures.rglob("*.png")), strict=True):
        path, label, probability = line.split()
        assert (path, label) == (str(file), file.parent.name)
        assert 33 < float(probability.rstrip("%")) <= 100
    assert len({line.rindex("%") for line in lines[1:]}) == 1  # columns are straight


def test_the_table_names_the_next_classes(bundle: Path, pictures: Path) -> None:
    first = predicted(bundle, pictures / "sky" / "000.png", "--top-k", "2").splitlines()
    assert first[0].split() == ["picture", "label", "probability", "then"]
    assert "leaf" in first[1] or "apple" in first[1]
    every = predicted(bundle, pictures / "sky" / "000.png", "--probabilities")
    assert "leaf" in every
    assert "apple" in every


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_the_user_says_how_much_is_done_at_once(
    command: str, bundle: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int | None]] = []
    real = predict_module.decoded_batches

    def batches(*arguments: Any, batch_size: int, threads: int | None) -> Any:
        asked.append((batch_size, threads))
        return real(*arguments, batch_size=batch_size, threads=threads)

    monkeypatch.setattr(predict_module, "decoded_batches", batches)
    plain = run(command, bundle, pictures).stdout
    assert run(command, bundle, pictures, "--batch-size", "5", "--workers", "1").stdout == plain
    assert asked == [(ON_CPU, None), (5, 1)]


def test_csv_has_a_header_and_a_row_for_every_picture(bundle: Path, pictures: Path) -> None:
    text = predicted(bundle, pictures, "--format", "csv", "--top-k", "2", "--probabilities")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == [
        "path", "label", "probability", "label_2", "probability_2", "unusual", "novelty", "error",
        "probability of apple", "probability of leaf", "probability of sky",
    ]  # fmt: skip
    assert [row["label"] for row in rows] == [Path(row["path"]).parent.name for row in rows]
    for row in rows:
        every = [float(row[f"probability of {name}"]) for name in ("apple", "leaf", "sky")]
        assert sum(every) == pytest.approx(1, abs=1e-5)
        assert float(row["probability"]) == max(every)
        assert row["unusual"] == "false"
        assert row["error"] == ""


def test_json_lines_are_objects_with_everything(bundle: Path, pictures: Path) -> None:
    values = objects(predicted(bundle, pictures, "--format", "jsonl", "--probabilities", "--top-k", "2"))
    assert len(values) == 18
    first = values[0]
    assert set(first) == {"path", "label", "probability", "top", "unusual", "novelty", "error", "probabilities"}
    assert first["label"] == "apple"
    assert first["top"][0]["label"] == "apple"  # type: ignore[index]
    assert sum(first["probabilities"].values()) == pytest.approx(1)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["table", "csv", "jsonl"])
def test_a_bad_picture_is_a_row_and_exit_code_1(bundle: Path, pictures: Path, kind: str) -> None:
    (pictures / "leaf" / "002.png").write_bytes(b"broken")
    result = run("predict", bundle, pictures, "--format", kind)
    assert result.exit_code == 1
    assert result.stdout.count("not a picture") == 1
    assert len(result.stdout.splitlines()) == 18 + (kind != "jsonl")
    assert "1 of 18 pictures cannot be read" in result.stderr
    if kind == "jsonl":
        (bad,) = [one for one in objects(result.stdout) if one["error"]]
        assert (bad["label"], bad["probability"], bad["top"], bad["unusual"]) == (None, None, [], None)


def test_bad_pictures_have_cells_for_every_column_of_csv(bundle: Path, pictures: Path) -> None:
    (pictures / "leaf" / "002.png").write_bytes(b"broken")
    text = predicted(bundle, pictures, "--format", "csv", "--top-k", "3", "--probabilities", code=1)
    assert {len(row) for row in csv.reader(io.StringIO(text))} == {13}


def test_unusual_pictures_are_said_to_be_so(bundle: Path, tmp_path: Path) -> None:
    stripes = (np.indices((48, 48)).sum(0) // 6 % 2 * 255).astype(np.uint8)
    Image.fromarray(stripes).convert("RGB").save(tmp_path / "odd.png")
    result = run("predict", bundle, tmp_path / "odd.png")
    assert result.exit_code == 0
    assert "unlike the training pictures" in result.stdout
    assert "1 picture is unlike the training pictures" in result.stderr


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_fast_says_by_what_and_the_same(bundle: Path, pictures: Path, command: str) -> None:
    plain, fast = (run(command, bundle, pictures, "--format", "json", *more) for more in ((), ("--fast",)))
    assert "Computing by" in fast.stderr
    if command == "predict":
        labels = [[row["label"] for row in json.loads(one.stdout)] for one in (plain, fast)]
        assert labels[0] == labels[1]
    else:
        assert json.loads(plain.stdout)["accuracy"] == json.loads(fast.stdout)["accuracy"]


def test_files_folders_and_tables_in_the_given_order(bundle: Path, pictures: Path) -> None:
    (pictures / "list.csv").write_text("path\nsky/000.png\nleaf/000.png\n")
    paths = [pictures / "leaf" / "003.png", pictures / "list.csv", pictures / "apple"]
    values = objects(predicted(bundle, *paths, "--format", "jsonl"))
    assert [one["label"] for one in values] == ["leaf", "sky", "leaf", *["apple"] * 6]


def test_hostile_names_are_literal_and_harmless(tmp_path: Path) -> None:
    bundle = save_bundle(Model((member(),), HOSTILE, 1.0, "squash"), tmp_path / "bundle")
    (tmp_path / "p").mkdir()
    names = ["[bold]a.png", "b\x1b[2J.png", "c,d.png", "e\nf.png", "=g.png"]
    for number, name in enumerate(names):
        picture(0, number).save(tmp_path / "p" / name, "PNG")
    table = predicted(bundle, tmp_path / "p", "--probabilities")
    assert "\x1b" not in table
    assert len(table.splitlines()) == 6
    assert "[bold]a.png" in table
    assert r"b\x1b[2J.png" in table
    assert r"\x1b[31mz" in table
    assert "[red]x" in table
    rows = list(csv.DictReader(io.StringIO(predicted(bundle, tmp_path / "p", "--format", "csv", "--probabilities"))))
    assert sorted(Path(row["path"]).name for row in rows) == sorted(names)
    assert "probability of a,b\nc" in rows[0]
    lines = predicted(bundle, tmp_path / "p", "--format", "jsonl", "--top-k", "3")
    assert "\x1b" not in lines
    assert {one["label"] for one in objects(lines)[0]["top"]} == set(HOSTILE)  # type: ignore[attr-defined]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_csv_on_a_terminal_moves_no_cursor() -> None:
    for stream, escapes in ((Terminal(), 0), (io.StringIO(), 2)):
        page = writer("csv", stream, (), HOSTILE, 1, False)
        page.write(Prediction("b\x1b[2J.png", HOSTILE[2], 0.9, ((HOSTILE[2], 0.9),), np.ones(3) / 3))
        assert stream.getvalue().count("\x1b") == escapes


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_a_name_that_ends_a_line_is_one_cell(kind: str) -> None:
    """Else what comes after it would begin a row, where a formula may stand."""
    stream = io.StringIO(newline="")
    page = writer(kind, stream, (), HOSTILE, 1, False)
    page.write(Prediction("a\r=HYPERLINK(1).png", HOSTILE[0], 0.9, ((HOSTILE[0], 0.9),), np.ones(3) / 3))
    assert stream.getvalue().count("\r") == 1
    header, row = csv.reader(io.StringIO(stream.getvalue(), newline=""), delimiter="," if kind == "csv" else "\t")
    assert (row[0], len(row)) == ("a\r=HYPERLINK(1).png", len(header))


def test_a_long_name_is_shown_whole(tmp_path: Path) -> None:
    name = "n" * 150 + ".png"
    stream = io.StringIO()
    page = writer("table", stream, (Input(name), Input("日本.png")), ("a", "b"), 1, False)
    for path in (name, "日本.png"):
        page.write(Prediction(path, "a", 0.9, (("a", 0.9),)))
    _, long, wide = stream.getvalue().splitlines()
    assert long.split() == [name, "a", "90.0%"]
    assert wide.index("a") == 120 + 2 - 2  # two characters take two columns each


def test_names_in_parquet_are_as_they_are(bundle: Path, pictures: Path, tmp_path: Path) -> None:
    """A right-to-left mark and a flag are part of a name; only bytes that are no text are written out."""
    names = ["\u200fשלום.png", "🏴\U000e0067.png", "a\nb.png"]
    for name in names:
        shutil.copy(next(pictures.rglob("*.png")), tmp_path / name)
    predicted(bundle, *(tmp_path / name for name in names), "--output", tmp_path / "out.parquet")
    assert {Path(path).name for path in pd.read_parquet(tmp_path / "out.parquet")["path"]} == set(names)


def test_output_goes_to_a_file_whose_ending_says_the_format(bundle: Path, pictures: Path, tmp_path: Path) -> None:
    (pictures / "sky" / "000.png").write_bytes(b"x")
    for name in ("out.csv", "out.jsonl", "out.txt", "out.tsv", "out.json", "out.parquet"):
        assert predicted(bundle, pictures, "--output", tmp_path / name, code=1) == ""
    assert (tmp_path / "out.csv").read_text().startswith("path,label,probability,unusual")
    assert len(objects((tmp_path / "out.jsonl").read_text())) == 18
    assert (tmp_path / "out.txt").read_text().startswith("picture ")
    assert (tmp_path / "out.tsv").read_text().startswith("path\tlabel\tprobability\tunusual")
    assert json.loads((tmp_path / "out.json").read_text()) == objects((tmp_path / "out.jsonl").read_text())
    csv_rows = pd.read_csv(tmp_path / "out.csv", keep_default_na=False, na_values={"probability": "", "novelty": ""})
    rows = pd.read_parquet(tmp_path / "out.parquet")
    assert rows["path"].tolist() == csv_rows["path"].tolist()
    assert rows["probability"].to_numpy() == pytest.approx(csv_rows["probability"].to_numpy(), abs=1e-5, nan_ok=True)
    assert rows["unusual"].tolist().count(None) == rows["label"].isna().sum() == 1
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--output", "o.xlsx"], "--output 'o.xlsx': no format is called '.xlsx'; end it in .csv, .json, .jsonl"),
        (["--format", "parquet"], "--format parquet is not for standard output"),
        (["--output", "o.csv", "--format", "json"], "--output 'o.csv' ends as csv does, but --format is json"),
        (["--output", "n" * 300 + ".csv"], "(File name too long): give a shorter path"),
    ],
)
def test_an_output_that_cannot_be_is_refused(
    bundle: Path, pictures: Path, arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("predict", bundle, pictures, *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_format_that_is_given_may_have_any_ending(bundle: Path, pictures: Path, tmp_path: Path) -> None:
    predicted(bundle, pictures, "--output", tmp_path / "out.dat", "--format", "json")
    assert len(json.loads((tmp_path / "out.dat").read_text())) == 18


def test_nothing_is_a_list_too() -> None:
    for kind, text in (("json", "[]\n"), ("jsonl", "")):
        stream = io.StringIO()
        writer(kind, stream, (), ("a", "b"), 1, False).close()
        assert stream.getvalue() == text


@pytest.mark.parametrize(
    ("cell", "written"), [("=1+1", "'=1+1"), ("+x", "'+x"), ("-x", "'-x"), ("@x", "'@x"), ("-1", "-1"), ("a=b", "a=b")]
)
@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_no_cell_becomes_a_formula(kind: str, cell: str, written: str) -> None:
    stream = io.StringIO()
    page = writer(kind, stream, (), (cell, "b"), 1, False)
    page.write(Prediction(cell, cell, 0.9, ((cell, 0.9),), np.ones(2) / 2))
    row = list(csv.reader(io.StringIO(stream.getvalue()), delimiter="\t" if kind == "tsv" else ","))[1]
    assert row[:2] == [written, written]


@pytest.mark.parametrize("separator", ["\n", "\0"])
def test_paths_come_from_standard_input_and_from_a_list(
    bundle: Path, pictures: Path, tmp_path: Path, separator: str
) -> None:
    text = separator.join([str(pictures / "sky" / "000.png"), str(pictures / "leaf"), ""])
    (tmp_path / "list.txt").write_text(text)
    piped = CliRunner().invoke(main, ["predict", str(bundle), "-", "--format", "jsonl"], input=text)
    assert piped.exit_code == 0, piped.output
    listed = predicted(bundle, f"@{tmp_path / 'list.txt'}", "--format", "jsonl")
    assert piped.stdout == listed
    assert [one["label"] for one in objects(listed)] == ["sky", *["leaf"] * 6]


def test_a_list_that_is_not_there_is_one_sentence(bundle: Path) -> None:
    result = run("predict", bundle, "@nowhere.txt")
    assert result.exit_code == 2
    assert "The list 'nowhere.txt' cannot be read" in result.stderr


def test_the_folder_of_a_run_stands_for_its_bundle(pictures: Path, tmp_path: Path) -> None:
    save_bundle(trained_model(pictures), tmp_path / "run" / "bundle")
    assert len(predicted(tmp_path / "run", pictures).splitlines()) == 19


def test_a_file_is_there_only_when_all_is_done(
    bundle: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old")

    def stopped(self: Model, images: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Model, "answer", stopped)
    assert run("predict", bundle, pictures, "--output", out).exit_code == 130
    assert out.read_text() == "old"
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["BUNDLE", "none"], "no file or folder 'none'"),
        (["none", "PICTURES"], "does not exist"),
        (["PICTURES", "PICTURES"], "is no model"),
        (["BUNDLE", "PICTURES", "--output", "none/x.csv"], "does not exist"),
        (["BUNDLE", "PICTURES", "--output", "PICTURES"], "is a folder"),
        (["BUNDLE", "PICTURES", "--device", "gpu"], "is no device"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    bundle: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(bundle.parent)
    places = {"BUNDLE": str(bundle), "PICTURES": str(pictures)}
    result = run("predict", *(places.get(one, one) for one in arguments))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_paths_are_needed(bundle: Path) -> None:
    assert run("predict", bundle).exit_code == 2
    assert run("predict", bundle, "x.png", "--top-k", "0").exit_code == 2


def test_a_damaged_bundle_is_one_sentence(bundle: Path, pictures: Path) -> None:
    content = bytearray((bundle / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (bundle / "model.safetensors").write_bytes(content)
    for command in ("predict", "evaluate"):
        result = run(command, bundle, pictures)
        assert result.exit_code == 2
        assert "model.safetensors of the bundle" in result.stderr


# --- evaluate ---------------------------------------------------------------------------------------


def test_the_page_has_every_number(bundle: Path, pictures: Path) -> None:
    (pictures / "apple" / "000.png").rename(pictures / "sky" / "moved.png")
    (pictures / "leaf" / "000.png").write_bytes(b"x")
    result = run("evaluate", bundle, pictures)
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert f"Evaluation on {pictures}" in text
    assert "pictures 17 in 3 classes" in text
    assert "accuracy 94.1% (16 right)" in text
    for name in ("balanced accuracy", "macro F1", "log loss", "calibration error", "recall", "precision"):
        assert name in text
    assert "sky 1 . 6" in text
    assert "leaf/000.png: not a picture" in text
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_json_has_every_number(bundle: Path, pictures: Path) -> None:
    (pictures / "apple" / "000.png").rename(pictures / "sky" / "moved.png")
    values = json.loads(run("evaluate", bundle, pictures, "--format", "json").stdout)
    wanted = {"accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece", "per_class", "confusion", "n", "classes"}
    assert wanted | {"notes", "errors", "schema_version", "bundle", "data"} == set(values)
    assert values["accuracy"] == pytest.approx(17 / 18)
    assert values["confusion"] == [[5, 0, 0], [0, 6, 0], [1, 0, 6]]
    assert values["per_class"][2] == {
        "label": "sky", "precision": 1.0, "recall": pytest.approx(6 / 7), "f1": pytest.approx(12 / 13), "n": 7,
    }  # fmt: skip


def test_many_classes_are_shortened_and_pairs_replace_the_matrix(tmp_path: Path, make_pictures: MakePictures) -> None:
    classes = tuple(f"class{index:02d}" for index in range(23))
    data = make_pictures(tmp_path / "many", classes=classes, per_class=1)
    bundle = save_bundle(Model((member(n_classes=23),), classes, 1.0, "squash"), tmp_path / "b")
    text = run("evaluate", bundle, data).stdout
    assert "... and 3 more classes; --verbose shows all" in text
    assert " taken for class" in text
    assert "--verbose" not in run("evaluate", bundle, data, "--verbose").stdout


def test_hostile_labels_are_literal_on_the_page(tmp_path: Path, make_pictures: MakePictures) -> None:
    names = ("[red]x", "\x1b[31mz")
    data = make_pictures(tmp_path / "p", classes=names, per_class=2)
    bundle = save_bundle(Model((member(n_classes=2),), names, 1.0, "squash"), tmp_path / "b")
    text = run("evaluate", bundle, data).stdout
    assert "\x1b" not in text
    assert "[red]x" in text


def test_a_part_of_the_split_can_be_chosen(bundle: Path, make_pictures: MakePictures, tmp_path: Path) -> None:
    for seed, (part, n) in enumerate((("train", 4), ("test", 2))):
        make_pictures(tmp_path / "parts" / part, per_class=n, seed=seed)
    text = run("evaluate", bundle, tmp_path / "parts").stdout
    assert "Only the given 'test' part counts: 6 of 18 pictures." in text
    values = json.loads(run("evaluate", bundle, tmp_path / "parts", "--split", "all", "--format", "json").stdout)
    assert values["n"] == 18
    result = run("evaluate", bundle, tmp_path / "parts", "--split", "val")
    assert result.exit_code == 2
    assert "no pictures for 'val'" in result.stderr


def test_a_table_with_its_own_columns(bundle: Path, pictures: Path) -> None:
    table = pictures / "t.csv"
    table.write_text("file,kind\nsky/000.png,sky\nleaf/000.png,leaf\napple/001.png,sky\n")
    columns = ("--path-column", "file", "--label-column", "kind")
    values = json.loads(run("evaluate", bundle, table, *columns, "--format", "json").stdout)
    assert (values["n"], values["accuracy"]) == (3, pytest.approx(2 / 3))


def test_errors_are_every_answer_by_its_loss(bundle: Path, pictures: Path, tmp_path: Path) -> None:
    (pictures / "apple" / "000.png").rename(pictures / "sky" / "=moved.png")
    (pictures / "leaf" / "000.png").write_bytes(b"x")
    result = run("evaluate", bundle, pictures, "--errors", tmp_path / "e.csv")
    assert result.exit_code == 0, result.output
    assert f"Every answer is in {tmp_path / 'e.csv'}" in result.stderr
    rows = list(csv.DictReader((tmp_path / "e.csv").open(encoding="utf-8")))
    assert list(rows[0]) == ["path", "given", "predicted", "confidence", "probability of given"]
    assert len(rows) == 17
    assert rows[0]["path"] == str(pictures / "sky/=moved.png")
    assert (rows[0]["given"], rows[0]["predicted"]) == ("sky", "apple")
    believed = [float(row["probability of given"]) for row in rows]
    assert believed == sorted(believed)
    assert believed[0] < 0.1
    assert all(row["confidence"] == row["probability of given"] for row in rows[1:])  # the others are right


@pytest.mark.parametrize(("name", "sentence"), [("e.txt", "end its name in .csv"), ("no/e.csv", "does not exist")])
def test_errors_that_cannot_be_written_are_refused_first(
    bundle: Path, pictures: Path, tmp_path: Path, name: str, sentence: str
) -> None:
    result = run("evaluate", bundle, pictures, "--errors", tmp_path / name)
    assert result.exit_code == 2
    assert "--errors" in result.stderr
    assert sentence in result.stderr
    assert "Looking at pictures" not in result.stderr


# --- the real thing ---------------------------------------------------------------------------------


def test_a_real_backbone_in_a_process_of_its_own(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "load_plugins", plugins.load_plugins)
    network = build_network("efficientnet_lite0", get_backbone("efficientnet_lite0"))
    model = Model((member(network, cuts=(3, 4)),), ("apple", "leaf", "sky"), 1.0, "squash")
    expected = model.probabilities(sorted(pictures.rglob("*.png"))[:3])
    save_bundle(model, tmp_path / "b")
    shutil.rmtree(pictures / "sky")
    command = [sys.executable, "-m", "automl_tl", "predict", str(tmp_path / "b"), str(pictures), "--format", "jsonl"]
    result = subprocess.run([*command, "--probabilities"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found = [list(one["probabilities"].values()) for one in objects(result.stdout)]  # type: ignore[attr-defined]
    assert len(found) == 12
    assert np.array(found[:3]) == pytest.approx(expected, abs=1e-5)
