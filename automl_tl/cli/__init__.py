from automl_tl.cli.app import main

__all__ = ["main"]
