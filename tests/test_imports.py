"""Imports go one way, and what must answer at once imports no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from generated_pictures import MakePictures

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "automl_tl"
STAGES = (
    "data",
    "backbones",
    "options",
    "augment",
    "features",
    "domain",
    "learning",
    "model",
    "exporter",
    "lab",
    "recommender",
    "searcher",
    "reviewer",
    "report",
    "tryout",
    "cli",
)
FOUNDATIONS = (
    "errors",
    "foreign",
    "version",
    "durations",
    "wording",
    "quantities",
    "cores",
    "memory",
    "devices",
    "cache_dir",
    "resources",
    "strategies",
    "monitor",
    "spare_time",
    "logs",
    "notebook",
    "work",
    "cluster",
    "cluster_clock",
    "cluster_group",
    "cluster_join",
    "output",
    "tensor_file",
    "chatter",
    "torch_state",
    "surroundings",
)
"""Top-level modules below every stage; they may use one another, without a cycle."""
ENTRANCES = (PACKAGE, f"{PACKAGE}.__main__")
"""Above everything: the public names and `python -m`. Nothing inside imports them."""

TORCH_FREE = (
    *(name for name in FOUNDATIONS),
    "data",
    "backbones",
    "backbones.contract",
    "backbones.registry",
    "lab",
    "lab.matrix",
    "options",
    "cli",
    "__main__",
)


def modules(root: Path, package: str = PACKAGE) -> dict[str, Path]:
    """Return {dotted name: file} of every module of the package below `root`."""
    found = {}
    for file in sorted((root / package).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported(name: str, file: Path, known: set[str]) -> Iterator[str]:
    """Yield the package's modules that `name` imports anywhere: in functions and for types as well."""
    is_package = file.name == "__init__.py"
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, name, is_package)
            for alias in node.names:
                target = f"{base}.{alias.name}"
                if target in known or base in known:
                    yield target if target in known else base


def _base(node: ast.ImportFrom, name: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = name.split(".") if is_package else name.split(".")[:-1]
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])


def graph(root: Path, package: str = PACKAGE) -> dict[str, set[str]]:
    """Return {module: modules of the package that it imports}, itself left out."""
    files = modules(root, package)
    return {name: set(imported(name, file, set(files))) - {name} for name, file in files.items()}


def rank(name: str) -> int:
    """Return the place of a module in the order; raise where it has none."""
    if name in ENTRANCES:
        return len(STAGES) + 1
    first = name.split(".")[1]
    if first in FOUNDATIONS:
        return -1
    if first not in STAGES:
        raise AssertionError(f"{name} has no place in the order; add it to STAGES or FOUNDATIONS")
    return STAGES.index(first)


def violations(root: Path) -> list[str]:
    """Return every import that goes up, as "importer -> imported"."""
    edges = ((name, target) for name, targets in graph(root).items() for target in targets)
    return sorted(f"{name} -> {target}" for name, target in edges if rank(target) > rank(name))


