"""The error of everything that is kept in a bundle."""

from __future__ import annotations

from automl_tl.errors import AutomlTlError


class BundleError(AutomlTlError):
    """A bundle is missing, damaged, of another version, or needs what is not installed; or it cannot be written."""
