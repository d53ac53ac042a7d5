"""A machine of a cluster disappears: what it did is done once more on another one, and the driver goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ray_work import skip_without_ray

pytestmark = pytest.mark.slow
DRIVER = r"""
import os, sys, time
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from ray_work import outlived
from automl_tl.cluster import RayExecutor

marks = Path(sys.argv[1])
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
lost = cluster.add_node(num_cpus=1)
os.environ["RAY_ADDRESS"] = cluster.address
executor = RayExecutor("auto", 1, "cpu")
result = executor.submit(outlived, marks)
until = time.monotonic() + 200
while not any(marks.iterdir()):
    assert time.monotonic() < until
    time.sleep(0.1)
other = cluster.add_node(num_cpus=1)
cluster.remove_node(lost, allow_graceful=False)
print("\n" + str((result.result() == other.node_id, executor.n_workers)), flush=True)
ray.shutdown()
cluster.shutdown()
"""


def test_what_a_lost_machine_did_is_done_on_another_one(tmp_path: Path) -> None:
    skip_without_ray()
    marks = tmp_path / "marks"
    marks.mkdir()
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(marks)], env=environment, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert "(True, 1)" in done.stdout.splitlines(), done.stderr
    assert len(list(marks.iterdir())) == 2
