# make run    the main job: results/demo/report.html
# make test   the tests
# make docs   the pages and the API as a website: docs/_build/html/index.html
# make env    only the environment, .venv (all of the above build it first)
# make check  lint, format, types, Snakemake lint
# make slurm-env   also Snakemake's executor for SLURM: docs/cluster.md
# make slurm-test  the workflow on a toy SLURM cluster, which it starts and stops (Debian, as root)
# make lock   update requirements.lock (needs uv)

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= $(shell command -v python3.11 || command -v python3)
CORES ?= all
VENV := .venv
STAMP := $(VENV)/.installed
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: run test docs env slurm-env slurm-test check lock clean
.DELETE_ON_ERROR:

run: env
	snakemake --cores $(CORES)

test: env
	python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# A page that does not resolve a link, or a docstring that Sphinx cannot read, is an error.
docs: env
	python -m sphinx -W --keep-going -q docs docs/_build/html -d docs/_build/doctrees
	@echo "Open docs/_build/html/index.html"

env: $(STAMP)

# uv if available, otherwise pip. Both prefer a local wheel of PyTorch for the CPU
# (PIP_FIND_LINKS) to the registry's several-gigabyte CUDA build.
$(STAMP): pyproject.toml requirements.lock requirements-nodeps.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "meiflow needs Python 3.11; call make PYTHON=/path/to/python3.11" >&2; exit 1; }
	rm -rf $(VENV)
	if command -v uv >/dev/null; then \
	  export UV_FIND_LINKS="$${UV_FIND_LINKS:-$$PIP_FIND_LINKS}" && \
	  uv venv --quiet --python $(PYTHON) $(VENV) && \
	  uv pip install --quiet --python $(VENV) -r requirements.lock && \
	  uv pip install --quiet --python $(VENV) --no-deps -r requirements-nodeps.txt -e . ; \
	else \
	  $(PYTHON) -m venv $(VENV) && \
	  $(VENV)/bin/python -m pip install --quiet -r requirements.lock && \
	  $(VENV)/bin/python -m pip install --quiet --no-deps -r requirements-nodeps.txt -e . ; \
	fi
	$(VENV)/bin/python -c 'import rastermap'  # compiled here once (20 s), not in the first job
	touch $@

slurm-env: $(STAMP).slurm

# Its other requirements are in the lock, because Snakemake also needs them.
$(STAMP).slurm: $(STAMP) requirements-slurm.txt
	if command -v uv >/dev/null; then \
	  uv pip install --quiet --python $(VENV) --no-deps -r requirements-slurm.txt; \
	else \
	  $(VENV)/bin/python -m pip install --quiet --no-deps -r requirements-slurm.txt; \
	fi
	touch $@

slurm-test: slurm-env
	trap 'python -m tests.slurm.cluster stop' EXIT; \
	  python -m tests.slurm.cluster start 3 && python -m pytest tests/slurm

check: env
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow/rules
	mypy
	snakemake --lint

lock:
	uv pip compile pyproject.toml --extra dev --python-version 3.11 --no-annotate --no-header \
	  --no-emit-find-links --quiet | sed 's/+cpu$$//' > requirements.lock.part
	mv requirements.lock.part requirements.lock

clean:
	rm -rf $(VENV) .snakemake results/*/ docs/_build
