"""The command `automl-tl`: a group whose sub-commands are imported only when one is run.

The short help texts stand in a table here, so that `--help` and `--version` import nothing heavy.
"""

from __future__ import annotations

import io
import os
import sys
import time
from typing import Any

import click

from automl_tl.chatter import results_apart
from automl_tl.cli.failures import report_failure
from automl_tl.cli.lazy import lazy_commands
from automl_tl.cli.signals import ending_signals
from automl_tl.cores import share_cores
from automl_tl.errors import AutomlTlError
from automl_tl.version import __version__

COMMANDS = {
    "recommend": ("automl_tl.cli.recommend:recommend", "Say which backbone to use, and how, and why."),
    "search": ("automl_tl.cli.search:search", "Find and train the best model in the time given."),
    "train": ("automl_tl.cli.train:train", "Train exactly one configuration, the recommended one or your own."),
    "predict": ("automl_tl.cli.predict:predict", "Say what is in pictures, with a trained model."),
    "try": ("automl_tl.cli.tryout:tryout", "Try a trained model on a page of this machine."),
    "evaluate": ("automl_tl.cli.evaluate:evaluate", "Say how good a trained model is on labelled pictures."),
    "export": ("automl_tl.cli.export:export", "Write a trained model for ONNX Runtime, torch or timm."),
    "report": ("automl_tl.cli.report:report", "Write the page of a run of search or train."),
    "labels": ("automl_tl.cli.labels:labels", "List the pictures whose labels are likely wrong."),
    "inspect": ("automl_tl.cli.inspect:inspect", "Report on the pictures alone: counts, sizes, duplicates."),
    "backbones": ("automl_tl.cli.backbones:backbones", "List, check and start backbones."),
    "panel": ("automl_tl.cli.panel:panel", "Let your own searches count in recommendations."),
    "reference": ("automl_tl.cli.reference:reference", "Describe a backbone's own pretraining domain."),
    "cache": ("automl_tl.cli.cache:cache", "Show or clear what is kept on disk between runs."),
}

KEEP_NOTHING = frozenset({"predict", "try", "evaluate", "export", "report", "panel", "reference"})
"""Commands that begin again where they were interrupted."""
STARTED = "automl_tl.started"
"""Where a command finds `time.monotonic()` of its beginning in its context's meta."""
EPILOG = "Start with: automl-tl recommend FOLDER, where FOLDER holds one folder of pictures per class."


class Application(click.Group):
    """A click group that turns every exception of a command into one sentence and an exit code."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the program; a standard output that cannot be written is one sentence, in `--help` as well."""
        if sys.stderr is None:  # closed by the shell: 2>&-
            sys.stderr = io.StringIO()
        if sys.stdout is None:
            click.echo("Error: standard output is closed: leave it open, or send it to a file.", err=True)
            sys.exit(AutomlTlError.exit_code)
        share_cores(os.environ)
        try:
            with results_apart():
                return super().main(*args, **extra)
        except OSError as error:
            sys.exit(report_failure(error, verbose=False))

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Return the context, with the moment in its meta: budgets count from here, before anything heavy loads."""
        started = time.monotonic()
        context = super().make_context(*args, **extra)
        context.meta[STARTED] = started
        return context

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command; click's own errors (usage, exit, abort) pass through to click."""
        try:
            with ending_signals() as came:
                result = super().invoke(ctx)
                sys.stdout.flush()  # a closed pipe shows here and not as noise when the interpreter exits
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            keeps, verbose = ctx.invoked_subcommand not in KEEP_NOTHING, bool(ctx.meta.get("automl_tl.verbose"))
            ctx.exit(report_failure(error, verbose=verbose, keeps=keeps))
        if came:  # a search delivers what it has; whoever sent the signal is told that it came
            ctx.exit(came[0].exit_code)
        return result


main = Application(
    name="automl-tl",
    commands=lazy_commands(COMMANDS),
    help="Which pretrained backbone, used how? A recommender for transfer learning on labelled pictures.",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
main = click.version_option(__version__, prog_name="automl-tl")(main)
