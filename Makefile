# make run   set up a virtual environment in .venv and run the default grid; the report is results/report.md
# make test  set up, then run all tests
# make browser-test   open a trace in the Perfetto UI (needs /usr/bin/chromium and /usr/bin/chromedriver)
# make cluster-test   run on a Slurm cluster of its own (needs root, and slurmctld slurmd slurm-client munge slurmdbd
#                     mariadb-server of Debian or Ubuntu), and on a stand-in for a Kubernetes cluster (rsync and git)
# make lint  formatting and lint of Python and Snakemake files
# make generated   write the files that follow from the registries: schemas, the table of keys in config/README.md
# make clean delete what these commands made: .venv, logs, and results but for results/reference and results/aside

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# What a user's shell or pip.conf sets for another Python would put packages elsewhere, or others before ours.
unexport PYTHONHOME PYTHONPATH PYTHONWARNINGS PIP_TARGET PIP_PREFIX PIP_ROOT PIP_DRY_RUN PIP_NO_DEPS PIP_REQUIREMENT
export PIP_USER := 0

# Empty where .venv has no Python that starts: it was made on another machine, or with a Python that has gone.
STARTS := $(shell $(BIN)/python -c 'print("yes")' 2>/dev/null)
# pip writes the place of .venv into its commands. This one can be moved with it.
define MOVABLE
#!/bin/sh
exec "$$(dirname "$$0")/python" -m snakemake "$$@"
endef
export MOVABLE

# No run makes these: measured traces are in them.
KEPT := results/reference results/aside

.PHONY: run test browser-test cluster-test lint generated clean
.PHONY: made-anew

run: .venv/run.installed
	@$(BIN)/python tools/can_start.py
	@$(BIN)/snakemake --version > /dev/null 2>&1 || \
		{ rm -f $(BIN)/snakemake; printf '%s\n' "$$MOVABLE" > $(BIN)/snakemake; chmod 755 $(BIN)/snakemake; }
	snakemake --cores 1
	@cat logs/results/outcome.log

test: .venv/test.installed
	python -m pytest

browser-test: .venv/test.installed
	python -m pytest -n 0 tests/browser

cluster-test: .venv/test.installed .venv/slurm.installed
	PYTHONPATH=$(CURDIR)/.venv/slurm python -m pytest tests/cluster

lint: .venv/test.installed
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint

generated: .venv/run.installed
	$(BIN)/python tools/generate.py

clean:
	rm -rf .venv .snakemake logs $(filter-out $(KEPT),$(wildcard results/*))
	rm -rf $(wildcard results/reference/*/plots results/reference/*/report.html results/reference/*/tables/*.parquet)

.venv/run.installed: requirements.txt $(if $(STARTS),,made-anew)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make run PYTHON=python3.12")'
	$(PYTHON) -m venv $(if $(STARTS),,--clear) .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

.venv/test.installed: requirements-dev.txt .venv/run.installed
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $@

# In a folder of its own: where the plugin can be found, it calls Slurm at every start of Snakemake.
.venv/slurm.installed: requirements-slurm.txt .venv/test.installed
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target .venv/slurm -r requirements-slurm.txt
	touch $@
