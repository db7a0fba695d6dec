# Everything happens in a virtual environment of its own; nothing is installed anywhere else.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# The demo needs the program alone. It uses the environment of the tests if that is already there.
RUN    := $(if $(wildcard $(READY)),$(VENV),build/run)
TOOLS  := build/tools
# What is installed for the tests, with the hash of each file. `make LOCK= setup` takes the newest instead.
LOCK   ?= requirements/dev.lock
COMPILE = $(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
          --no-header --no-annotate $(if $(UPGRADE),--upgrade)
MINUTES ?= 30
RUNS   ?= 20
PYTEST ?= $(BIN)/pytest
# The tests wait for servers and clocks more than they compute.
WORKERS ?= 4

.PHONY: attacks help setup demo bench bench-quick screenshots recording soak fuzz bench-recovery test coverage test-random check style types format units schemas man lock dist clean

help:            ## what there is
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  *##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

setup: $(READY)  ## the virtual environment, with the program and what its tests need

NEEDS_PYTHON = @command -v $(PYTHON) >/dev/null || \
  { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3"; exit 1; }

$(READY): pyproject.toml $(LOCK)
	$(NEEDS_PYTHON)
	$(PYTHON) -m venv $(VENV)
ifeq ($(strip $(LOCK)),)
	$(BIN)/pip install --quiet --editable '.[dev]'
else
	@$(BIN)/python -m distribution.environment $(LOCK)
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
endif
	touch $@

# The program runs from this folder: an editable install would need its build tools.
build/run/.ready: pyproject.toml requirements/run.lock
	$(NEEDS_PYTHON)
	@$(PYTHON) -m venv build/run
	@build/run/bin/python -m distribution.environment requirements/run.lock
	@touch $@

demo: $(RUN)/.ready ## a relay and a tunnel of every kind on loopback; without a terminal, a proof
	@if [ -t 0 ] && [ -t 1 ]; then $(RUN)/bin/python -m tunnelkeeper demo; \
	  else $(RUN)/bin/python -m tunnelkeeper demo --check; fi

bench: $(READY)  ## measures against ssh and autossh, side by side (a quarter of an hour)
	$(BIN)/python -m benchmarks --json build/benchmarks.json --svg build/benchmarks.svg

bench-quick: $(READY) ## the same in about two minutes
	$(BIN)/python -m benchmarks --quick --json build/benchmarks.json --svg build/benchmarks.svg

screenshots: $(READY) ## the dashboard's picture of README, from a real run (Linux, as root, with tmux and OpenSSH)
	$(BIN)/python docs/screenshots.py

recording: $(READY) ## the animated picture of README, from a real outage (needs root and tmux)
	$(BIN)/python -m docs.recording

fuzz: $(READY)   ## every parser with random inputs, for MINUTES=30; ONLY= names a parser, SEED= repeats a run
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(if $(ONLY),--only "$(ONLY)") $(if $(SEED),--seed $(SEED))

bench-recovery: $(READY) ## how soon data flows again after outages, beside autossh (ten minutes)
	$(BIN)/python -m benchmarks.recovery --json build/recovery.json

soak: $(READY)   ## random faults for MINUTES=30 against ten tunnels, watched; SEED= repeats a run
	$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) --json build/soak.json

attacks: $(READY) ## floods a relay beside an honest client, and prints what both notice (two minutes)
	$(BIN)/python -m tests.attacks.figures --write build/attacks.md

test: $(READY)   ## every test
	$(PYTEST) -n $(WORKERS) --dist worksteal

coverage: $(READY) ## every test, and which lines and branches no test reaches; slower than `test`
	$(PYTEST) -n $(WORKERS) --dist worksteal --cov --cov-report=term

test-random: $(READY) ## the tests RUNS=20 times in random order, with 1, 2 and 4 workers in turn (hours)
	@for run in $$(seq $(RUNS)); do \
	  workers=$$(echo 4 2 1 | cut -d' ' -f$$((run % 3 + 1))); \
	  echo "run $$run of $(RUNS), workers: $$workers"; \
	  $(PYTEST) -q -n $$workers --dist worksteal --random-order || exit 1; \
	done

check: style types test  ## everything that must pass before a commit

style: $(READY)  ## formatting and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)  ## mypy, strict, over program and tests
	$(BIN)/mypy

format: $(READY) ## let ruff format and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

units: $(READY)  ## write what units/ holds anew, as the program generates it
	$(BIN)/python -m tests.systemd.shipped

schemas: $(READY) ## write tunnelkeeper/schemas/ again, from the tables of keys and the docs
	$(BIN)/python -m docs.schemas --write

man: $(READY)    ## write man/ again, from docs/ and the commands
	$(BIN)/python -m docs.manpages --write

$(TOOLS)/.ready: requirements/dist.lock
	$(NEEDS_PYTHON)
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m distribution.environment $<
	@touch $@

lock: $(TOOLS)/.ready ## the lock files in requirements/ from pyproject.toml; UPGRADE=1 takes newer versions
	$(COMPILE) pyproject.toml --output-file requirements/run.lock
	$(COMPILE) --extra dev pyproject.toml requirements/build.in --output-file requirements/dev.lock
	$(COMPILE) requirements/build.in --output-file requirements/build.lock
	$(COMPILE) requirements/image.in --output-file requirements/image.lock
	$(COMPILE) requirements/dist.in --output-file requirements/dist.lock

dist: $(TOOLS)/.ready ## wheel and source in dist/, checked by twine, and a bill of materials (CycloneDX)
	rm -rf dist build/sbom
	$(TOOLS)/bin/python -m build --no-isolation --outdir dist .
	$(TOOLS)/bin/twine check --strict dist/*.whl dist/*.tar.gz
	$(PYTHON) -m venv --without-pip build/sbom
	$(TOOLS)/bin/pip --python build/sbom/bin/python install --quiet --require-hashes --requirement requirements/run.lock
	$(TOOLS)/bin/pip --python build/sbom/bin/python install --quiet --no-deps dist/*.whl
	$(TOOLS)/bin/cyclonedx-py environment build/sbom/bin/python --pyproject pyproject.toml --output-reproducible \
	  --output-file dist/tunnelkeeper.cdx.json
	build/sbom/bin/python -c 'import json, tunnelkeeper; path = "dist/tunnelkeeper.cdx.json"; bom = json.load(open(path)); \
	  bom["metadata"]["component"]["version"] = tunnelkeeper.__version__; json.dump(bom, open(path, "w"), indent=2)'

# -- packages --------------------------------------------------------------------------------------

.PHONY: deb deb-check zipapp zipapp-check image-lint image-check

TIME   ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
DEB_PYTHON ?= 3.11
DEB_ARCHITECTURE ?= $(shell dpkg --print-architecture 2>/dev/null || echo amd64)
DEB_REVISION ?= 1
deb: $(TOOLS)/.ready ## the package for Debian 12 in dist/; DEB_PYTHON=3.13 for Debian 13, DEB_ARCHITECTURE=arm64
	@rm -rf build/wheel
	SOURCE_DATE_EPOCH=$(TIME) $(TOOLS)/bin/python -m build --no-isolation --wheel --outdir build/wheel .
	SOURCE_DATE_EPOCH=$(TIME) $(TOOLS)/bin/python -m distribution.debian build/wheel/*.whl \
	  --python $(DEB_PYTHON) --architecture $(DEB_ARCHITECTURE) --revision $(DEB_REVISION)

deb-check:       ## installs, runs, upgrades and purges the package in a booted Debian (root; minutes)
	rm -f dist/tunnelkeeper_*.deb
	$(MAKE) deb DEB_REVISION=0
	$(MAKE) deb DEB_REVISION=1
	packaging/deb-check.sh dist/tunnelkeeper_*-0_$(DEB_ARCHITECTURE).deb dist/tunnelkeeper_*-1_$(DEB_ARCHITECTURE).deb
	rm dist/tunnelkeeper_*-0_$(DEB_ARCHITECTURE).deb

zipapp: $(TOOLS)/.ready ## the program in one file, dist/tunnelkeeper.pyz; PLATFORM=cp311-x86_64 for one platform
	@rm -rf build/wheel
	SOURCE_DATE_EPOCH=$(TIME) $(TOOLS)/bin/python -m build --no-isolation --wheel --outdir build/wheel .
	SOURCE_DATE_EPOCH=$(TIME) $(TOOLS)/bin/python -m distribution.single_file build/wheel/*.whl \
	  $(if $(PLATFORM),--only $(PLATFORM))

zipapp-check: zipapp ## runs that file with each Python of this machine (minutes)
	packaging/zipapp-check.sh dist/tunnelkeeper.pyz

build/image-tools/.ready: requirements/image.lock
	$(NEEDS_PYTHON)
	@$(PYTHON) -m venv build/image-tools
	@build/image-tools/bin/python -m distribution.environment $<
	@touch $@

image-lint: build/image-tools/.ready ## hadolint over the Containerfile, and the examples against their schemas
	build/image-tools/bin/hadolint packaging/Containerfile
	build/image-tools/bin/check-jsonschema --builtin-schema vendor.compose-spec examples/compose.yaml
	build/image-tools/bin/kubernetes-validate --strict examples/kubernetes.yaml

image-check:     ## builds the image, and runs it with a read-only root (root, buildah; minutes); BASE= names its base
	packaging/image-check.sh $(BASE)

clean:           ## remove what the other targets made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage build dist
