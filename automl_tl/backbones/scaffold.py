"""Start a plugin: a complete distribution of a backbone that installs and passes its checks at once. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from string import Template

from automl_tl.backbones import validation
from automl_tl.backbones.discovery import normalised
from automl_tl.backbones.registry import load_plugins
from automl_tl.errors import OptionError

LONGEST_NAME = 60
PREFIX = "automl-tl-"

_FILES = {
    # where it goes: the template's file
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    ".gitignore": "gitignore.txt",
    ".github/workflows/test.yml": "ci.yml.txt",
    "src/$module/__init__.py": "init.py.txt",
    "src/$module/backbone.py": "backbone.py.txt",
    "tests/test_conformance.py": "test_conformance.py.txt",
}


@dataclass(frozen=True)
class Scaffold:
    """What was written."""

    name: str
    """The entry point, which is what users type."""
    folder: Path
    distribution: str
    module: str
    files: tuple[Path, ...]

    @property
    def backbone_file(self) -> Path:
        """The file to edit."""
        return self.folder / "src" / self.module / "backbone.py"


def write_scaffold(name: str, parent: Path) -> Scaffold:
    """Write the plugin `name` into the new folder `parent / name`.

    Raises:
        OptionError: The name is not allowed or taken, the folder exists already, or it cannot be written.
    """
    distribution = normalised(name if normalised(name).startswith(PREFIX) else PREFIX + name)
    module, folder = distribution.replace("-", "_"), parent / name
    fault = _name_fault(name, module)
    if fault is not None:
        raise OptionError(fault)
    words = {"name": name, "distribution": distribution, "module": module}
    try:
        folder.mkdir()
        files = tuple(_write(folder, where, template, words) for where, template in _FILES.items())
    except FileExistsError:
        raise OptionError(f"{folder} exists already; choose another name, or remove it first") from None
    except OSError as error:
        raise OptionError(f"{folder} cannot be written ({error.strerror or error})") from error
    return Scaffold(name, folder, distribution, module, files)


def _write(folder: Path, where: str, template: str, words: dict[str, str]) -> Path:
    path = folder / Template(where).substitute(words)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = (resources.files("automl_tl.backbones") / "template" / template).read_text(encoding="utf-8")
    path.write_text(Template(text).substitute(words), encoding="utf-8")
    return path


def _name_fault(name: str, module: str) -> str | None:
    """Return what is wrong with the name of a new plugin, whose code will be `module`, or None."""
    fault = validation.name_fault(name)
    if fault is not None:
        return fault
    if not name[-1].isalnum() or len(name) > LONGEST_NAME:
        return f"a name must end in a letter or digit and have at most {LONGEST_NAME} characters, but it is {name!r}"
    taken = load_plugins().get(name)
    if taken is not None:
        return f"the name {name!r} is taken by {taken.distribution} {taken.version}; choose another name"
    if find_spec(module) is not None:
        return f"the name {name!r} would make a module {module}, which is installed already; choose another name"
    return None
