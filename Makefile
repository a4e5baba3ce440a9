# Each target works from a fresh clone. The work is done by `python -m rigl_nb`; make only names it.

PYTHON ?= .venv/bin/python
PROFILE ?= smoke
SECTIONS ?=
WORKERS ?=
FRESH ?=
SLOW ?=
TIME_BUDGET ?=
JOBS_PER_GPU ?=
arguments = $(if $(SECTIONS),--sections $(SECTIONS))

# The stamp's name holds a checksum of what is installed: file times, which a checkout changes, do not matter.
# An interpreter of your own (make test PYTHON=python) is used as it is.
STAMP := .venv/.installed-$(firstword $(shell cat pyproject.toml requirements.lock | cksum))
READY = $(if $(filter .venv/bin/python,$(PYTHON)),$(STAMP))

# Byte code is kept, whatever the shell says: without it every kernel compiles torch anew, for seconds.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help setup reproduce report site notebooks test bench lab lint clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r target text; do \
	    printf '  make %-10s %s\n' "$$target" "$$text"; done
	@printf '\nVariables:\n'
	@printf '  %-22s %s\n' 'PROFILE=smoke' 'the size of the runs: smoke, quick, short or paper' \
	    'SECTIONS="05_1 06_1"' 'some notebooks only; empty: all' \
	    'WORKERS=2' 'how many runs train at a time; empty: one for each CPU core' \
	    'JOBS_PER_GPU=4' 'how many runs take turns on one GPU; empty: 1' \
	    'TIME_BUDGET=9m' 'leave in time: training ends with checkpoints, exit code 75' \
	    'FRESH=1' 'train even what results/ holds already' \
	    'SLOW=1' 'test too what takes minutes: all controls in JupyterLab, kills, clusters' \
	    'RIGL_DATA=data' 'the folder of the image data sets' \
	    'PYTHON=python' 'an interpreter that has everything installed; no .venv is made'

setup: $(READY) ## Install what is needed into .venv (the other targets do it too)

# Reached only when something changed. A failure leaves no stamp, so the next `make` tries again. uv installs in a minute
# what takes pip four; where it is missing, pip fetches it first. It ignores pip's settings, a mirror for example: where
# it fails, pip installs everything.
INSTALL = install --quiet --no-deps --requirement requirements.lock --editable .
$(STAMP):
	@rm -f .venv/.installed-*
	@.venv/bin/python -c "" 2>/dev/null || rm -rf .venv
	@echo "Installing into .venv: half a minute where packages are cached, else as long as torch takes to arrive"
	@set -e; if uv --version >/dev/null 2>&1; then \
	    uv=uv; test -d .venv || uv venv --quiet .venv; \
	else \
	    python3 -c "import sys; sys.exit('Python 3.11 or later is needed' if sys.version_info < (3, 11) else 0)"; \
	    uv=.venv/bin/uv; test -d .venv || python3 -m venv .venv; \
	    .venv/bin/python -c "import pip" 2>/dev/null || .venv/bin/python -m ensurepip >/dev/null; \
	    .venv/bin/python -m pip install -qq --constraint requirements.lock uv || true; \
	fi; \
	$$uv pip $(INSTALL) --python .venv/bin/python || { \
	    echo "Installing with pip instead (a few minutes)"; \
	    .venv/bin/python -m ensurepip >/dev/null; \
	    .venv/bin/python -m pip $(INSTALL); \
	}
	@touch $@

reproduce: $(READY) ## Train what is missing of PROFILE, then make the report with it
	@$(PYTHON) -m rigl_nb reproduce --profile $(PROFILE) $(arguments) \
	    $(if $(WORKERS),--workers $(WORKERS)) $(if $(JOBS_PER_GPU),--jobs-per-gpu $(JOBS_PER_GPU)) \
	    $(if $(TIME_BUDGET),--time-budget $(TIME_BUDGET)) $(if $(FRESH),--fresh)

report: $(READY) ## Make the report from the records that exist, without training
	@$(PYTHON) -m rigl_nb report $(arguments)

site: $(READY) ## Make the report's pages for a host of static pages: build/site
	@$(PYTHON) -m rigl_nb site

notebooks: $(READY) ## Make the committed notebooks anew from the published records
	$(PYTHON) -m rigl_nb notebooks $(arguments)

# Two processes of two threads each would wait for each other on two cores, three times as long.
test: export OMP_NUM_THREADS = 1
test: $(READY) ## Run the tests, the notebooks' stored outputs included; with SLOW=1 all of them
	$(PYTHON) -m pytest tests $(if $(SLOW),,-m "not slow") -n 2 --dist loadscope --no-loadscope-reorder
	$(PYTHON) -m pytest -n 2 --dist loadscope --nbval --nbval-sanitize-with tests/nbval.cfg notebooks

bench: $(READY) ## Measure speed and costs on this machine (half an hour on a CPU); tables in benchmarks/README.md
	$(PYTHON) -m benchmarks $(if $(TIME_BUDGET),--budget $(TIME_BUDGET))

lab: $(READY) ## Open the notebooks in JupyterLab
	JUPYTER_CONFIG_PATH="$(CURDIR)/notebooks/.jupyter:$$JUPYTER_CONFIG_PATH" \
	    $(PYTHON) -m jupyterlab notebooks/00_overview.ipynb

lint: $(READY) ## Check the style of the code
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

clean: ## Remove everything generated (build/: runs of this machine, reports)
	rm -rf build
