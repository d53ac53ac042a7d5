"""Whose fault it was: what a plugin's code raises becomes one sentence with backbone, distribution and version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from automl_tl.backbones.plugins import said
from automl_tl.backbones.registry import installed_plugin
from automl_tl.chatter import chatter
from automl_tl.errors import AutomlTlError, BackboneError, ShortageError, WeightsError
from automl_tl.memory import is_shortage
from automl_tl.torch_state import kept_state


@contextmanager
def blaming(name: str, what: str) -> Iterator[None]:
    """Turn whatever is raised inside into an error that names the backbone `name` and what it did not do.

    Errors of automl-tl stay what they are, but a BackboneError gets the distribution where it lacks it. Ctrl-C
    passes. What is printed inside is no result, and what torch keeps for everybody is afterwards as it was: a backbone
    that turns gradients off would stop others from learning.

    Args:
        name: The backbone, as the registry calls it.
        what: What failed, to follow the name: "could not be built".

    Raises:
        ShortageError: Memory did not suffice: that is the machine's fault, not the backbone's.
        WeightsError: A file or a connection failed (an OSError).
        BackboneError: Anything else was raised, SystemExit too.
    """
    try:
        with chatter(), kept_state():
            yield
    except BackboneError as error:
        text = _with_distribution(name, str(error))
        if text == str(error):
            raise
        raise type(error)(text) from error.__cause__
    except (AutomlTlError, KeyboardInterrupt):
        raise
    except OSError as error:
        if is_shortage(error):
            raise _shortage(name, what, error) from error
        sentence = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(_with_distribution(name, f"{name} {what}: {sentence}")) from error
    except BaseException as error:
        if is_shortage(error):
            raise _shortage(name, what, error) from error
        raise BackboneError(_with_distribution(name, f"{name} {what}: it raised {said(error)}")) from error


def _shortage(name: str, what: str, error: BaseException) -> ShortageError:
    return ShortageError(f"memory did not suffice: {name} {what} ({said(error)})")


def _with_distribution(name: str, text: str) -> str:
    """Return a sentence that begins with a backbone's name, with distribution and version if it is not bundled."""
    plugin = installed_plugin(name)
    if plugin is None or plugin.bundled or f"{plugin.distribution} {plugin.version}" in text:
        return text
    return text.replace(name, f"{name} ({plugin.distribution} {plugin.version})", 1)