def cycle(edges: dict[str, set[str]]) -> list[str]:
    """Return the modules of one import cycle, or [] where there is none."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return path[path.index(name) :]
        if name in done:
            return []
        for target in sorted(edges[name]):
            if found := visit(target, [*path, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(edges) if (found := visit(name, []))), [])


def test_every_import_goes_to_an_earlier_stage() -> None:
    assert len(modules(ROOT)) > 30  # the walk found the package
    assert violations(ROOT) == []


@pytest.mark.parametrize(("one", "other"), [("recommender", "searcher"), ("searcher", "recommender")])
def test_siblings_do_not_know_each_other(one: str, other: str) -> None:
    """Both work in the laboratory; whoever wants both, opens it and asks each."""
    edges = [(name, target) for name, targets in graph(ROOT).items() for target in targets]
    assert any(name.startswith(f"{PACKAGE}.{one}.") and ".lab." in target for name, target in edges)
    assert [e for e in edges if e[0].startswith(f"{PACKAGE}.{one}.") and e[1].startswith(f"{PACKAGE}.{other}")] == []


def test_the_acts_of_a_search_follow_one_another() -> None:
    """What may be chosen knows of no trial, and trials know nothing of the delivery."""
    acts = ("space", "trials", "delivery")

    def act(name: str) -> int:
        first = name.removeprefix(f"{PACKAGE}.searcher.").partition(".")[0]
        return acts.index(first) if name.startswith(f"{PACKAGE}.searcher.") and first in acts else -1

    edges = [(name, target) for name, targets in graph(ROOT).items() for target in targets]
    assert {act(name) for name, _ in edges} == {-1, 0, 1, 2}
    assert [(name, target) for name, target in edges if 0 <= act(name) < act(target)] == []


@pytest.mark.parametrize("source", sorted((ROOT / "plugins").glob("*/src")), ids=lambda source: source.parent.name)
def test_no_import_cycles_in_a_plugin(source: Path) -> None:
    (package,) = [folder.name for folder in source.iterdir() if (folder / "__init__.py").exists()]
    edges = graph(source, package)
    assert edges
    assert cycle({name: targets - {package} for name, targets in edges.items() if name != package}) == []


def test_no_import_cycles() -> None:
    # The public names import lazily from everything, and everything is below them: no cycle of their own.
    edges = {name: targets - {PACKAGE} for name, targets in graph(ROOT).items() if name != PACKAGE}
    assert sum(map(len, edges.values())) > 50  # the walk found imports
    assert cycle(edges) == []


@pytest.fixture
def synthetic(tmp_path: Path) -> Path:
    files = {
        "__init__.py": "",
        "errors.py": "",
        "durations.py": "import automl_tl.errors\n",
        "data/__init__.py": "from automl_tl.data.dataset import Thing\n",
        "data/dataset.py": "from automl_tl.errors import DataError\nfrom . import split\n",
        "data/split.py": "",
        "features/__init__.py": "",
        "features/extract.py": "from automl_tl.data import Thing\n",
    }
    for name, text in files.items():
        path = tmp_path / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_lawful_tree_passes(synthetic: Path) -> None:
    assert violations(synthetic) == []
    assert cycle(graph(synthetic)) == []
    assert graph(synthetic)["automl_tl.features.extract"] == {"automl_tl.data"}
    assert "automl_tl.data.split" in graph(synthetic)["automl_tl.data.dataset"]


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        (
            "data/split.py",
            "from automl_tl.features import extract",
            "data.split -> automl_tl.features.extract",
        ),
        ("data/split.py", "import automl_tl.features.extract", "data.split -> automl_tl.features.extract"),
        ("data/split.py", "from ..features.extract import f", "data.split -> automl_tl.features.extract"),
        ("data/split.py", "def f():\n    from automl_tl import features", "data.split -> automl_tl.features"),
        ("data/__init__.py", "from ..features import extract", "data -> automl_tl.features.extract"),
        ("errors.py", "from automl_tl.data import Thing", "errors -> automl_tl.data"),
        ("features/extract.py", "from automl_tl import recommend", "features.extract -> automl_tl"),
    ],
)
def test_a_violation_is_found(synthetic: Path, file: str, text: str, expected: str) -> None:
    (synthetic / PACKAGE / file).write_text(text + "\n")
    assert violations(synthetic) == [f"automl_tl.{expected}"]


def test_a_cycle_is_found(synthetic: Path) -> None:
    (synthetic / PACKAGE / "data/split.py").write_text("from automl_tl.data import Thing\n")
    assert set(cycle(graph(synthetic))) == {
        "automl_tl.data",
        "automl_tl.data.dataset",
        "automl_tl.data.split",
    }


def test_a_module_without_a_place_is_found(synthetic: Path) -> None:
    (synthetic / PACKAGE / "utils.py").write_text("import automl_tl.errors\n")
    with pytest.raises(AssertionError, match=r"automl_tl\.utils has no place"):
        violations(synthetic)


def loaded_after(imports: str, *names: str) -> list[str]:
    """Return which of `names` are loaded in a fresh interpreter that has run `imports`."""
    code = f"{imports}\nimport sys\nprint([name for name in {names!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return list(ast.literal_eval(result.stdout.splitlines()[-1]))


def test_what_must_be_quick_imports_no_torch() -> None:
    present = modules(ROOT)
    names = {f"{PACKAGE}.{name}" for name in TORCH_FREE}
    assert names <= set(present)
    names |= {name for name in present if name.startswith((f"{PACKAGE}.data.", f"{PACKAGE}.cli."))}
    names = {name for name in names if not name.endswith("_page")}  # imported when there is a result to show
    imports = "\n".join(f"import {name}" for name in sorted(names))
    assert loaded_after(imports, "torch", "torchvision", "timm", "kornia") == []
    assert loaded_after("import torch", "torch") == ["torch"]  # the probe sees what is there


def test_the_public_package_imports_nothing_heavy() -> None:
    assert loaded_after("import automl_tl", "torch", "pandas", "numpy", "PIL", "rich", "click") == []


UNUSED_BY_RECOMMEND = (
    "optuna", "matplotlib", "jinja2", "onnx", "onnxruntime", "openvino", "mlflow", "tensorboard", "scipy.stats",
)  # fmt: skip
"""What `recommend` does without, unless a page or many pictures ask for it."""


def test_help_imports_nothing_but_click_and_the_table_of_commands() -> None:
    heavy = ("torch", "numpy", "pandas", "scipy", "PIL", "rich", "timm", *UNUSED_BY_RECOMMEND)
    run = "from automl_tl.cli import main\nmain(['--help'], standalone_mode=False)"
    assert loaded_after(run, *heavy, "click") == ["click"]


def test_recommend_imports_only_what_it_uses(make_pictures: MakePictures) -> None:
    words = ["recommend", str(make_pictures()), "--backbone", "small", "--no-try-training", "--device", "cpu"]
    run = f"import sys\nsys.path.insert(0, {str(ROOT / 'tests' / 'fixtures' / 'plugin')!r})\n"
    run += f"from automl_tl.cli import main\nmain({words!r}, standalone_mode=False)"
    assert loaded_after(run, *UNUSED_BY_RECOMMEND, "torch") == ["torch"]
