"""The errors of automl-tl: one base class and a short tree below it.

Every error that a user can cause is an `AutomlTlError` whose message is one sentence with the actual
value and the way out. The command line prints that sentence and exits with `exit_code`.
"""

from __future__ import annotations


class AutomlTlError(Exception):
    """Base of every error that automl-tl raises on purpose."""

    exit_code = 2


class DataError(AutomlTlError):
    """The data set cannot be used as it is."""


class PictureError(DataError):
    """One picture cannot be read; it is listed and left out, never replaced."""


class StoreError(DataError):
    """An object store cannot be reached, or what reaches it is not installed."""


class BackboneError(AutomlTlError):
    """A backbone plugin is unknown, broken or does not keep its contract."""


class WeightsError(BackboneError):
    """Pretrained weights are not on this machine or do not fit the network."""


class DomainReferenceError(AutomlTlError):
    """A reference of a pretraining domain is missing, damaged or of another version."""


class OptionError(AutomlTlError):
    """An option's value makes no sense."""


class ShortageError(AutomlTlError):
    """Memory does not suffice, here or on the device."""


class EngineError(AutomlTlError):
    """A way to run frozen networks is not installed, or cannot run this one."""


class CacheError(AutomlTlError):
    """The cache folder cannot be used."""


def sentence(error: BaseException) -> str:
    """Return what an error says, on one line; one that is not ours begins with its type.

    >>> sentence(AutomlTlError("no backbone fits")), sentence(OSError("No space\\nleft"))
    ('no backbone fits', 'OSError: No space left')
    """
    said = " ".join(str(error).split())
    return said if isinstance(error, AutomlTlError) else f"{type(error).__name__}: {said}"
