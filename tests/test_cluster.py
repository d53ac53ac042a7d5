"""Ray as the executor: what every piece of work can rely on, with real processes."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from generated_pictures import MakePictures
from processes import listening
from ray_work import counted, dying, endless, raising, skip_without_ray, sleeping

from automl_tl.errors import AutomlTlError, OptionError
from automl_tl.options import LabOptions

if TYPE_CHECKING:
    from automl_tl.cluster import RayExecutor


@pytest.fixture(scope="module")
def executor() -> Iterator[RayExecutor]:
    """Return two of Ray's workers, whose processes find this folder's modules."""
    skip_without_ray()
    from automl_tl.cluster import RayExecutor

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
        yield RayExecutor("local", 2, "cpu")
        sys.modules["ray"].shutdown()


def test_after_a_lost_report_the_next_ones_are_heard() -> None:
    """A mailbox that dies has lost what nobody has taken yet; and work that begins anew reports all of it again."""
    from automl_tl.cluster import RayExecutor

    letters = iter([{0: ("a",), 1: ("b",)}, {3: ("d",)}, {0: ("a",), 1: ("b",), 4: ("e",)}])
    taking, closing = SimpleNamespace(remote=lambda _: next(letters)), SimpleNamespace(remote=lambda _: None)
    waits = iter([[], [], ["done"]])
    one = object.__new__(RayExecutor)
    one._ray = SimpleNamespace(wait=lambda *_, **__: (next(waits), None), get=lambda found: found)
    one._mailbox = SimpleNamespace(take=taking, close=closing)
    heard: list[str] = []
    one._hear("work", 0, heard.append)
    assert heard == ["a", "b", "d", "e"]


def test_more_workers_than_hundredths_of_a_core_are_refused() -> None:
    from automl_tl.cluster import RayExecutor

    one = object.__new__(RayExecutor)
    one._gpus = False
    one._ray = SimpleNamespace(nodes=lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    assert one._share(200) == 0.01
    with pytest.raises(OptionError, match=r"^--workers 201 are more than the 200 that share the cores Ray sees$"):
        one._share(201)


def test_what_is_reported_is_heard_in_order_and_cores_are_shared_out(executor: RayExecutor) -> None:
    heard: list[int] = []
    process, threads = executor.submit(counted, 5, report=heard.append).result()
    assert heard == [0, 1, 2, 3, 4]
    assert process != os.getpid()
    assert int(threads) == max(1, int(executor.cores))
    assert executor.n_workers == executor.per_machine == 2


def test_an_error_is_what_the_work_raised_and_nothing_is_tried_again(executor: RayExecutor) -> None:
    with pytest.raises(FileNotFoundError, match=r"^'?no such picture"):
        executor.submit(raising, "no such picture").result()


@pytest.mark.parametrize("times", [1, 2])
def test_what_a_dead_process_did_is_done_once_more_and_heard_once(
    executor: RayExecutor, tmp_path: Path, times: int
) -> None:
    heard: list[int] = []
    result = executor.submit(dying, times, tmp_path, report=heard.append)
    if times == 1:
        assert result.result() == "done"
    else:
        with pytest.raises(AutomlTlError, match="two processes that did it died"):
            result.result()
    assert heard == [7]
    assert len(list(tmp_path.iterdir())) == 2


def test_what_hears_a_report_may_end_the_work(
    executor: RayExecutor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def enough(i: int) -> None:
        if i == 3:
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough") as held:
        executor.submit(endless, tmp_path / "ended", report=enough).result()
    until = time.monotonic() + 20
    while not (tmp_path / "ended").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    time.sleep(0.5)  # the work's own end arrives
    del held
    gc.collect()
    time.sleep(0.5)
    assert caplog.text == ""  # Ray has nothing to say of an error that nobody waits for any more


def test_everything_can_be_ended_at_once(executor: RayExecutor) -> None:
    waiting = [executor.submit(sleeping, 300.0) for _ in range(3)]  # one more than there are workers
    began, ended = time.monotonic(), threading.Event()

    def end() -> None:
        executor.cancel()
        while not ended.wait(1):  # as the loop of trials does: what is just being handed out is missed
            executor.cancel()

    threading.Thread(target=end).start()
    try:
        for result in waiting:
            with pytest.raises(CancelledError):
                result.result()
    finally:
        ended.set()
    assert time.monotonic() - began < 60


def test_more_gpus_than_there_are_cannot_be_asked_for(executor: RayExecutor) -> None:
    with pytest.raises(OptionError, match=r"^--workers 3 with a GPU each, but Ray sees \d GPUs$"):
        type(executor)("local", 3, "cuda")
    with pytest.raises(OptionError, match="give --device cuda in place of cuda:1"):
        type(executor)("local", 3, "cuda:1")


@pytest.mark.parametrize("where", ["here", "ray://", "ray://host", "http://host:1", "ray://a b:1", ""])
def test_where_no_ray_can_be_is_refused(where: str) -> None:
    with pytest.raises(OptionError, match="--ray must be auto, local or ray://HOST:PORT, but is"):
        LabOptions(ray=where)


def test_ray_leaves_the_handling_of_signals_as_it_was(executor: RayExecutor) -> None:
    """SIGTERM ends a search with its best model, also on Ray, which brings a handler of its own."""
    assert "ray" not in getattr(signal.getsignal(signal.SIGTERM), "__module__", "")


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in the main thread", "in the one that draws progress"])
def test_a_signal_that_comes_while_ray_starts_is_heard_by_who_heard_it_before(
    monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    from automl_tl import cluster_join

    heard, main_thread = list[str](), threading.main_thread().ident
    assert main_thread is not None

    def end(*_: object) -> None:
        raise SystemExit(15)

    def init(*_: object, **__: object) -> None:
        signal.signal(signal.SIGTERM, end)
        signal.pthread_kill(other.ident if elsewhere else main_thread, signal.SIGTERM)
        for _ in range(600 if elsewhere else 1):  # it ends as soon as that thread has been told
            time.sleep(0.1)

    errors = SimpleNamespace(RayError=type("RayError", (Exception,), {}))
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, init=init, exceptions=errors))
    over = threading.Event()
    (other := threading.Thread(target=over.wait)).start()
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("search"))
    try:
        with pytest.raises(SystemExit) if elsewhere else nullcontext():
            cluster_join.joined("auto")
    finally:
        signal.signal(signal.SIGTERM, before)
        over.set()
    assert heard == ["search"]


@pytest.mark.skipif(sys.platform != "linux", reason="sockets are found in /proc")
def test_a_ray_of_this_machine_alone_listens_on_loopback(executor: RayExecutor) -> None:
    """Whoever reaches a port of Ray's may run code as this user."""
    places = listening(os.getpid())
    assert places
    assert places <= {"0100007F", "0000000000000000FFFF00000100007F"}  # 127.0.0.1, as IPv4 and within IPv6


