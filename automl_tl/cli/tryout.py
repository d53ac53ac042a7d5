"""`automl-tl try BUNDLE`: a page on this machine to try a model with pictures."""

from __future__ import annotations

import contextlib
import sys
import threading
import webbrowser
from pathlib import Path

import click

from automl_tl.cli.options import PATH, declared, verbose_option
from automl_tl.options import DeviceOptions

PORT = 8765


@click.command("try")
@click.argument("bundle", type=PATH)
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0: any that is free.")
@click.option("--no-browser", is_flag=True, help="Open no browser, only say the address.")
@declared(DeviceOptions)
@verbose_option
def tryout(bundle: Path, port: int, no_browser: bool, device: str, verbose: bool) -> None:
    """Serve a page on this machine: drop a picture, see its classes, why, and whether it is like the training pictures.

    BUNDLE is a folder that `automl-tl search` or `train` made. Nobody else on the network can open the page, and no
    file is written. Ctrl-C ends it.
    """
    from automl_tl.cli.render import notice, print_result
    from automl_tl.model.bundle import load_bundle
    from automl_tl.tryout.server import TryServer

    with TryServer(load_bundle(bundle, device), port) as server:
        print_result(server.address)
        sys.stdout.flush()
        notice("Open this address in a browser on this machine; Ctrl-C ends it.")
        with contextlib.suppress(KeyboardInterrupt):
            if not no_browser:  # a browser in the terminal returns only when it is left
                threading.Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
            server.serve_forever()
