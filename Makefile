# `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
PYTEST := $(PY) -m pytest
PROGRAMS := sh provisioning/install-programs.sh
JSONNET := $(shell find alerts dashboards provisioning mixin.libsonnet -name '*.libsonnet' -o -name '*.jsonnet' 2>/dev/null)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo gameday test test-systems test-schedulers test-servers test-compose lint bench generate clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## the whole stack on this machine, without Docker; Ctrl-C stops it (DEMO="--fresh" starts over)
	@$(PROGRAMS) prometheus alertmanager
	@$(VENV)/bin/ml-exporter demo $(DEMO)

gameday: $(VENV)/.demo ## puts faults into a stack of its own and checks who is told, and when (GAMEDAY="--scenario endpoint-slow")
	@$(PROGRAMS) prometheus alertmanager
	@$(VENV)/bin/ml-exporter gameday $(GAMEDAY)

test: $(VENV)/.test ## fast tests: everything that needs neither other servers nor Docker
	@$(PROGRAMS) promtool amtool jsonnetfmt
	$(PYTEST) -m "not system and not schedulers and not servers and not docker" $(ARGS)

test-systems: $(VENV)/.test ## tests with a real MLflow, Prometheus and Alertmanager
	@$(PROGRAMS) prometheus promtool alertmanager amtool
	$(PYTEST) -m system $(ARGS)

test-schedulers: $(VENV)/.test ## tests with real job schedulers (Airflow, Slurm, Prefect, Dagster, Ray, Kubernetes' API)
	$(PYTEST) -m schedulers $(ARGS)

test-servers: $(VENV)/.test ## tests with real model servers (Triton, MLServer, MLflow, BentoML, Ray Serve, TorchServe)
	$(PYTEST) -m servers $(ARGS)

test-compose: $(VENV)/.test ## brings docker-compose.yml up, with stand-ins for images that cannot be had
	$(PYTEST) -m docker $(ARGS)

lint: $(VENV)/.test ## ruff, mypy --strict, jsonnetfmt
	@$(PROGRAMS) jsonnetfmt
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	jsonnetfmt --test $(JSONNET)

bench: $(VENV)/.test ## benchmarks, as ratios from one run (ARGS=scrape runs one)
	$(PY) -m bench $(ARGS)

generate: $(VENV)/.test ## make the committed generated files anew
	$(PY) -m ml_exporter.render
	$(PY) -m ml_exporter metrics --format markdown > docs/metrics.md

clean: ## remove the virtual environment, the demo's data and what builds and tests leave
	rm -rf $(VENV) .demo .gameday dist build .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp per set of packages: made again when pyproject.toml changes, else nothing happens.
$(VENV)/.demo: pyproject.toml | $(UV)
	@echo "Installing into $(VENV): ml-exporter from this folder, with MLflow and scikit-learn for the demo"
	@$(UV) pip install --quiet --python $(PY) -e '.[demo]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(UV)
	@echo "Installing into $(VENV): ml-exporter from this folder, with MLflow, scikit-learn, pytest, ruff and mypy"
	@$(UV) pip install --quiet --python $(PY) -e '.[test,lint]'
	@touch $(VENV)/.demo $@

$(UV):
	@$(PROGRAMS) venv
	@echo "Creating the virtual environment $(VENV) and installing uv into it"
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check uv