@pytest.mark.slow
def test_a_ray_of_this_machine_alone_asks_for_its_token(executor: RayExecutor) -> None:
    address = sys.modules["ray"].get_runtime_context().gcs_address
    code = f"import ray; ray.init('{address}', logging_level='ERROR'); print('joined')"
    for token, joins in ((os.environ["RAY_AUTH_TOKEN"], True), ("0" * 64, False)):
        found = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "RAY_AUTH_TOKEN": token},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert ("joined" in found.stdout) is joins, found.stderr


@pytest.mark.parametrize("named", ["127.0.0.1:1", "[::1]:1", "127.0.0.1:99999", "no.such.host.invalid:6379"])
def test_nobody_at_the_named_address_is_said_at_once(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from automl_tl.cluster_join import joined

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))
    monkeypatch.setenv("RAY_ADDRESS", named)
    began = time.monotonic()
    with pytest.raises(OptionError, match=f"^--ray auto with RAY_ADDRESS={re.escape(named)}: no Ray answers"):
        joined("auto")
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_a_search_with_ray(executor: RayExecutor, make_pictures: MakePictures, tmp_path: Path) -> None:
    """The whole command, with the tiny backbone as an installed plugin, on a Ray of its own."""
    tests, out = Path(__file__).parent, tmp_path / "run"
    words = ["search", str(make_pictures(per_class=8)), "--backbone", "tiny", "--out", str(out), "--trials", "3"]
    path = os.pathsep.join(map(str, (tests.parent, tests, tests / "fixtures" / "plugin")))
    found = subprocess.run(
        [sys.executable, "-m", "automl_tl", *words, "--ray", "local", "--workers", "1"],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    table = pd.read_csv(out / "leaderboard.csv")
    assert list(table[table.kind == "trial"].state.isin(["complete", "pruned"])) == [True] * 3
    assert (out / "bundle" / "bundle.json").exists()
