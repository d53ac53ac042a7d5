"""Does a backbone keep its contract? The checks that a plugin's author runs.

Three ways:

- `automl-tl backbones check NAME` prints a table of checks with what was measured;
- in a plugin's own tests::

      @parametrize_backbone_checks([backbone])
      def test_conformance(backbone, check):
          check(backbone)

- `check_backbone(backbone).passed` from Python.

A check is a plain function of a `Subject` in `automl_tl.backbones.checks` that returns a `CheckResult`. What a
plugin's code raises in it is a failure of that check. Checks run in the caller's process; the command runs them
in a process of their own, where one that hangs or crashes the interpreter fails alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from automl_tl.backbones.checks.behaviour import deterministic_in_eval, rows_are_independent
from automl_tl.backbones.checks.ownership import (
    builds_share_nothing,
    stages_own_their_parameters,
    state_dict_round_trip,
)
from automl_tl.backbones.checks.photos import neighbours_are_of_their_kind
from automl_tl.backbones.checks.portability import (
    exports_to_onnx,
    moves_to_another_device,
    moves_to_another_dtype,
)
from automl_tl.backbones.checks.result import NOT_BUILT, CheckResult, ConformanceReport, skipped
from automl_tl.backbones.checks.shapes import (
    builds,
    classifier_fits_its_labels,
    every_cut_is_finite,
    members_are_sane,
    stages_compose,
    tokens_have_shape_and_dtype,
)
from automl_tl.backbones.checks.subject import Subject
from automl_tl.backbones.checks.training import frozen_stages_stay_still, gradients_reach_every_parameter
from automl_tl.backbones.checks.weights import all_weights_are_loaded, pretrained_differs_from_random
from automl_tl.backbones.contract import Backbone
from automl_tl.backbones.plugins import said
from automl_tl.backbones.registry import get_backbone
from automl_tl.errors import OptionError

__all__ = [
    "CHECKS",
    "Check",
    "CheckResult",
    "ConformanceReport",
    "Subject",
    "check_backbone",
    "parametrize_backbone_checks",
    "run_check",
]

Check = Callable[[Subject], CheckResult]

CHECKS: tuple[Check, ...] = (
    members_are_sane,
    builds,
    stages_compose,
    tokens_have_shape_and_dtype,
    every_cut_is_finite,
    deterministic_in_eval,
    rows_are_independent,
    stages_own_their_parameters,
    builds_share_nothing,
    state_dict_round_trip,
    gradients_reach_every_parameter,
    frozen_stages_stay_still,
    all_weights_are_loaded,
    pretrained_differs_from_random,
    neighbours_are_of_their_kind,
    classifier_fits_its_labels,
    moves_to_another_device,
    moves_to_another_dtype,
    exports_to_onnx,
)
_WITHOUT_A_NETWORK: tuple[Check, ...] = (members_are_sane, builds)


def check_backbone(
    backbone: Backbone | str,
    *,
    name: str | None = None,
    pretrained: bool | None = None,
    checks: Sequence[Check] = CHECKS,
    expected_failures: Mapping[str, str] | None = None,
) -> ConformanceReport:
    """Run `checks` on a backbone and return what they found; nothing that the plugin does is raised.

    Args:
        backbone: A plugin's object, or the name of an installed one.
        name: As the registry would call it, for messages. Default: the entry point that names this very object,
            else its class.
        pretrained: Build it with its weights. Default: if they are on this machine; nothing is downloaded.
        checks: Which ones; default all.
        expected_failures: {check's name: reason} of checks that are known to fail.

    Raises:
        BackboneError: No backbone has the given name.
        OptionError: `expected_failures` names no check.
    """
    known = dict(expected_failures or {})
    _check_names(known)
    if isinstance(backbone, str):
        name, backbone = name or backbone, get_backbone(backbone)
    subject = Subject(backbone, name, pretrained=pretrained)
    return ConformanceReport(subject.label, tuple(run_check(check, subject) for check in checks), known)


def run_check(check: Check, subject: Subject) -> CheckResult:
    """Return what one check finds; an exception in it, but for Ctrl-C, is a failure."""
    start = time.perf_counter()
    try:
        lacks_network = check not in _WITHOUT_A_NETWORK and subject.fault
        result = skipped(check, NOT_BUILT) if lacks_network else check(subject)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        advice = f"for the whole traceback call the check itself: {check.__name__}(Subject(backbone))"
        result = CheckResult(check.__name__, "failed", "no exception", f"it raised {said(error)}", advice)
    return replace(result, backbone=subject.label, seconds=time.perf_counter() - start)


def parametrize_backbone_checks(
    backbones: Iterable[Backbone | str],
    *,
    checks: Sequence[Check] = CHECKS,
    expected_failures: Mapping[str, str] | None = None,
    pretrained: bool | None = None,
) -> Callable[[Any], Any]:
    """Return a pytest decorator: one test for each backbone and check.

    The test takes the arguments `backbone` and `check`, and its body is `check(backbone)`, which fails with the
    check's sentence or skips with its reason. A check in `expected_failures` is an xfail with that reason, and
    fails where it passes after all.

    Raises:
        OptionError: `expected_failures` names no check.
    """
    import pytest

    known = dict(expected_failures or {})
    _check_names(known)
    bench = _OneSubject(pretrained)
    parameters = []
    for backbone in backbones:
        for check in checks:
            why = known.get(check.__name__)
            marks = [pytest.mark.xfail(reason=why, strict=True)] if why is not None else []
            label = f"{backbone if isinstance(backbone, str) else _short(backbone)}-{check.__name__}"
            parameters.append(pytest.param(backbone, _BoundCheck(check, bench), marks=marks, id=label))
    return pytest.mark.parametrize(("backbone", "check"), parameters)


class _OneSubject:
    """Keeps the networks of the last backbone only: tests of one backbone follow one another."""

    def __init__(self, pretrained: bool | None) -> None:
        self._pretrained = pretrained
        self._last: tuple[Backbone | str, Subject] | None = None

    def of(self, backbone: Backbone | str) -> Subject:
        if self._last is None or self._last[0] is not backbone:
            name, found = (backbone, get_backbone(backbone)) if isinstance(backbone, str) else (None, backbone)
            self._last = backbone, Subject(found, name, pretrained=self._pretrained)
        return self._last[1]


class _BoundCheck:
    """A check as a pytest test body."""

    def __init__(self, check: Check, subjects: _OneSubject) -> None:
        self._check, self._subjects = check, subjects

    def __repr__(self) -> str:
        return self._check.__name__

    def __call__(self, backbone: Backbone | str) -> None:
        import pytest

        __tracebackhide__ = True
        result = run_check(self._check, self._subjects.of(backbone))
        if result.status == "failed":
            pytest.fail(result.sentence, pytrace=False)
        if result.status == "skipped":
            pytest.skip(result.actual)


def _short(backbone: Backbone) -> str:
    return Subject(backbone).name


def _check_names(names: Mapping[str, str]) -> None:
    known = [check.__name__ for check in CHECKS]
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        raise OptionError(f"expected_failures names {unknown!r}, but the checks are {', '.join(known)}")
