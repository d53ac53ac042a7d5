"""The error of everything that leaves the house."""

from __future__ import annotations

from automl_tl.errors import AutomlTlError


class ExportError(AutomlTlError):
    """A model has no form in the format, or what was written does not give what its bundle gives."""
