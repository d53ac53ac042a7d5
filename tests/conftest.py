"""Fixtures that every test folder uses: a cache of its own and small generated picture data sets."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

# Before numpy or torch is imported: several workers share the cores, and no test may wait for a hub.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import unprivileged
from generated_pictures import MakePictures, write_pictures
from hypothesis import HealthCheck, settings
from unprivileged import Restricted

# A machine that is busy for a moment is no fault of what is tested.
settings.register_profile("patient", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

SHARED = Path(__file__).resolve().parents[2] / "shared"
"""Real data sets and weights beside the project; only tests marked slow may need them."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a CUDA device where there is none."""
    if item.get_closest_marker("cuda") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("torch sees no CUDA device here")


@pytest.fixture
def warnings_raised(recwarn: pytest.WarningsRecorder) -> Callable[[], list[str]]:
    """Return what lists the warnings so far; a ResourceWarning speaks of garbage, which another test may have left."""
    return lambda: [str(one.message) for one in recwarn if not issubclass(one.category, ResourceWarning)]


@pytest.fixture
def make_pictures(tmp_path: Path) -> MakePictures:
    """Return `write_pictures` with a folder of the test's own as the default root."""

    def make(root: Path | None = None, **options: object) -> Path:
        return write_pictures(root or tmp_path / "pictures", **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def pictures(make_pictures: MakePictures) -> Path:
    """Return a folder of 3 classes with 6 pictures each."""
    return make_pictures()


@pytest.fixture
def restricted(tmp_path_factory: pytest.TempPathFactory) -> Restricted:
    """Return what runs Python with the rights that files' modes give alone; skip where nothing is forbidden to it."""
    (closed := tmp_path_factory.mktemp("closed")).chmod(0)
    try:
        may = unprivileged.python("-c", f"import os; os.listdir({str(closed)!r})").returncode == 0
    except subprocess.SubprocessError:
        may = True
    if may:
        pytest.skip("nothing can be forbidden to who runs the tests")
    return unprivileged.python


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of shared data, or skip where it is not beside the project."""
    if not SHARED.is_dir():
        pytest.skip("the shared data sets are not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of their own for what every test has: pytest reads all names beside a new one to number it."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def isolated_cache(homes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test an empty cache and data folder: none reads what another or the user computed."""
    home = Path(tempfile.mkdtemp(dir=homes))
    for variable, name in (("AUTOML_TL_CACHE_DIR", "cache"), ("XDG_DATA_HOME", "data")):
        (home / name).mkdir()
        monkeypatch.setenv(variable, str(home / name))
    return home / "cache"
