"""Every command on pictures in an S3 store: moto's server on this machine stands in for it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from generated_pictures import write_pictures

pytestmark = pytest.mark.slow
BACKBONE = ("--backbone", "efficientnet_lite0")


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which s3://pictures holds the class folders train/ and labels.csv beside them."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=True)
    server.start()
    host, port = server.get_host_and_port()
    own = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    files = fsspec.filesystem(
        "s3", endpoint_url=own["AWS_ENDPOINT_URL"], key="test", secret="test", skip_instance_cache=True
    )
    files.mkdir("pictures")
    folder = write_pictures(tmp_path_factory.mktemp("up") / "train", per_class=12)
    names = sorted(file.relative_to(folder.parent).as_posix() for file in folder.rglob("*.png"))
    for name in names:
        files.pipe_file(f"pictures/{name}", (folder.parent / name).read_bytes())
    table = "path,label\n" + "".join(f"{name},{name.split('/')[1]}\n" for name in names)
    files.pipe_file("pictures/labels.csv", table.encode())
    yield os.environ | own
    server.stop()


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "automl_tl", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


def fetched(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The pictures that were fetched since the last call."""
    found = [text for text in caplog.messages if "GET /pictures/train/" in text and ".png" in text]
    caplog.clear()
    return found


def test_inspect_recommend_search_and_predict(
    bucket: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="werkzeug")
    cache = ("--cache-dir", str(tmp_path / "cache"))
    looked = run(bucket, "inspect", "s3://pictures/train", "--format", "json", *cache)
    assert looked.returncode == 0, looked.stderr
    assert json.loads(looked.stdout)["dataset"]["n_images"] == 36
    assert len(fetched(caplog)) == 36

    asked = ("recommend", "s3://pictures/train", *BACKBONE, "--no-try-training", "--format", "json", *cache)
    first = run(bucket, *asked)
    assert first.returncode == 0, first.stderr
    assert fetched(caplog)
    again = run(bucket, *asked)
    assert json.loads(again.stdout)["strategy"] == json.loads(first.stdout)["strategy"]
    assert fetched(caplog) == []  # pixels and features are in the cache

    out = tmp_path / "run"
    searched = run(
        bucket, "search", "s3://pictures/labels.csv", *BACKBONE, "--budget", "40s", "--out", str(out), *cache
    )  # fmt: skip
    assert searched.returncode == 0, searched.stderr
    assert json.loads((out / "origin.json").read_text())["place"] == "s3://pictures/labels.csv"

    for named in ("s3://pictures/train", "s3://pictures/labels.csv"):
        predicted = run(bucket, "predict", str(out / "bundle"), named, "--format", "json")
        assert predicted.returncode == 0, predicted.stderr
        assert len(json.loads(predicted.stdout)) == 36


def test_what_goes_wrong_is_one_sentence(bucket: dict[str, str]) -> None:
    for address, says in (
        ("s3://nothing/train", "There is nothing at 's3://nothing/train'"),
        ("s3://pictures/none", "There is nothing at 's3://pictures/none'"),
    ):
        result = run(bucket, "inspect", address)
        assert (result.returncode, result.stdout) == (2, "")
        assert says in result.stderr
        assert "Traceback" not in result.stderr


def test_a_store_that_is_not_there_is_one_sentence(bucket: dict[str, str]) -> None:
    elsewhere = bucket["AWS_ENDPOINT_URL"].rpartition(":")[0] + ":9"
    result = run(bucket | {"AWS_ENDPOINT_URL": elsewhere}, "inspect", "s3://pictures/train")
    assert (result.returncode, result.stdout) == (2, "")
    assert "cannot be reached" in result.stderr
    assert "Traceback" not in result.stderr
