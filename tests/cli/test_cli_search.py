"""`automl-tl search`: options, the page, JSON, the display, and what Ctrl-C says."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from generated_pictures import write_pictures
from rich.console import Console
from tiny_models import tiny_alone

from automl_tl.cli import main
from automl_tl.cli.search_live import Display, Lines, best_words
from automl_tl.data.dataset import open_dataset
from automl_tl.data.listing import Skipped
from automl_tl.errors import OptionError
from automl_tl.learning.configuration import Frozen
from automl_tl.model.bundle import load_bundle
from automl_tl.model.evaluate import evaluate
from automl_tl.monitor import Epoch, Status
from automl_tl.searcher import search as engine
from automl_tl.searcher.result import SearchResult
from automl_tl.searcher.run_folder import RunFolder
from automl_tl.wording import epoch_words


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    with tiny_alone():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("search") / "my pictures", per_class=8)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["search", *(str(one) for one in arguments)])


@pytest.fixture(scope="module")
def real(data: Path) -> tuple[Result, SearchResult]:
    """A real search of two trials, with its result."""
    kept: list[SearchResult] = []
    own = engine.search

    def keeping(*arguments: Any, **options: Any) -> SearchResult:
        kept.append(own(*arguments, **options))
        return kept[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "search", keeping)
        result = run(data, "--trials", "2", "--out", data.parent / "run", "--cache-dir", data.parent / "cache")
    assert result.exit_code == 0, result.output
    return result, kept[0]


def flat(text: str) -> str:
    return " ".join(text.split())


# --- the real thing ---------------------------------------------------------------------------------


def test_a_search_ends_with_a_model_that_predicts(real: tuple[Result, SearchResult], data: Path) -> None:
    out = data.parent / "run"
    assert {file.name for file in (out / "bundle").iterdir()} >= {"bundle.json", "model.safetensors", "SHA256SUMS"}
    assert (out / "leaderboard.csv").is_file()
    assert evaluate(load_bundle(out / "bundle", "cpu"), open_dataset(data)).accuracy > 0.9


def test_what_a_model_has_learned_is_no_proof_of_it(
    real: tuple[Result, SearchResult], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def notes(bundle: Path, pictures: Path) -> list[str]:
        words = ["evaluate", str(bundle), str(pictures), "--device", "cpu", "--format", "json"]
        return list(json.loads(CliRunner().invoke(main, words).stdout)["notes"])

    out, told = (
        data.parent / "run",
        "The model has learned from {} of these 24 pictures, which says nothing of new ones",
    )
    assert any(note.startswith(told.format(24)) for note in notes(out, data))
    other = write_pictures(tmp_path / "other", per_class=8, seed=5)
    assert not any("has learned from" in note for note in notes(out / "bundle", other))
    for file in sorted(data.glob("*/*"))[:2]:
        shutil.copy(file, other / file.parent.name / file.name)
    assert any(note.startswith(told.format(2)) for note in notes(out / "bundle", other))
    with monkeypatch.context() as patch:  # a larger set, of which nobody knows which pictures were looked at
        patch.setattr(RunFolder, "is_sampled", True)
        patch.setattr(RunFolder, "bundle_learned_from", lambda _: ((), (5, 7)))
        assert any(note.startswith(told.format("up to 7")) for note in notes(out, data))
    shutil.copytree(out / "bundle", tmp_path / "alone")  # of which nobody knows what it has seen
    assert not any("has learned from" in note for note in notes(tmp_path / "alone", data))


def test_the_page_says_what_was_found_and_what_is_next(real: tuple[Result, SearchResult], data: Path) -> None:
    result, found = real
    text, out = flat(result.stdout), data.parent / "run"
    assert f"strategy {found.best.strategy} backbone tiny" in text
    assert "test none: no pictures were held aside" in text
    assert f"expected {found.validation.accuracy:.1%} (90% interval" in text
    assert f"predicted {found.predicted[0]:.1%} (90% interval" in text
    assert text.count("<- in the ensemble") == len(found.members) == 2
    assert "ended because all 2 trials are done" in text
    assert f"model {out / 'bundle'} leaderboard {out / 'leaderboard.csv'} run {out}" in text
    assert f"automl-tl predict {out / 'bundle'} PICTURES" in text
    again = f"automl-tl search '{data}' --cache-dir {data.parent / 'cache'} --trials 4 --out {out} --resume"
    assert again in text
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_progress_is_a_line_for_each_stage_trial_and_best(real: tuple[Result, SearchResult]) -> None:
    lines = real[0].stderr.splitlines()
    assert lines[:3] == ["Reading pictures", "Loading backbones", "Features of tiny"]
    assert [line[:8] for line in lines if line.startswith("Trial")] == ["Trial 1:", "Trial 2:"]
    assert any(line.startswith("Best so far: expected accuracy ") for line in lines)
    assert len(lines) < 25


def test_resumed_as_the_page_says(real: tuple[Result, SearchResult]) -> None:
    words = next(line for line in flat(real[0].stdout).split(" - ") if "--resume" in line)
    arguments = shlex.split(words.split(" goes on")[0])[1:]
    result = CliRunner().invoke(main, [*arguments, "--format", "json"])
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert values["n_trials"] == 4
    assert values["stopped_because"] == "all 4 trials are done"


def test_a_strategy_that_trains_can_be_the_only_one(data: Path, tmp_path: Path) -> None:
    options = ["--strategy", "fine_tuning", "--trials", "1", "--out", tmp_path / "run", "--format", "json"]
    result = run(data, *options, "--cache-dir", data.parent / "cache")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["best"]["strategy"] == "fine_tuning"


# --- pages of other results -------------------------------------------------------------------------


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, real: tuple[Result, SearchResult]) -> Callable[..., str]:
    """Return a function: the page of the real result with some of it replaced."""

    def shown(*arguments: str, **changes: Any) -> str:
        result = replace(real[1], **changes)
        monkeypatch.setattr(engine, "search", lambda *_, **__: result)
        answer = run("DATA", *arguments)
        assert answer.exit_code == 0, answer.output
        return flat(answer.stdout)

    return shown


def test_a_test_is_shown_beside_what_was_expected(page: Callable[..., str], real: Any, data: Path) -> None:
    test = evaluate(load_bundle(real[1].bundle, "cpu"), open_dataset(data))
    text = page(test=test)
    assert f"test {test.accuracy:.1%} of 24 pictures that no decision has seen expected" in text
    assert "tests the model on further labelled pictures" in text
    assert "of 24 pictures that no decision has seen, log loss" in page(test=test, metric="log_loss")


def test_another_metric_has_its_own_units(page: Callable[..., str]) -> None:
    text = page(metric="log_loss", value=0.25)
    assert "by its trial log loss 0.250 nats, not corrected" in text
    assert "gain (s.e.) expected candidate" in text
    assert "+0.000 (0.000) +0.000" in text
    assert "by its trial balanced accuracy 91.2%" in page(metric="balanced_accuracy", value=0.912)


def test_what_was_trained_is_said(page: Callable[..., str], real: tuple[Result, SearchResult]) -> None:
    best = next(c.outcome.configuration for c in real[1].comparisons if c.outcome.state)
    how = replace(best.how, unfrozen=1, epochs=7, head_epochs=2, layers="fully_connected")
    trained = replace(best, how=how, cuts=(3,), training="fine_tuning", balanced=True)
    text = page(best=trained, members=(trained,), shares=(1.0,))
    assert "the head alone for 2 epochs, then the last 1 of 3 stages and a fully connected head for 7 epochs" in text
    assert "every class counting the same" in text
    assert "augmentation" in text
    frozen = replace(trained, training="frozen", how=Frozen("ridge", 1.0, "flips"))
    text = page(best=frozen, members=(frozen, trained), shares=(0.6, 0.4))
    assert "a ridge classifier on every picture, mirrored as well" in text
    assert "together with fine_tuning: tiny" in text
    assert "which weighs 40%" in text


def test_another_strategy_than_the_recommended_one_is_said(page: Callable[..., str], real: Any) -> None:
    known = real[1].assessment
    other = next(name for name in ("fine_tuning", "feature_extractor") if name != real[1].best.strategy)
    advised = {
        name: replace(known, choice=replace(known.choice, strategy=name)) for name in (other, real[1].best.strategy)
    }
    assert f"before anything was tried; {other} was recommended then" in page(assessment=advised[other])
    assert "was recommended then" not in page(assessment=advised[real[1].best.strategy])


def test_the_page_of_recommend_leads_to_the_search(data: Path) -> None:
    options = ["--backbone", "tiny", "--metric", "macro_f1", "--mean", "0.5,0.5,0.5", "--seed", "2"]
    result = CliRunner().invoke(main, ["recommend", str(data), *options])
    assert result.exit_code == 0, result.output
    text = flat(result.stdout)
    same = f"'{data}' --backbone tiny --mean 0.5,0.5,0.5 --metric macro_f1 --seed 2"
    assert f"automl-tl search {same} --budget 10m finds and trains the best model" in text
    assert f"automl-tl recommend {same} --budget 10m weighs" in text
    assert f"automl-tl inspect '{data}' shows the pictures alone" in text


def test_a_budget_and_an_early_end_are_shown(page: Callable[..., str]) -> None:
    text = page(budget=600.0, seconds=123.4, stopped_because="it was interrupted")
    assert "time 2 min 3 s of 10 min ended because it was interrupted" in text


def test_many_notes_are_shortened(page: Callable[..., str]) -> None:
    notes = tuple(f"note \x1b[31m{k}" for k in range(9))
    assert r"note \x1b[31m3 - ... and" in page(notes=notes)
    assert r"note \x1b[31m8" in page("--verbose", notes=notes)


def test_pictures_that_could_not_be_read_are_named(page: Callable[..., str], real: Any) -> None:
    left_out = tuple(Skipped(f"/my pictures/a/{name}.jpg", "not a picture") for name in ("1", "2", "\x1b[31m", "4"))
    text = page(report=replace(real[1].report, unreadable=left_out))
    names = r"'1.jpg', '2.jpg', '\x1b[31m.jpg' and 1 more"
    assert f"4 pictures left out, as not readable ({names}): automl-tl inspect says why." in text
    assert "left out" not in page()


def test_json_is_the_result_and_nothing_else(monkeypatch: pytest.MonkeyPatch, real: Any) -> None:
    monkeypatch.setattr(engine, "search", lambda *_, **__: real[1])
    assert json.loads(run("DATA", "--format", "json").stdout) == json.loads(json.dumps(real[1].to_dict()))


# --- options ----------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the search was called with, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    seen: dict[str, Any] = {}

    def search(path: Path, **options: Any) -> None:
        seen.update(options, path=path)
        raise OptionError("seen")

    monkeypatch.setattr(engine, "search", search)
    return seen


def test_the_defaults(asked: dict[str, Any]) -> None:
    before = time.monotonic()
    run("DATA")
    assert before <= asked.pop("started") <= time.monotonic()  # of this command, not of the process
    assert isinstance(asked.pop("monitor"), Lines)
    assert asked.pop("out").parent == Path("runs")
    assert asked.pop("command").startswith("automl-tl")
    assert asked == {
        "path": Path("DATA"), "budget": None, "trials": None, "resume": False, "backbones": (),
        "strategies": (), "metric": "accuracy", "device": "auto", "max_memory": None, "max_latency_ms": None,
        "max_params": None, "seed": 0, "cache_dir": None, "batch_size": None, "ray": None, "storage": None,
        "workers": None, "path_column": "path", "label_column": "label",
        "split_column": "split", "group_column": None, "weights": {}, "mean": None, "std": None, "input_size": None,
        "split_folders": None, "image_root": None, "extension": "", "drop_leaks": True, "mlflow": None,
        "tensorboard": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        ("--budget 1h30m", "budget", 5400.0),
        ("--trials 5", "budget", None),
        ("--trials 5", "trials", 5),
        ("--trials 5 --budget 20m", "budget", 1200.0),
        ("--out RUN", "out", Path("RUN")),
        ("--out RUN --resume", "resume", True),
        ("--strategy fine_tuning --strategy feature_extractor", "strategies", ("fine_tuning", "feature_extractor")),
        ("--max-memory 4GB", "max_memory", 4 * 10**9),
        ("--max-latency-ms 20ms", "max_latency_ms", 20.0),
        ("--max-params 5M", "max_params", 5_000_000),
        ("--backbone fast --backbone timm:x", "backbones", ("fast", "timm:x")),
        ("--group-column patient", "group_column", "patient"),
        ("--input-size 64", "input_size", 64),
    ],
)
def test_accepted(asked: dict[str, Any], arguments: str, name: str, value: Any) -> None:
    run("DATA", *arguments.split())
    assert asked[name] == value


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--budget soon", "--budget: 'soon' is no duration"),
        ("--max-memory much", "--max-memory: 'much' is not an amount of memory"),
        ("--report page.txt", "--report: 'page.txt' is written as HTML: end its name in .html"),
        ("--max-params 0", "--max-params: a number must be above zero"),
        ("--max-latency-ms fast", "--max-latency-ms: 'fast' is not a time"),
        ("--trials 0", "0 is not in the range x>=1"),
        ("--strategy guess", "'guess' is not one of 'feature_extractor'"),
        ("--metric auc", "'auc' is not one of"),
    ],
)
def test_refused_with_a_sentence(asked: dict[str, Any], arguments: str, sentence: str) -> None:
    result = run("DATA", *arguments.split())
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert not asked


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none"], "There is no file or folder 'none'"),
        (["DATA", "--budget", "3"], "a budget must be 10 s or more"),
        (["DATA", "--resume"], "--resume needs --out"),
        (["DATA", "--out", "NEW", "--resume"], "holds no run to resume"),
        (["DATA", "--out", "RUN"], "holds a run already; give another --out, or go on with a search by --resume"),
        (["DATA", "--out", "RUN", "--resume", "--seed", "1"], "was begun with --seed 0, not with --seed 1"),
        (["DATA", "--backbone", "huge"], "huge"),
        (["DATA", "--max-params", "10"], "no backbone fits"),
    ],
)
def test_what_the_search_refuses_is_one_sentence(
    arguments: list[str], sentence: str, real: Any, data: Path, tmp_path: Path
) -> None:
    places = {"DATA": str(data), "RUN": str(data.parent / "run"), "NEW": str(tmp_path / "new")}
    words = [places.get(one, one) for one in arguments]
    result = run(*words, *([] if "--out" in words or "--resume" in words else ["--out", tmp_path / "other"]))
    assert result.exit_code == 2
    assert result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert sentence in errors[0]
    assert result.stderr.splitlines()[-1] == errors[0]


# --- Ctrl-C -----------------------------------------------------------------------------------------


def test_interrupted_it_says_where_a_model_lies_already(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "my run"

    def search(path: Path, **options: Any) -> None:
        (out / "bundle").mkdir(parents=True)
        (out / "run.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "search", search)
    result = run("DATA", "--budget", "90", "--out", out, "--seed", "3")
    assert result.exit_code == 130
    assert result.stdout == ""
    said = [line.strip() for line in result.stderr.strip().splitlines()]
    assert said == [
        "Interrupted; what was computed is cached.",
        f"To go on with this search: automl-tl search DATA --budget 90s --seed 3 --out '{out}' --resume",
        f"The best model so far is in {out / 'bundle'}",
    ]


def test_interrupted_before_anything_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    def search(path: Path, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "search", search)
    result = run("DATA")
    assert result.exit_code == 130
    assert result.stderr == "\nInterrupted; what was computed is cached, run the same command to go on.\n"


def test_interrupted_while_it_is_shown_it_says_that_the_model_is_done(
    monkeypatch: pytest.MonkeyPatch, real: Any, tmp_path: Path
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "search", lambda *_, **__: real[1])
    monkeypatch.setattr("automl_tl.cli.pages.write_run", interrupted)
    result = run("DATA", "--report", tmp_path / "page.html")
    assert result.exit_code == 130
    assert "leaderboard" in result.stdout
    bundle = real[1].bundle
    assert [line.strip() for line in result.stderr.strip().splitlines()] == [
        "Interrupted; what was computed is cached.",
        f"The model is done: {bundle}",
        f"To see what came of it: automl-tl report {shlex.quote(str(bundle.parent))} --output report.html",
    ]


def test_where_the_page_cannot_be_written_it_says_that_the_model_is_done(
    monkeypatch: pytest.MonkeyPatch, real: Any, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OptionError("--report 'page.html' cannot be written (No space left on device)")

    monkeypatch.setattr(engine, "search", lambda *_, **__: real[1])
    monkeypatch.setattr("automl_tl.cli.pages.write_run", full)
    result = run("DATA", "--report", tmp_path / "page.html")
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert "leaderboard" in result.stdout  # the answer is not lost with its page
    assert f"The model is done: {real[1].bundle}" in result.stderr


# --- the display ------------------------------------------------------------------------------------


EPOCH = Epoch(3, 12, progress=0.25, loss=0.5, rate=1e-3, seconds=7.0, score=0.8125)
STATUS = Status(left=90.0, n_trials=3, n_swept=27, best="a [b]", value=0.5, interval=(0.4, 0.6), running="c\x1b[2J")


def shown(display: Display) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(display.rendered())
    return console.file.getvalue()  # type: ignore[attr-defined]


def display(ends: float | None) -> Display:
    return Display("accuracy", ends, Console(file=io.StringIO(), width=100))


def test_the_display_shows_time_trials_the_best_and_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("automl_tl.cli.search_live.time", SimpleNamespace(monotonic=lambda: 1000.0))
    live = display(1125.0)
    assert flat(shown(live)).startswith("time left 2 min 5 s now Getting ready")
    with live.activity("Features of [x]") as update:
        assert flat(shown(live)).endswith("now Features of [x]")
        update(30, 120)
        assert "now Features of [x] 30 of 120 ██████" in flat(shown(live))
    live.show(STATUS)
    text = flat(shown(live))
    assert "trials 3, after 27 frozen candidates" in text
    assert "best so far expected accuracy 50.0% (90% interval 40.0% to 60.0%), a [b]" in text
    assert text.endswith(r"now c\x1b[2J")
    live.learned(EPOCH)
    assert flat(shown(live)).endswith(f"now c\\x1b[2J {epoch_words(EPOCH)}")
    live.show(STATUS)
    assert flat(shown(live)) == text
    live.learned(EPOCH)
    with live.activity("Refitting"):
        assert "best so far" in shown(live)
        assert flat(shown(live)).endswith("now Refitting")


def test_lines_say_now_and_then_where_a_long_training_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("automl_tl.cli.search_live.time", SimpleNamespace(monotonic=lambda: now))
    lines = Lines("accuracy")
    for _ in range(24):
        now += 1
        lines.learned(EPOCH)
    assert capsys.readouterr().err.splitlines() == [f"  {epoch_words(EPOCH)}"] * 2


def test_the_display_without_a_budget_shows_the_time_it_took() -> None:
    assert flat(shown(display(None))).startswith("time 0")
    assert flat(shown(display(time.monotonic() - 9))).startswith("time left 0")


def test_what_the_search_says_stands_above_the_display() -> None:
    live = display(None)
    live.say("fetching [bold]x")
    assert live.console.file.getvalue() == "fetching [bold]x\n"  # type: ignore[attr-defined]


def test_lines_do_not_repeat_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines("accuracy")
    for n, best in enumerate(("a", "a", "b")):
        lines.show(replace(STATUS, n_trials=n, best=best, left=None if n else 75.0))
    said = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in said] == [
        "Best so far", "Trial 1 (1 min 15 s left)", "Trial 2", "Best so far", "Trial 3",
    ]  # fmt: skip


def test_the_best_so_far_in_other_metrics() -> None:
    assert best_words(replace(STATUS, interval=None), "macro_f1") == "macro F1 0.500, a [b]"
    assert best_words(replace(STATUS, value=None), "accuracy") == "a [b]"
