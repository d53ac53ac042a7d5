# Everything runs in .venv, which the first target that needs it makes. Needed: make and Python >= 3.11.
# Another Python: make PYTHON=/path/to/python3.12 test

CANDIDATES = python3 python3.14 python3.13 python3.12 python3.11 python
RECENT = import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach candidate,$(CANDIDATES),$(shell $(candidate) -c '$(RECENT)' 2>/dev/null && echo $(candidate))) python3)
WORKERS ?= 2
VENV = .venv
RUN = $(VENV)/bin/python
INSTALLED = $(VENV)/.installed
SOURCES = automl_tl plugins benchmarks tests
TEXTS = tests/test_links.py tests/test_readme.py tests/test_scaffold.py tests/searcher/test_docs.py tests/reviewer/test_labels_docs.py
# Slow tests that run beside one another: they neither count on the clock nor need every core.
BESIDE = tests/backbones tests/data/test_duplicates_real.py tests/exporter tests/features/test_runtimes.py \
  tests/faults/test_fuzz.py tests/faults/test_hostile_journals.py tests/test_scaffold.py tests/test_site.py
# Pictures of one class per folder: any other folder of yours works as well.
DATA ?= datasets_meta/demo

.PHONY: help install demo test test-slow test-all docs site lint format dist clean

help:
	@echo "make demo      recommend a strategy for the sample photos"
	@echo "make test      the quick tests; make test-slow the slow ones; make test-all both"
	@echo "make docs      the texts alone: their links lead somewhere, their commands run"
	@echo "make site      the texts, commands and Python's names as a site in build/site"
	@echo "make lint      linter, formatter and type checker, changing nothing"
	@echo "make format    format the code"
	@echo "make dist      build what is released, check it, and try the wheel in an environment of its own"
	@echo "make clean     remove .venv and everything that was generated"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c '$(RECENT)' 2>/dev/null || { \
	  echo "automl-tl needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) --version 2>&1 || true)." \
	    "Name another one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@echo "Installing automl-tl and what it needs into $(VENV), once (a few minutes: torch is large)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(INSTALLED)
	$(VENV)/bin/automl-tl recommend $(DATA)

test: $(INSTALLED)
	$(RUN) -m pytest -q -n $(WORKERS)

test-slow: $(INSTALLED)
	$(RUN) -m pytest -q -m slow --durations=15 -n $(WORKERS) $(BESIDE)
	$(RUN) -m pytest -q -m slow --durations=30 $(BESIDE:%=--ignore=%)

test-all: $(INSTALLED)
	$(RUN) -m pytest -q -m ""

docs: $(INSTALLED)
	$(RUN) -m pytest -q $(TEXTS)

site: $(INSTALLED)
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	$(RUN) -m mkdocs build --strict
	$(RUN) -m pytest -q -m slow tests/test_site.py

lint: $(INSTALLED)
	$(RUN) -m ruff check $(SOURCES)
	$(RUN) -m ruff format --check $(SOURCES)
	$(RUN) -m mypy

format: $(INSTALLED)
	$(RUN) -m ruff format $(SOURCES)
	$(RUN) -m ruff check --fix $(SOURCES)

dist:
	rm -rf dist build/dist build/wheel
	$(PYTHON) -m venv build/dist
	build/dist/bin/python -m pip install --quiet build twine
	build/dist/bin/python -m build
	build/dist/bin/python -m twine check --strict dist/*
	$(PYTHON) -m venv build/wheel
	build/wheel/bin/python -m pip install --quiet dist/*.whl
	cd build && wheel/bin/automl-tl recommend ../datasets_meta/demo --backbone efficientnet_lite0

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name '*.egg-info' -type d -prune -exec rm -rf {} +
