# `make demo` and `make test` are all that a fresh clone needs; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/stamp
# Tests differ a hundredfold in length: whoever has none left takes over some of another's.
PYTEST := $(VENV)/bin/python -m pytest -n auto --dist worksteal
# Words for pytest: make test ARGS="-k wire -x"; ARGS="-n 0" runs them one after the other
ARGS ?=
# Random worlds to live: make worlds SEEDS=1000
SEEDS ?= 200
# How long the clock of a booted kernel is looked at: make boot MINUTES=10
MINUTES ?= 6
# Benchmarks to run, all by default: make bench NAMES="memory restore"
NAMES ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-all worlds boot lint format bench peers boards deb test-package test-debian \
	test-drivers test-virt test-raspi3b clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(STAMP) ## set up, then show the whole story: a Pi that wakes in the past
	$(VENV)/bin/pints demo

test: $(STAMP) ## set up, then run the tests: some of each kind (minutes)
	$(PYTEST) $(ARGS)

test-all: $(STAMP) ## all of them, with all random worlds and power cuts that the gate has
	PINTS_TESTS=all $(PYTEST) $(ARGS)

worlds: $(STAMP) ## live other random worlds than the tests do, and lose power in more; prints what fails
	PINTS_WORLDS=$(SEEDS) PINTS_POWER_SEEDS=2 $(PYTEST) -k "other_worlds or test_power" \
		tests/world/test_random.py tests/world/test_power.py $(ARGS)

boot: $(STAMP) peers deb ## boot the package on a real kernel that has no clock (root)
	scripts/debian-tree.sh device true
	PINTS_BOOT=$(MINUTES) $(VENV)/bin/python -m pytest -n 2 --dist loadfile tests/boot $(ARGS)

test-drivers: $(STAMP) peers ## drivers on a real kernel's I2C, serial port and pulses
	$(VENV)/bin/python -m tests.kernel uml $(ARGS)

test-virt: $(STAMP) boards ## drivers on an emulated board with pulses and a serial port
	$(VENV)/bin/python -m tests.kernel virt $(ARGS)

test-raspi3b: $(STAMP) boards ## drivers on an emulated Pi 3 with a real-time clock, and with the kernel's
	$(VENV)/bin/python -m tests.kernel raspi3b $(ARGS)
	$(VENV)/bin/python -m tests.kernel raspi3b-held $(ARGS)

lint: $(STAMP) ## style, types, import contracts, shell scripts
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	scripts/shellcheck.sh

format: $(STAMP) ## put the source into the project's format
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

bench: $(STAMP) ## measure, beside chrony and the bare interpreter
	$(VENV)/bin/python -m bench $(NAMES)

peers: ## fetch the real programs that tests talk to, into .peers/
	scripts/peers.sh

boards: ## fetch emulated boards and their emulator, into .peers/
	scripts/boards.sh

deb: ## build the Debian package, into dist/
	scripts/deb.sh

test-package: $(STAMP) ## install, upgrade, remove the package in a throw-away Debian 13 (root)
	$(PYTEST) --dist worksteal tests/package $(ARGS)

test-debian: ## run tests on Debian 13's Python and libraries; ARGS=tests: all of them
	scripts/debian-tree.sh build scripts/test-debian.sh $(ARGS)

clean: ## remove everything that was built or fetched
	rm -rf $(VENV) .peers build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find . -path './.?*' -prune -o -type d -name __pycache__ -exec rm -rf {} +

# Made again when what is installed changes, never because a source file did.
$(STAMP): pyproject.toml hatch_build.py scripts/venv.sh
	scripts/venv.sh $(PYTHON) $(VENV)
	@touch $@
