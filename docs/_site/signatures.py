"""Signatures that exist only in the running program: of functions that take their options from a dataclass."""

from __future__ import annotations

import inspect
from typing import Any

import griffe


class RunningSignatures(griffe.Extension):
    """Gives functions decorated with `takes` the parameters and the documentation that they have in use."""

    def on_function_instance(self, *, func: griffe.Function, **_: Any) -> None:
        """Replace what stands in the source."""
        if not any(str(one.value).startswith("takes(") for one in func.decorators):
            return
        running = griffe.dynamic_import(func.path)
        given = inspect.signature(running).parameters.values()
        func.parameters = griffe.Parameters(*map(_parameter, given))
        documented = func.parent if func.name == "__init__" else func
        if documented is not None and documented.docstring is not None:
            documented.docstring.value = inspect.getdoc(griffe.dynamic_import(documented.path)) or ""


def _parameter(one: inspect.Parameter) -> griffe.Parameter:
    kind = griffe.ParameterKind(one.kind.description)
    shown = repr(one.default)
    plain = f"{type(one.default).__name__}()" if " object at 0x" in shown else shown
    default = None if one.default is inspect.Parameter.empty else plain
    return griffe.Parameter(one.name, annotation=str(one.annotation), kind=kind, default=default)
