"""Real pages of every command, once for all tests: of pictures whose names and classes are as bad as they can be."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from generated_pictures import picture
from tiny_models import tiny_alone

from automl_tl.cli import main

CLASSES = (
    "<script>document.title='owned'</script>",
    "\"quoted\" 'twice' & {{ 7 * 7 }} $x^2$",
    "line\nbreak \u202eright to left\u202c",
    "long " * 60,
)
FILES = ("<img src=x onerror=alert(1)>", "a\"b'c&d", "new\nline\u202e", "n" * 200)


def write_hostile(root: Path, per_class: int = 10) -> Path:
    """Write pictures and a table of them with a given test part; two are identical, one is no picture."""
    root.mkdir()
    rows = [("path", "label", "split")]
    for kind, (label, stem) in enumerate(zip(CLASSES, FILES, strict=True)):
        for index in range(per_class):
            name = f"{stem}{index}.png"
            picture(kind, 0 if index == 1 else index).save(root / name)
            rows.append((name, label, "test" if index > per_class - 4 else "train"))
    (root / "<b>broken<b>.png").write_bytes(b"no picture")
    rows.append(("<b>broken<b>.png", CLASSES[0], "train"))
    table = root / "table.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return table


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The pages by command, made through the command line with a small backbone."""
    folder = tmp_path_factory.mktemp("pages")
    data = write_hostile(folder / "data")
    run = folder / "run"
    commands = {
        "inspect": [data],
        "recommend": [data, "--device", "cpu"],
        "labels": [data, "--device", "cpu"],
        "search": [data, "--device", "cpu", "--trials", "2", "--out", run],
        "train": [data, "--device", "cpu", "--strategy", "fine_tuning", "--epochs", "2", "--out", folder / "trained"],
        "evaluate": [run / "bundle", data, "--device", "cpu"],
    }
    made = {name: folder / f"{name}.html" for name in commands}
    with tiny_alone(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOML_TL_CACHE_DIR", str(folder / "cache"))
        for name, arguments in commands.items():
            result = CliRunner().invoke(main, [name, *map(str, arguments), "--report", str(made[name])])
            assert result.exit_code == 0, result.output
            assert f"The page is in {made[name]}" in result.stderr
    return made
