"""The child of `supervise`: `python -m automl_tl.backbones.checks.process FOLDER` runs checks one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from automl_tl.backbones.child import serve
from automl_tl.backbones.conformance import CHECKS, Subject, run_check
from automl_tl.backbones.preflight import requested_backbone


def check_all(request: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
    """Run the requested checks, all of them by default, and tell of each start and result."""
    subject = Subject(requested_backbone(request), request["name"])
    wanted = request["checks"]
    checks = [check for check in CHECKS if wanted is None or check.__name__ in wanted]
    tell({"backbone": subject.label, "checks": [check.__name__ for check in checks]})
    for check in checks:
        tell({"started": check.__name__})
        tell({"result": asdict(run_check(check, subject))})


if __name__ == "__main__":
    serve(check_all)
