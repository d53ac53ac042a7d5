"""Shared options: what is accepted, and the sentence for what is not."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from automl_tl.cli import options
from automl_tl.cli.app import Application
from automl_tl.cli.retyped import COLUMNS, retyped
from automl_tl.options import RecommendOptions, SplitOptions, TableOptions

SEEN: dict[str, Any] = {}


@click.command()
@options.data_argument
@options.declared(RecommendOptions)
@options.format_option
@options.verbose_option
def work(**values: Any) -> None:
    SEEN.clear()
    SEEN.update(values)


def run(*arguments: str) -> Result:
    SEEN.clear()
    return CliRunner().invoke(Application(commands={"work": work}), ["work", "DATA", *arguments])


def test_what_is_typed_again_means_the_same() -> None:
    seen: list[str] = []

    @click.command()
    @options.declared(SplitOptions, TableOptions)
    @click.pass_context
    def again(ctx: click.Context, **_: Any) -> None:
        seen.append(retyped(ctx, (*COLUMNS, "drop_leaks")))

    app = Application(commands={"again": again})
    for words in (
        "--keep-leaks --split-folder a=train --split-folder 'b c=test'",
        "--split-folder none",
        "--path-column id --image-root /p --extension .jpg --label-column y",
        "--drop-leaks",
    ):
        assert CliRunner().invoke(app, ["again", *shlex.split(words)]).exit_code == 0
        assert seen.pop() == words


def test_defaults() -> None:
    assert run().exit_code == 0
    expected = {
        "data": Path("DATA"),
        "path_column": "path",
        "label_column": "label",
        "split_column": "split",
        "group_column": None,
        "split_folders": None,
        "image_root": None,
        "extension": "",
        "drop_leaks": True,
        "backbones": (),
        "weights": {},
        "mean": None,
        "std": None,
        "input_size": None,
        "budget": None,
        "metric": "accuracy",
        "device": "auto",
        "batch_size": None,
        "max_images": None,
        "try_training": None,
        "seed": 0,
        "cache_dir": None,
        "ray": None,
        "workers": None,
        "output_format": "text",
        "verbose": False,
    }
    assert expected == SEEN


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--budget", "1h30m"], "budget", 5400.0),
        (["--device", "CUDA:1"], "device", "cuda:1"),
        (["--device", "0"], "device", "cuda:0"),
        (["--batch-size", "8"], "batch_size", 8),
        (["--workers", "4"], "workers", 4),
        (["--mean", "0.5, 0.5,0.5"], "mean", (0.5, 0.5, 0.5)),
        (["--mean", "0,0,0"], "mean", (0.0, 0.0, 0.0)),
        (["--std", "1,1,1"], "std", (1.0, 1.0, 1.0)),
        (["--input-size", "224"], "input_size", 224),
        (["--metric", "macro_f1"], "metric", "macro_f1"),
        (["--backbone", "a", "--backbone", "timm:b"], "backbones", ("a", "timm:b")),
        (["--seed", "4294967295"], "seed", 4294967295),
        (["--format", "json"], "output_format", "json"),
        (["--cache-dir", "there"], "cache_dir", Path("there")),
        (["--group-column", "patient"], "group_column", "patient"),
        (["--verbose"], "verbose", True),
    ],
)
def test_accepted(arguments: list[str], name: str, value: Any) -> None:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert SEEN[name] == value


BAD = [
    (["--budget", "soon"], "Error: --budget: 'soon' is no duration; write seconds (90) or units"),
    (["--budget", "0"], "Error: --budget: a duration must be longer than zero, but got '0'"),
    (["--budget", "-5m"], "Error: --budget: '-5m' is no duration"),
    (["--budget", ""], "Error: --budget: '' is no duration"),
    (["--device", "gpu"], "Error: --device: 'gpu' is no device; use auto, cpu, cuda, cuda:0 (or 0) or mps"),
    (
        ["--mean", "123,116,104"],
        "Error: --mean: mean must be of inputs in [0, 1], but is (123, 116, 104); divide",
    ),
    (["--mean", "1,2"], "Error: --mean must be one or three numbers such as 0.5,0.5,0.5, but is '1,2'"),
    (["--mean", "a,b,c"], "Error: --mean must be one or three numbers"),
    (["--mean", "nan,0,0"], "Error: --mean: mean must be three numbers"),
    (["--mean", "-0.1,0,0"], "Error: --mean: mean must be of inputs in [0, 1], but is (-0.1, 0, 0)"),
    (["--std", "0,0.2,0.2"], "Error: --std: std must be positive"),
    (
        ["--input-size", "1"],
        "Error: --input-size: input_size must be a number of pixels from 8 to 4096, but is 1",
    ),
    (["--input-size", "224.5"], "Error: --input-size: input_size must be a number of pixels"),
    (["--weights", "resnet.pth"], "Error: --weights must be NAME=FILE, but is 'resnet.pth'"),
    (["--weights", "=x.pth"], "Error: --weights must be NAME=FILE, but is '=x.pth'"),
    (
        ["--weights", "a=no/such.pth"],
        "Error: --weights: no/such.pth does not exist, but the weights of a must be",
    ),
    (["--seed", "-1"], "-1 is not in the range 0<=x<=4294967295"),
    (["--metric", "auc"], "'auc' is not one of 'accuracy', 'balanced_accuracy', 'macro_f1', 'log_loss'"),
    (["--batch-size", "0"], "0 is not in the range x>=1"),
    (["--max-images", "0"], "0 is not in the range x>=1"),
    (["--format", "xml"], "'xml' is not one of 'text', 'json'"),
    (["more"], "Got unexpected extra argument (more)"),
]


@pytest.mark.parametrize(("arguments", "sentence"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_refused_with_a_sentence(arguments: list[str], sentence: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.output
    assert not SEEN


def test_weights_are_files_by_name(tmp_path: Path) -> None:
    first, second = tmp_path / "a=b.pth", tmp_path / "c.safetensors"
    first.touch()
    second.touch()
    assert run("--weights", f"timm:x={first}", "--weights", f"y={second}").exit_code == 0
    assert SEEN["weights"] == {"timm:x": first, "y": second}
    assert "names 'y' twice" in run("--weights", f"y={first}", "--weights", f"y={second}").stderr
    assert f"{tmp_path} is a folder" in run("--weights", f"y={tmp_path}").stderr


def test_missing_data_is_a_usage_error() -> None:
    result = CliRunner().invoke(Application(commands={"work": work}), ["work"])
    assert result.exit_code == 2
    assert "Missing argument 'DATA'" in result.stderr
