"""`python -m automl_tl` is the same as the command `automl-tl`."""

from __future__ import annotations

from automl_tl.cli import main

if __name__ == "__main__":
    main(prog_name="automl-tl")
