"""The child of a preflight: `python -m automl_tl.backbones.preflight_process FOLDER` builds one backbone and ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from automl_tl.backbones.building import build_network
from automl_tl.backbones.child import serve
from automl_tl.backbones.preflight import requested_backbone
from automl_tl.errors import AutomlTlError, WeightsError


def try_one(request: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
    """Build and preflight the requested backbone; a fault becomes an event."""
    tell({"started": request["name"]})
    try:
        backbone = requested_backbone(request)
        build_network(request["name"], backbone, pretrained=request["pretrained"], device=request["device"])
    except AutomlTlError as error:
        tell({"fault": str(error), "weights": isinstance(error, WeightsError)})


if __name__ == "__main__":
    serve(try_one)
