"""Options are declared once: everything that shows or takes one derives from its field."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from typing import Any

import click
import pytest
from click.testing import CliRunner
from sklearn.base import BaseEstimator, clone

import automl_tl
from automl_tl.backbones.stages import POOLINGS
from automl_tl.cli.labels import labels as labels_command
from automl_tl.cli.options import data_argument, declared
from automl_tl.cli.recommend import recommend as recommend_command
from automl_tl.cli.retyped import retyped
from automl_tl.cli.search import search as search_command
from automl_tl.cli.train import train as train_command
from automl_tl.cores import FEWEST_THREADS, MOST_THREADS
from automl_tl.errors import OptionError
from automl_tl.learning.configuration import CLASSIFIERS, VIEW_SETS
from automl_tl.learning.recipe import LAYERS
from automl_tl.learning.scores import METRICS as METRIC_FUNCTIONS
from automl_tl.options import (
    METRICS,
    FitOptions,
    LabelOptions,
    RecommendOptions,
    SearchOptions,
    TrainOptions,
    option,
    option_of,
    takes,
    training,
)
from automl_tl.options.texts import parse_split_folders


@dataclass(frozen=True, kw_only=True)
class Coloured(SearchOptions):
    """The options of a search, and one more."""

    colour: str = option("red", "Which colour.", choices=("red", "blue"), kept_by_resume=True)


@takes(Coloured)
def coloured(path: str, options: Coloured) -> Coloured:
    """Return the options.

    Args:
        path: of nothing.
    """
    return options


@click.command()
@data_argument
@declared(Coloured)
@click.pass_context
def command(ctx: click.Context, /, **values: Any) -> None:
    click.echo(f"{values['colour']} {retyped(ctx, ('data', *values))}")


class Painter(BaseEstimator):
    @takes(Coloured)
    def __init__(self, options: Coloured) -> None:
        for one in fields(options):
            setattr(self, one.name, getattr(options, one.name))


# --- one more option is one field -------------------------------------------------------------------


def test_a_function_takes_it() -> None:
    assert coloured("x").colour == "red"
    assert coloured("x", colour="blue").colour == "blue"
    assert inspect.signature(coloured).parameters["colour"].default == "red"
    assert "colour: Which colour." in (coloured.__doc__ or "")
    with pytest.raises(TypeError, match=r"^coloured\(\) got an unexpected keyword argument 'shade'"):
        coloured("x", shade="blue")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^coloured\(\) missing a required argument: 'path'"):
        coloured()  # type: ignore[call-arg]
    assert coloured(path="x", colour="blue").colour == "blue"  # type: ignore[call-arg]


def test_the_command_line_has_it_and_it_can_be_typed_again() -> None:
    assert "--colour [red|blue]" in CliRunner().invoke(command, ["--help"]).output
    result = CliRunner().invoke(command, ["DATA", "--colour", "blue", "--budget", "90"])
    assert result.output == "blue DATA --budget 90s --colour blue\n"
    assert CliRunner().invoke(command, ["DATA", "--colour", "green"]).exit_code == 2


def test_an_estimator_has_it() -> None:
    assert Painter().get_params()["colour"] == "red"
    assert clone(Painter(colour="blue")).get_params()["colour"] == "blue"


def test_a_resumed_run_must_have_it_in_common() -> None:
    assert Coloured(colour="blue").kept_by_resume()["colour"] == "blue"
    assert "budget" not in Coloured(budget=60.0).kept_by_resume()


# --- what there is derives from it ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "shown", "options"),
    [
        (automl_tl.recommend, recommend_command, RecommendOptions),
        (automl_tl.labels, labels_command, LabelOptions),
        (automl_tl.search, search_command, SearchOptions),
        (automl_tl.train, train_command, TrainOptions),
    ],
)
def test_functions_and_commands_have_the_same_options(function: Any, shown: click.Command, options: type) -> None:
    names = [one.name for one in fields(options)]
    assert list(inspect.signature(function).parameters) == ["data", *names]
    assert all(f"        {name}: " in (function.__doc__ or "") for name in names)
    on_command_line = {one.name for one in fields(options) if option_of(one).on_command_line}
    of_the_command = {"data", "output", "report", "output_format", "verbose"}
    assert {param.name for param in shown.params} - of_the_command == on_command_line
    for one in fields(options):
        assert option_of(one).help.endswith((".", "]"))


def test_the_estimator_has_those_of_a_search() -> None:
    params = automl_tl.TransferClassifier().get_params()
    assert {one.name: one.default for one in fields(FitOptions)} == {
        name: value for name, value in params.items() if name not in ("random_state", "out")
    }


def test_the_estimator_explains_every_option() -> None:
    text = automl_tl.TransferClassifier.__doc__ or ""
    assert all(f"        {name}: " in text for name in automl_tl.TransferClassifier().get_params())


def test_names_may_be_any_sequence() -> None:
    options = SearchOptions(backbones=["a", "b"], strategies=(name for name in ["fine_tuning"]))  # type: ignore[arg-type]
    assert (options.backbones, options.strategies) == (("a", "b"), ("fine_tuning",))


def test_choices_are_those_that_there_are() -> None:
    assert set(METRICS) == set(METRIC_FUNCTIONS)
    assert set(training.POOLINGS) == set(POOLINGS)
    assert training.CLASSIFIERS == CLASSIFIERS
    assert tuple(VIEW_SETS) == training.VIEWS
    assert training.LAYERS == LAYERS


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"strategy": "guess"}, "--strategy must be one of feature_extractor, .*, but is 'guess'"),
        ({"epochs": 0}, "--epochs must be at least 1, but is 0"),
        ({"label_smoothing": 1.5}, "--label-smoothing must be from 0 to 0.9, but is 1.5"),
        ({"head_lr": float("nan")}, "--head-lr must be from 1e-09 to 10, but is nan"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        TrainOptions(**values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"strategies": ("guess",)}, "--strategy must be one of feature_extractor, .*, but is 'guess'"),
        ({"without": ("luck",)}, "--without must be one of joined, .*, but is 'luck'"),
        ({"max_params": 0}, "--max-params must be at least 1, but is 0"),
        ({"budget": 3.0}, "a budget must be 10 s or more, to look at the pictures at all, but is 3 s"),
        ({"resume": True}, "--resume needs --out"),
    ],
)
def test_values_that_make_no_sense_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        SearchOptions(**values)


def test_without_trials_there_is_a_budget() -> None:
    assert SearchOptions().budget == 600
    assert SearchOptions(trials=3).budget is None


@pytest.mark.parametrize(
    ("options", "value", "told"),
    [
        (RecommendOptions, {"budget": -5}, "^--budget must be at least 0.001, but is -5$"),
        (RecommendOptions, {"budget": float("nan")}, "^--budget must be at least 0.001, but is nan$"),
        (SearchOptions, {"strategies": ["x"]}, "^--strategy must be one of .*, but is 'x'$"),
    ],
)
def test_a_value_out_of_bounds_names_the_option_as_it_is_typed(options: type, value: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        options(**value)


def test_the_help_of_workers_has_the_threads_that_there_are() -> None:
    told = option_of(next(one for one in fields(SearchOptions) if one.name == "workers"))
    for text in (told.help, told.doc):
        assert f"{FEWEST_THREADS} to {MOST_THREADS}" in text


def test_a_folder_is_one_part_of_a_split() -> None:
    assert parse_split_folders(("a=train", "b=test", "a=train")) == {"a": "train", "b": "test"}
    with pytest.raises(OptionError, match="says both train and test of 'a': say one"):
        parse_split_folders(("a=train", "a=test"))
