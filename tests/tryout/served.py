"""A server that runs for as long as a test takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from automl_tl.model.model import Model
from automl_tl.tryout.server import TryServer


@contextmanager
def serving(model: Model) -> Iterator[TryServer]:
    """Serve a model on a free port, in a thread."""
    with TryServer(model, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
