"""`automl-tl backbones new NAME`: start a plugin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from automl_tl.cli.options import verbose_option
from automl_tl.wording import clean, plural

if TYPE_CHECKING:
    from automl_tl.backbones.scaffold import Scaffold


@click.command()
@click.argument("name")
@verbose_option
def new(name: str, verbose: bool) -> None:
    """Write a complete plugin for a backbone called NAME into the new folder ./NAME.

    It works as it is, offline, with the weights of EfficientNet-Lite0: install it, check it, then replace the
    network by yours.
    """
    from automl_tl.backbones.scaffold import write_scaffold

    made = write_scaffold(name, Path())
    click.echo("\n".join(_summary(made, verbose)))


def _summary(made: Scaffold, verbose: bool) -> list[str]:
    name = clean(made.name)
    files = [f"  {clean(path)}" for path in made.files] if verbose else []
    return [
        f"Wrote {name}/ ({plural(len(made.files), 'file')}): the distribution {made.distribution}, "
        "for now with the weights of EfficientNet-Lite0.",
        *files,
        "",
        "Next steps:",
        f"1. Install it:     pip install --no-build-isolation --editable ./{name}",
        f"2. Check it:       automl-tl backbones check {name}",
        f"3. Use it:         automl-tl recommend FOLDER --backbone {name}",
        f"4. Make it yours:  edit {made.backbone_file}, then check it again",
        f"5. Describe what it was trained on:  automl-tl reference build {name} PICTURES",
        f"6. Publish it:     README.md, a licence, the CI in .github; its own tests: pytest {name}",
    ]
