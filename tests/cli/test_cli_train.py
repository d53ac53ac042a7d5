"""`automl-tl train`: its options, its page, its progress and its JSON."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from generated_pictures import write_pictures
from tiny_models import tiny_alone

import automl_tl
from automl_tl.cli import main
from automl_tl.data.dataset import open_dataset
from automl_tl.errors import OptionError
from automl_tl.model.bundle import load_bundle
from automl_tl.model.evaluate import evaluate


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    with tiny_alone():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("train") / "my pictures", per_class=8)


def run(data: Path, *arguments: str | Path) -> Result:
    words = ["train", data, *arguments, "--device", "cpu", "--cache-dir", data.parent / "cache"]
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def tuned(data: Path) -> Result:
    """Fine-tuning with most of its options given."""
    options = "--strategy fine_tuning --backbone tiny --unfreeze 2 --epochs 12 --head-lr 1e-3 --lr-ratio 3 --cuts 2+3"
    result = run(data, *options.split(), "--pooling", "mean+std", "--out", data.parent / "run")
    assert result.exit_code == 0, result.output
    return result


def flat(text: str) -> str:
    return " ".join(text.split())


def test_the_page_says_what_was_trained_how_good_it_is_and_what_is_next(tuned: Result, data: Path) -> None:
    text, bundle = flat(tuned.stdout), data.parent / "run" / "bundle"
    assert f"The model for {data} strategy fine_tuning backbone tiny cut 2+3 of 3 stages" in text
    assert "trained the last 2 of 3 stages and a linear head for 12 epochs" in text
    assert re.search(r"that it had not learned from score accuracy [\d.]+% of all pictures, estimated from these", text)
    assert "test none: no pictures were held aside" in text
    assert "epoch loss rate score ... 3 " in text
    assert f"model {bundle} run {bundle.parent}" in text
    assert f"automl-tl predict {bundle} PICTURES" in text
    assert max(map(len, tuned.stdout.splitlines())) <= 100
    assert evaluate(load_bundle(bundle, "cpu"), open_dataset(data)).accuracy > 0.8


def test_progress_is_a_line_for_each_epoch(tuned: Result) -> None:
    lines = [line for line in tuned.stderr.splitlines() if line.startswith("epoch ")]
    assert [line.split(",")[0] for line in lines] == [f"epoch {n} of 12" for n in range(1, 13)] * 2
    assert all(", loss " in line and line.endswith(" left") for line in lines)
    assert sum(", score " in line for line in lines) == 11


def test_json_is_one_object(data: Path, tmp_path: Path) -> None:
    result = run(data, "--strategy", "early_feature_extractor", "--out", tmp_path / "run", "--format", "json")
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert values["configuration"]["strategy"] == "early_feature_extractor"
    assert 0 <= values["validation"]["accuracy"] <= 1
    assert values["bundle"] == str((tmp_path / "run" / "bundle").resolve())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--cuts 7+x", "--cuts: '7+x' is no cut; write the number of a stage, or of several: 7+8"),
        ("--cuts 9", "--cuts must be from 1 to 3, the stages of tiny, but has 9"),
        ("--strategy feature_extractor --epochs 3", "--epochs means nothing to the strategy feature_extractor"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(data: Path, tmp_path: Path, options: str, sentence: str) -> None:
    result = run(data, *options.split(), "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert sentence in flat(result.stderr)


def test_options_that_do_not_go_together_are_refused_before_any_picture_is_read(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--epochs means nothing to the strategy feature_extractor: leave it out"):
        automl_tl.train(tmp_path / "nowhere", strategy="feature_extractor", epochs=3)
    with pytest.raises(OptionError, match="--classifier is for a frozen backbone and --epochs for one that learns"):
        automl_tl.train(tmp_path / "nowhere", classifier="ridge", epochs=3)


def test_numbers_outside_their_range_are_refused_at_once(data: Path) -> None:
    result = run(data, "--epochs", "0")
    assert result.exit_code == 2
    assert "Invalid value for '--epochs': 0 is not in the range" in flat(result.stderr)


def test_the_page_of_recommend_ends_with_the_training_that_it_recommends(data: Path, tmp_path: Path) -> None:
    words = ["recommend", str(data), "--seed", "2", "--device", "cpu", "--cache-dir", str(tmp_path / "cache")]
    page, said = (CliRunner().invoke(main, [*words, *more]).stdout for more in ([], ["--format", "json"]))
    advised = json.loads(said)["strategy"]
    last = re.search(r"automl-tl (train .*) does exactly what is recommended here\.$", flat(page))
    assert last is not None, page
    command = shlex.split(last[1])
    assert "--seed" in command
    done = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "run"), "--format", "json"])
    assert done.exit_code == 0, done.output
    trained = json.loads(done.stdout)["configuration"]
    assert (trained["strategy"], trained["backbone"]) == (advised["name"], advised["backbone"])
    assert (trained["cuts"], trained["pooling"]) == (advised["cuts"], advised["pooling"])
    if trained["training"] == "frozen":
        assert trained["how"]["classifier"] == advised["head"]["kind"]
    else:
        assert trained["how"]["unfrozen"] == advised["unfreeze"]


def test_a_classifier_where_training_is_recommended_is_met_with_the_way_out(data: Path, tmp_path: Path) -> None:
    result = run(data, "--strategy", "fine_tuning", "--classifier", "softmax", "--out", tmp_path / "run")
    assert result.exit_code == 2
    told = "--classifier means nothing to the strategy fine_tuning: leave it out, or give --strategy feature_extractor"
    assert told in flat(result.stderr)
