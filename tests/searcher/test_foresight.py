"""Memory is foreseen before a candidate is trained."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from small_lab import CPU
from tasks import TUNED, bare_task, retuned
from tiny_backbone import tiny_network

from automl_tl import memory
from automl_tl.errors import AutomlTlError, ShortageError
from automl_tl.features.engine import Engine
from automl_tl.learning.recipe import batch_size_for
from automl_tl.searcher.task import Task
from automl_tl.searcher.trials import foresight
from automl_tl.searcher.trials.allowance import UNBOUNDED, Allowance
from automl_tl.searcher.trials.foresight import check_room, least_bytes

WEIGHTS = (3 * 8 * 9 + 3 * 8, 8 * 12 * 9 + 3 * 12, 12 * 16 * 9 + 3 * 16)
"""Of the small backbone's stages: a convolution with its bias, and BatchNorm's two."""
OUTPUTS = (8 * 16 * 16, 12 * 8 * 8, 16 * 4 * 4)


def task(engine: Engine = CPU) -> Task:
    found = bare_task(np.arange(40) % 2)
    object.__setattr__(found, "networks", cast(Any, SimpleNamespace(engine=engine, network=lambda _: tiny_network())))
    return found


@pytest.mark.parametrize("unfrozen", [1, 2, 3, 5])
def test_it_counts_weights_what_the_optimiser_keeps_and_a_batch(unfrozen: int) -> None:
    found = task()
    first = max(3 - unfrozen, 0)
    batch = batch_size_for(found.n_trained)
    expected = 4 * (sum(WEIGHTS) + 4 * sum(WEIGHTS[first:]) + batch * sum(OUTPUTS[first:]))
    assert least_bytes(found, retuned(TUNED, unfrozen=unfrozen)) == expected


def test_of_several_processes_each_holds_a_part_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    found, alone = task(), least_bytes(task(), TUNED)
    monkeypatch.setattr(foresight, "find_sharing", lambda _: SimpleNamespace(size=2))
    batch, outputs = batch_size_for(found.n_trained), sum(OUTPUTS[3 - min(TUNED.tuned.unfrozen, 3) :])
    assert alone - least_bytes(found, TUNED) == 4 * (batch // 2) * outputs


def test_what_does_not_fit_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = least_bytes(task(), TUNED)
    monkeypatch.setattr(foresight, "free_memory", lambda: needed - 1)
    with pytest.raises(ShortageError, match=r"training tiny takes at least .* of memory, but .* are free; end other"):
        check_room(task(), TUNED, UNBOUNDED)
    check_room(task(Engine("cuda", "float32")), TUNED, UNBOUNDED)
    for free in (needed, None):
        monkeypatch.setattr(foresight, "free_memory", lambda free=free: free)
        check_room(task(), TUNED, UNBOUNDED)


def test_all_memory_is_shared_out_among_those_who_train_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = least_bytes(task(), TUNED)
    monkeypatch.setattr(foresight, "held_memory", lambda: needed)
    monkeypatch.setattr(foresight, "all_memory", lambda: 6 * needed)
    monkeypatch.setattr(foresight, "free_memory", lambda: needed)  # two others train: what they hold counts once
    check_room(task(), TUNED, Allowance(at_once=3))
    monkeypatch.setattr(foresight, "free_memory", lambda: 5 * needed)  # nobody else has begun
    with pytest.raises(ShortageError, match=r"holds .* of the .* that are its part of 4; give fewer --workers"):
        check_room(task(), TUNED, Allowance(at_once=4))
    check_room(task(), TUNED, Allowance(at_once=1))
    monkeypatch.setattr(foresight, "all_memory", lambda: None)
    check_room(task(), TUNED, Allowance(at_once=4))


@pytest.mark.parametrize("any_freed", [True, False])
def test_what_was_freed_is_given_back_before_anything_is_refused(
    any_freed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = least_bytes(task(), TUNED)
    held = [3 * needed]  # of which earlier training has freed two thirds

    def give_back() -> bool:
        held[0] = needed if any_freed else held[0]
        return any_freed

    monkeypatch.setattr(foresight, "held_memory", lambda: held[0])
    monkeypatch.setattr(foresight, "all_memory", lambda: 4 * needed)
    monkeypatch.setattr(foresight, "give_back_freed", give_back)
    with nullcontext() if any_freed else pytest.raises(ShortageError):
        check_room(task(), TUNED, Allowance(at_once=2))


def test_what_would_be_more_than_is_allowed_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "held_memory", lambda: 10**9)
    needed = least_bytes(task(), TUNED)
    with pytest.raises(AutomlTlError, match=r"it would use 1\.0 GB of memory, more than the 1\.0 GB allowed"):
        check_room(task(), TUNED, Allowance(memory=10**9 + needed - 1))
    check_room(task(), TUNED, Allowance(memory=10**9 + needed))


def test_a_control_group_bounds_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 700\ninactive_file 150\n")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    monkeypatch.setattr(memory, "_of_machine", lambda what: None)
    assert memory.free_memory() == 250
    assert memory.all_memory() == 1000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_memory() is None
    monkeypatch.setattr(memory, "_of_machine", {"MemAvailable:": 5, "MemTotal:": 9}.get)
    assert memory.free_memory() == 5
    assert memory.all_memory() == 9


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="needs proc(5)")
def test_this_machine_has_memory() -> None:
    free, everything = memory.free_memory(), memory.all_memory()
    assert free is not None
    assert everything is not None
    assert 10**7 < free < everything < 10**14
