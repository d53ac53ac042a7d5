"""The conformance checks, one file per subject; `automl_tl.backbones.conformance` runs them."""
