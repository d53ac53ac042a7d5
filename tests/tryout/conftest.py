"""A small model, served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from served import serving
from tiny_models import trained_model

from automl_tl.tryout.server import TryServer

HOSTILE = ("<script>document.title='owned'</script>", "\u202eleaf\n", "sky")


@pytest.fixture
def server(pictures: Path) -> Iterator[TryServer]:
    """A model of three classes, the names of two of them hostile."""
    with serving(replace(trained_model(pictures), classes=HOSTILE)) as running:
        yield running
