"""Who computes a frozen network's statistics: torch as it stands, torch with BatchNorm folded, or OpenVINO."""

from automl_tl.features.runtimes.folded import Folded, folded
from automl_tl.features.runtimes.openvino import OpenVino, OpenVinoGraph, fastest_dtype, installed_openvino
from automl_tl.features.runtimes.pooled_stages import PooledStages
from automl_tl.features.runtimes.runtime import Runtime, prepare

__all__ = [
    "Folded",
    "OpenVino",
    "OpenVinoGraph",
    "PooledStages",
    "Runtime",
    "fastest_dtype",
    "folded",
    "installed_openvino",
    "prepare",
]
