"""What is printed while plugins' code runs goes to standard error; a command's result stands alone."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from generated_pictures import MakePictures
from tiny_backbone import TinyBackbone
from tiny_models import register

from automl_tl.chatter import chatter, results_apart
from automl_tl.cli import main


def test_chatter_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    with results_apart():
        print("one")  # noqa: T201
        with chatter():
            print("chat")  # noqa: T201
            with chatter():
                print("more")  # noqa: T201
            sys.stdout.writelines(["and ", "more\n"])
        print("two")  # noqa: T201
    print("three")  # noqa: T201
    said = capsys.readouterr()
    assert said.out == "one\ntwo\nthree\n"
    assert said.err == "chat\nmore\nand more\n"


def test_of_two_threads_only_the_one_that_chats_is_heard_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    begun, over = threading.Event(), threading.Event()

    def chat() -> None:
        with chatter():
            begun.set()
            over.wait(10)
            print("chat")  # noqa: T201

    with results_apart():
        thread = threading.Thread(target=chat)
        thread.start()
        begun.wait(10)
        print("result")  # noqa: T201
        over.set()
        thread.join()
    assert capsys.readouterr() == ("result\n", "chat\n")


class Talking(TinyBackbone):
    """A backbone that prints wherever it is asked for something."""

    def weights(self) -> dict[str, Any]:
        print("weights")  # noqa: T201
        return super().weights()

    def build(self, *, pretrained: bool = True) -> Any:
        print("build")  # noqa: T201
        return super().build(pretrained=pretrained)

    def stages(self, module: Any) -> Any:
        print("stages")  # noqa: T201
        return super().stages(module)


def test_of_a_plugin_that_prints_json_is_json(
    make_pictures: MakePictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, Talking())
    monkeypatch.setenv("AUTOML_TL_PREFLIGHT_SECONDS", "0")
    asked = ["recommend", str(make_pictures()), "--cache-dir", str(tmp_path / "cache"), "--device", "cpu"]
    for command in (["backbones", "list"], asked):
        result = CliRunner().invoke(main, [*command, "--format", "json"])
        assert json.loads(result.stdout)
        assert "weights" in result.stderr.splitlines()
    assert {"build", "stages"} <= set(result.stderr.splitlines())
