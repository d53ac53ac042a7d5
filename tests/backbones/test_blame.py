"""What a plugin's code raises is one sentence with backbone, distribution and version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_plugins import Install, installer, isolate_hub

from automl_tl.backbones.blame import blaming
from automl_tl.errors import AutomlTlError, BackboneError, OptionError, ShortageError, WeightsError


@pytest.fixture(autouse=True)
def empty_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    return isolate_hub(monkeypatch, tmp_path)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Install]:
    yield from installer(monkeypatch, tmp_path)


CASES: list[tuple[BaseException, type[AutomlTlError], str]] = [
    (ValueError("two\nlines"), BackboneError, "tiny (some-one 1.2) failed: it raised ValueError: two lines"),
    (SystemExit(3), BackboneError, "tiny (some-one 1.2) failed: it raised SystemExit: 3"),
    (MemoryError(), ShortageError, "memory did not suffice: tiny failed (MemoryError)"),
    (OSError("no file"), WeightsError, "tiny (some-one 1.2) failed: no file"),
    (ConnectionError(), WeightsError, "tiny (some-one 1.2) failed: ConnectionError"),
    (BackboneError("tiny: bad"), BackboneError, "tiny (some-one 1.2): bad"),
    (WeightsError("tiny: some-one 1.2 bad"), WeightsError, "tiny: some-one 1.2 bad"),
    (OptionError("not its fault"), OptionError, "not its fault"),
]


@pytest.mark.parametrize(("raised", "kind", "sentence"), CASES, ids=lambda one: type(one).__name__)
def test_whose_fault(raised: BaseException, kind: type[AutomlTlError], sentence: str, install: Install) -> None:
    install("some-one")
    with pytest.raises(kind) as caught, blaming("tiny", "failed"):
        raise raised
    assert type(caught.value) is kind
    assert str(caught.value) == sentence


@pytest.mark.parametrize("name", ["timm:resnet18", "efficientnet_lite0", "mine"])
def test_a_bundled_one_and_one_of_the_callers_need_no_distribution(name: str) -> None:
    with pytest.raises(BackboneError, match=f"^{name} failed: it raised ValueError: oh$"), blaming(name, "failed"):
        raise ValueError("oh")


def test_ctrl_c_passes() -> None:
    with pytest.raises(KeyboardInterrupt), blaming("tiny", "failed"):
        raise KeyboardInterrupt


def test_one_inside_another_says_it_once(install: Install) -> None:
    install("some-one")
    with pytest.raises(BackboneError) as caught, blaming("tiny", "failed"), blaming("tiny", "broke"):
        raise ValueError("oh")
    assert str(caught.value) == "tiny (some-one 1.2) broke: it raised ValueError: oh"
    assert isinstance(caught.value.__cause__, ValueError)
