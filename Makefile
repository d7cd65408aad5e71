# make run    the main job: results/demo/report.html
# make test   the tests, with one small whole run and its faults
# make test-all   all tests, with every whole run
# make docs   the pages and the API as a website: docs/_build/html/index.html
# make env    only the environment, .venv (make run builds it first)
# make dev    the same with the tools for tests, pages and checks (these build it first)
# make check  lint, format, types, Snakemake lint
# make slurm-env   also Snakemake's executor for SLURM: docs/cluster.md
# make slurm-test  the workflow on a toy SLURM cluster, which it starts and stops (Debian, as root)
# make lock   update requirements.lock and requirements-dev.lock (needs uv)

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
CORES ?= all
VENV := .venv
STAMP := $(VENV)/.installed
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: run test test-all docs env dev slurm-env slurm-test check ruff snakefmt mypy lint lock clean
.DELETE_ON_ERROR:

run: env
	snakemake --cores $(CORES)

PYTEST = python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
test: dev
	$(PYTEST) -m "not thorough"

test-all: dev
	$(PYTEST)

# A page that does not resolve a link, or a docstring that Sphinx cannot read, is an error.
BUILT ?= docs/_build
docs: dev
	python -m sphinx -W --keep-going -q docs $(BUILT)/html -d $(BUILT)/doctrees
	@echo "Open $(BUILT)/html/index.html"

env: $(STAMP)
dev: $(STAMP).dev

# Which Python, uv or pip, and which PyTorch: scripts/environment.sh
$(STAMP): pyproject.toml requirements.lock requirements-nodeps.txt scripts/environment.sh
	scripts/environment.sh
	touch $@

$(STAMP).dev: $(STAMP) requirements-dev.lock
	scripts/environment.sh dev
	touch $@

slurm-env: $(STAMP).slurm

# Its other requirements are in the lock, because Snakemake also needs them.
$(STAMP).slurm: $(STAMP) requirements-slurm.txt
	scripts/environment.sh slurm
	touch $@

slurm-test: slurm-env dev
	trap 'python -m tests.slurm.cluster stop' EXIT; \
	  python -m tests.slurm.cluster start 3 && python -m pytest tests/slurm

# In parts, so that `make -j check` runs them at the same time.
check: ruff snakefmt mypy lint
ruff: dev
	ruff check .
	ruff format --check .
snakefmt: dev
	snakefmt --check Snakefile workflow/Snakefile workflow/rules
mypy: dev
	mypy
lint: dev
	snakemake --lint

# One lock for all supported versions of Python and systems. PyTorch pins its CUDA packages itself;
# without them here, its build for the CPU can be installed. What only developers need is apart.
COMPILE = uv pip compile pyproject.toml --universal --python-version 3.11 \
  --fork-strategy fewest --no-annotate --no-header --no-emit-find-links --quiet --extra workflow --extra allen --extra zarr
NO_CUDA = grep -v -E "^(nvidia|cuda)-|^triton==| (implementation_name == 'pypy'|(os_name == 'nt' or )?sys_platform == 'win32')$$"
lock:
	cat requirements.lock requirements-dev.lock > all.part
	$(COMPILE) --extra dev -o all.part > /dev/null
	cp all.part run.part
	$(COMPILE) -o run.part > /dev/null
	$(NO_CUDA) run.part > requirements.lock
	$(NO_CUDA) all.part | grep -v -x -F -f requirements.lock > requirements-dev.lock
	rm all.part run.part

clean:
	rm -rf $(VENV) .snakemake results/*/ docs/_build dist
