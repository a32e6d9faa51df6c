# Each target does its own set-up on a fresh machine with Python 3.11+ and make.
# ARGS goes to the script that a target runs, or to pytest: make test ARGS="-k site", make execute ARGS=--help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.requirements-installed
HTML   := book/_build/html

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup book pdf browsers test test-lib mutants minute execute verify bench lab address clean

help:
	@echo "make setup            makes .venv and installs the requirements"
	@echo "make book             builds the HTML book, warnings as errors"
	@echo "make pdf              builds the book, and prints it as one PDF; needs Chromium"
	@echo "make browsers         builds the book, and visits it in Chromium, Firefox and WebKit, whichever are there"
	@echo "make test             builds the book, then lints and runs every test"
	@echo "make test-lib         runs the library's tests alone, and says what they cover of the core; a minute"
	@echo "make mutants          makes small mistakes in the core, and says which of them its tests do not notice"
	@echo "make minute           learns to sort digits without labels while you watch; ARGS is the seed"
	@echo "make execute          runs the chapters whose outputs are stale"
	@echo "make verify           repeats the first run of every long experiment whose code changed; takes hours"
	@echo "make bench            measures the speed of the model on this machine"
	@echo "make lab              opens the chapters in JupyterLab"
	@echo "make address URL=...  makes every link point at the repository https://github.com/OWNER/NAME"
	@echo "make clean            removes what was built; keeps .venv"

# .venv is made whole or not at all: a half-made one would look ready to the next run.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or later is needed; $(PYTHON) is: $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# The stamp comes last, so a failed installation leaves none and the next make tries again.
$(STAMP): requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing the requirements into $(VENV) (PyTorch alone is about 3 GB to download)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

setup: $(STAMP)
	@echo "Ready: $(VENV) holds the requirements"

# --all reads every page again: a page that is not read again does not repeat its warnings, and would pass.
book: $(STAMP)
	@echo "Building the HTML book, warnings as errors"
	@rm -rf $(HTML)  # or words that are in no page any more would stay in the index of the search
	@$(BIN)/jupyter-book build book/ --all -W -n --keep-going
	@echo "The book: file://$(CURDIR)/$(HTML)/index.html"

# It goes beside the pages, to be published with them.
pdf: book
	@echo "Printing the book as one PDF"
	@$(BIN)/python tools/paper.py

browsers: book
	@echo "Visiting every page in Chromium, Firefox and WebKit"
	@$(BIN)/python tools/browsers.py $(ARGS)

test: book
	@echo "Checking the style of code and chapters"
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@echo "Testing the library, the chapters and the built book"
	@$(BIN)/python -m pytest $(ARGS)

test-lib: $(STAMP)
	@echo "Testing the library alone: its core, its rooms, and the arrows between them"
	@$(BIN)/coverage run -m pytest tests/core $(wildcard tests/rooms) tests/test_rooms.py $(ARGS)
	@$(BIN)/coverage report

mutants: $(STAMP)
	@echo "Making small mistakes in the core, one at a time"
	@$(BIN)/python tools/mutants.py $(ARGS)

minute: $(STAMP)
	@echo "Towards 97 % of the digits sorted, without a label: look at one_minute.png while it grows"
	@$(BIN)/python experiments/one_minute.py $(or $(ARGS),0)

execute: $(STAMP)
	@echo "Running the chapters whose outputs are stale"
	@$(BIN)/python tools/execute.py $(ARGS)

verify: $(STAMP)
	@echo "Repeating the first run of the experiments whose code changed since they were made or verified"
	@$(BIN)/python tools/verify.py $(ARGS)

bench: $(STAMP)
	@echo "Measuring how fast the model trains; leave the machine alone meanwhile"
	@$(BIN)/python -m benchmarks.speed $(ARGS)

lab: $(STAMP)
	@echo "Opening the chapters in JupyterLab"
	@$(BIN)/jupyter lab book

# Needs nothing installed: tools/address.py uses the standard library only.
address:
	@echo "Rewriting the repository's address in every file"
	@$(PYTHON) tools/address.py "$(URL)"

clean:
	@echo "Removing what was built"
	@rm -rf _build book/_build .pytest_cache .ruff_cache .hypothesis .coverage
