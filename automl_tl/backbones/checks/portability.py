"""Checks of moving: to another device, another dtype, and out of Python as ONNX."""

from __future__ import annotations

import importlib.util
import io
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from automl_tl.backbones.checks.result import CheckResult, skipped, verdict
from automl_tl.backbones.checks.subject import Subject, few, gap_text, relative_difference
from automl_tl.backbones.network import Network, shown
from automl_tl.backbones.plugins import said

SAME_IN_FLOAT64 = 1e-3
LEAST_COSINE = 0.95
"""Of the last output in bfloat16 arithmetic with that in float32; measured .99 to 1.00, also for random weights."""
NO_META = "meta tensors"  # what torch's errors say where an operation has no result on that device


def moves_to_another_device(subject: Subject) -> CheckResult:
    """After `module.to(device)` every stage runs there; no tensor stays behind.

    A GPU where there is one, and in any case torch's device "meta", which computes shapes only.
    """
    devices = ["meta"] + (["cuda"] if torch.cuda.is_available() else [])
    fault, excuse, ran = "", "", []
    for device in devices:
        network = _moved(subject.fresh(), device)
        try:
            output = subject.outputs(subject.x.to(device), network)[-1]
        except NotImplementedError as error:
            excuse = f"an operation is not defined on {device}: {said(error)[:200]}"
            continue
        except RuntimeError as error:
            if NO_META in str(error) and "is not on the expected device" not in str(error):
                excuse = f"it looks at values, so not on {device}: {said(error)[:200]}"
                continue
            fault = fault or f"on {device} a stage raised {said(error)[:200]}"
        else:
            fault = fault or _left_behind(network, output, device)
        ran.append(device)
    if not ran:
        return skipped(moves_to_another_device, excuse)
    return verdict(
        moves_to_another_device,
        not fault,
        expected="every stage runs where module.to(device) has moved it",
        actual=fault or f"runs on {' and '.join(ran)}",
        advice="register constants with register_buffer, and make new tensors on the input's device",
    )


def _moved(network: Network, device: str) -> Network:
    """Move the module. To "meta" torch makes new parameters, so there a stage's own list of them is moved too."""
    for part in [network.module, *(network.stages if device == "meta" else ())]:
        part.to(device)
    return network


def _left_behind(network: Network, output: Tensor, device: str) -> str:
    """Say which tensor is elsewhere: the output, or one that a stage keeps as a plain attribute."""
    kept = [
        f"{type(module).__name__}.{name}"
        for stage in network.stages
        for module in stage.modules()
        for name, value in vars(module).items()
        if isinstance(value, Tensor) and value.device.type != device
    ]
    if kept:
        return f"left behind by the move to {device}: {few(kept)}"
    return "" if output.device.type == device else f"the output is on {output.device} and not on {device}"


def moves_to_another_dtype(subject: Subject) -> CheckResult:
    """It runs in float64 with the same results, in bfloat16, and in float32 under bfloat16 autocast."""
    network = subject.fresh()
    reference = subject.outputs(subject.x, network)[-1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        automatic = subject.outputs(subject.x, network)[-1]
    network.module.to(torch.float64)
    double = subject.outputs(subject.x.double(), network)[-1]
    network.module.to(torch.bfloat16)
    half = subject.outputs(subject.x.bfloat16(), network)[-1]
    gap, cosine = relative_difference(double, reference), _cosine(automatic, reference)
    kept = double.dtype == torch.float64 and half.dtype == torch.bfloat16
    return verdict(
        moves_to_another_dtype,
        kept and gap < SAME_IN_FLOAT64 and cosine > LEAST_COSINE and bool(half.isfinite().all()),
        expected=f"float64 and bfloat16 results of these types, float64 within {SAME_IN_FLOAT64:.0e}, "
        f"and a cosine above {LEAST_COSINE} under autocast",
        actual=f"float64 gives {_kind(double)}, {gap_text(gap)} away; bfloat16 gives {_kind(half)}, "
        f"{'' if half.isfinite().all() else 'not '}finite; cosine under autocast {cosine:.3f}",
        advice="compute in the input's dtype: no .float(), and constants as buffers that move along",
    )


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _cosine(a: Tensor, b: Tensor) -> float:
    """Return the smallest cosine of two outputs over the pictures."""
    return nn.functional.cosine_similarity(a.double().flatten(1), b.double().flatten(1)).min().item()


def exports_to_onnx(subject: Subject) -> CheckResult:
    """The stages export to ONNX with a free batch size, and give the same there (where onnxruntime is installed)."""
    lacking = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if lacking:
        return skipped(exports_to_onnx, f"{' and '.join(lacking)} not installed: pip install 'automl-tl[onnx]'")
    network = subject.fresh()
    expected = subject.outputs(subject.x, network)[-1]
    try:
        content = _exported(nn.Sequential(*network.stages).eval(), subject.x[:2])
        gap = _run_again(content, subject.x, expected)
    except Exception as error:  # the exporter raises dozens of kinds
        gap, actual = float("inf"), f"the export raised {said(error)[:300]}"
    else:
        run = "not run, as onnxruntime is missing" if gap is None else f"outputs differ by {gap_text(gap)}"
        actual = f"{len(content) / 1e6:.1f} MB, {run}"
    return verdict(
        exports_to_onnx,
        gap is None or gap < SAME_IN_FLOAT64,
        expected=f"a valid graph for any batch size that gives {shown(expected)} within {SAME_IN_FLOAT64:.0e}",
        actual=actual,
        advice="write stages in plain tensor operations, without branches on values",
    )


def _exported(stages: nn.Module, x: Tensor) -> bytes:
    import onnx

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            stages, (x,), dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False
        )
        program.save(buffer)
    content = buffer.getvalue()
    onnx.checker.check_model(onnx.load_from_string(content))
    return content


def _run_again(content: bytes, x: Tensor, expected: Tensor) -> float | None:
    """Return how far ONNX Runtime's outputs are away for all pictures; None where it is not installed."""
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    return relative_difference(torch.from_numpy(np.asarray(found)), expected)
