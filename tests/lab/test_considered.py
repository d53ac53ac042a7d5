"""Which backbones are considered: presets, what is announced before it is fetched, what is left out and when."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_lab import bare_networks
from tiny_backbone import TinyBackbone
from torch import nn

from automl_tl.backbones import plugins, presets
from automl_tl.backbones.contract import WeightsInfo
from automl_tl.errors import BackboneError
from automl_tl.lab import considered, networks
from automl_tl.lab.considered import announcement, usable_backbones, without_broken

FAST = [one.backbone for one in presets.members("fast", "cpu")]


class Remote(TinyBackbone):
    """Its weights are on a hub that answers, or does not."""

    def __init__(self, n_bytes: int | None = 40_000_000, *, answers: bool = True, fetched: list[str] | None = None):
        super().__init__()
        self.n_bytes, self.answers, self.fetched = n_bytes, answers, fetched

    def weights(self) -> dict[str, Any]:
        about = {"n_bytes": self.n_bytes, "local": False, "address": "hub/x", "licence": "mit"}
        return {"identity": "remote", **about}

    def build(self, *, pretrained: bool = True) -> nn.Module:
        if self.fetched is not None:
            self.fetched.append("fetched")
        if not self.answers:
            raise ConnectionError("the weights cannot be fetched (no connection to the hub)")
        return super().build(pretrained=pretrained)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, TinyBackbone]:
    """The backbones by name; the tiny one is on this machine, and the members of a preset are remote."""
    found: dict[str, TinyBackbone] = {"tiny": TinyBackbone(), **{name: Remote() for name in FAST}}
    monkeypatch.setattr(networks, "get_backbone", found.__getitem__)
    monkeypatch.setattr(considered, "local_backbones", lambda: ["tiny"])
    return found


def usable(folder: Path, wanted: list[str], say: Callable[[str], None] = lambda line: None) -> Any:
    return usable_backbones(bare_networks(folder, named=wanted), wanted, say)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([], ["tiny"]),
        (["all"], ["tiny"]),
        (["fast"], FAST),
        (["fast", "all"], [*FAST, "tiny"]),
        (["tiny", "fast", FAST[0]], ["tiny", *FAST]),
    ],
)
def test_names_presets_and_all(
    wanted: list[str], expected: list[str], installed: dict[str, TinyBackbone], tmp_path: Path
) -> None:
    assert usable(tmp_path, wanted) == (tuple(expected), ())


def test_a_download_is_announced_before_anything_is_fetched(
    installed: dict[str, TinyBackbone], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log: list[str] = []
    installed[FAST[0]] = Remote(n_bytes=None, fetched=log)
    installed[FAST[1]] = Remote(fetched=log)
    usable(tmp_path, ["tiny", "fast"], log.append)
    assert log == [
        "3 weights files are not on this machine and will be fetched, about 80 MB in all and 1 of unknown size:",
        f"  {FAST[0]}: size unknown, licence mit, from hub/x",
        f"  {FAST[1]}: about 40 MB, licence mit, from hub/x",
        f"  {FAST[2]}: about 40 MB, licence mit, from hub/x",
        "fetched",
        "fetched",
    ]
    log.clear()
    usable(tmp_path, ["fast"])
    assert capfd.readouterr() == ("", "")  # who does not ask for notices gets none


def test_work_that_is_sent_to_a_process_shares_networks_until_their_weights_are_others(tmp_path: Path) -> None:
    """A file that was replaced has another identity, under which features of the old network would be kept."""
    file = tmp_path / "own.pth"
    file.write_bytes(b"one")
    sent = pickle.dumps(bare_networks(tmp_path, weights={"own": file}))
    first, again = pickle.loads(sent), pickle.loads(sent)
    file.write_bytes(b"another")
    assert first is again
    assert pickle.loads(sent) is not first


def test_nothing_is_announced_where_everything_is_here(installed: dict[str, TinyBackbone], tmp_path: Path) -> None:
    usable(tmp_path, ["tiny"], lambda line: pytest.fail(line))


def test_an_announcement_says_what_is_unknown() -> None:
    assert announcement({"a": WeightsInfo("a", 10, True), "b": WeightsInfo("b", 2_340_000_000, False)}) == (
        "1 weights file is not on this machine and will be fetched:",
        "  b: about 2.3 GB, licence unknown, from where its plugin says",
    )


def test_what_cannot_be_fetched_of_a_preset_is_left_out(installed: dict[str, TinyBackbone], tmp_path: Path) -> None:
    installed[FAST[1]] = Remote(answers=False)
    names, notes = usable(tmp_path, ["fast"])
    assert names == (FAST[0], FAST[2])
    assert notes == (
        f"{FAST[1]} is left out: {FAST[1]} could not be built: "
        "the weights cannot be fetched (no connection to the hub)",
    )
    with pytest.raises(BackboneError, match="no connection to the hub"):
        usable(tmp_path, ["fast", FAST[1]])  # asked for by its own name


def test_without_a_hub_a_preset_is_one_sentence_with_the_way_out(
    installed: dict[str, TinyBackbone], tmp_path: Path
) -> None:
    installed.update({name: Remote(answers=False) for name in FAST})
    with pytest.raises(BackboneError) as caught:
        usable(tmp_path, ["fast"])
    assert str(caught.value) == (
        f"nothing of the preset fast can be used: {FAST[0]} could not be built: the weights cannot be fetched (no "
        "connection to the hub) (and 2 more); without --backbone those on this machine are considered (tiny)"
    )
    assert usable(tmp_path, ["fast", "tiny"])[0] == ("tiny",)


def test_strict_raises_for_a_preset_too(
    installed: dict[str, TinyBackbone], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed[FAST[2]] = Remote(answers=False)
    monkeypatch.setenv(plugins.STRICT, "1")
    with pytest.raises(BackboneError, match=f"{FAST[2]} could not be built"):
        usable(tmp_path, ["fast"])


def test_the_networks_of_a_preset_are_not_all_kept(installed: dict[str, TinyBackbone], tmp_path: Path) -> None:
    some = bare_networks(tmp_path)
    names, _ = usable_backbones(some, ["fast", "all"], lambda line: None)
    assert len(names) == 4
    assert list(some._networks) == list(names[1:])


def fails(error: Exception) -> Callable[[str], str]:
    def work(name: str) -> str:
        if name == "b":
            raise error
        return name.upper()

    return work


def test_one_that_fails_is_left_out_unless_it_was_named(tmp_path: Path) -> None:
    some = bare_networks(tmp_path)
    assert without_broken(some, "abc", fails(BackboneError("b is ill"))) == (
        {"a": "A", "c": "C"},
        ("b is left out: b is ill",),
    )
    with pytest.raises(BackboneError, match="b is ill"):
        without_broken(bare_networks(tmp_path, named="b"), "abc", fails(BackboneError("b is ill")))
    with pytest.raises(BackboneError, match="b is ill"):
        without_broken(bare_networks(tmp_path, weights={"b": tmp_path}), "abc", fails(BackboneError("b is ill")))


def test_other_errors_are_nobodys_to_leave_out(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        without_broken(bare_networks(tmp_path), "abc", fails(ZeroDivisionError()))
