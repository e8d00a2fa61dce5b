# Every target does its own set-up on a machine with Python 3.11 or newer and make. `make` alone lists the targets.

PYTHONS := python3 python3.14 python3.13 python3.12 python3.11
SUITABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach python,$(PYTHONS),$(shell $(python) -c '$(SUITABLE)' 2>/dev/null && echo $(python))))
VENV ?= .venv
GROUP ?= dev
# What pip is told beside the package, such as DJANGO='django~=5.2.0'; empty takes the newest that fits.
DJANGO ?=
DIST ?= dist
# How the tests share the processors, such as PARALLEL='--numprocesses=auto --dist=loadfile'; empty runs them one by one.
PARALLEL ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
E2E_INSTALLED := $(VENV)/.installed-e2e
# What goes through a database and a cache, without a clock of its own: Redis keeps another time.
SERVICES_TESTS ?= tests/sessions tests/test_journeys.py tests/test_models.py tests/test_middleware.py \
  tests/test_backends.py tests/test_signals.py tests/test_admin.py tests/services
SERVICES_INSTALLED := $(VENV)/.installed-services
OIDC_PROVIDER := tests/e2e/oidc_provider
OIDC_PROVIDER_INSTALLED := $(OIDC_PROVIDER)/node_modules/.package-lock.json
TEMPLATES := django_ory_logout example_project

.PHONY: help venv demo demo-kratos test coverage lint format types migrations e2e e2e-browser contract live services dist clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-12s %s\n", $$1, $$2}'

venv: $(INSTALLED) ## .venv with the package, the example and the tools

$(INSTALLED): pyproject.toml
	@$(if $(PYTHON),$(PYTHON) -c '$(SUITABLE)',false) || { echo >&2 \
	  "Python 3.11 or newer with venv is needed (Debian: apt-get install python3-venv); name one by make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group $(GROUP) --editable . $(if $(DJANGO),'$(DJANGO)')
	@touch $@

demo: venv ## the example site and its provider, to click through
	$(BIN)/python manage.py demo

demo-kratos: venv ## the same, signing in by Kratos
	$(BIN)/python manage.py demo --kratos

test: venv ## the tests, without the end-to-end ones
	$(BIN)/python -m pytest -m "not e2e" $(PARALLEL)

coverage: venv ## the tests, failing where a branch of the package is not covered
	$(BIN)/python -m pytest -m "not e2e" $(PARALLEL) --cov --cov-report=term

lint: venv ## ruff, and djlint for the templates
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/djlint $(TEMPLATES) --check --quiet
	$(BIN)/djlint $(TEMPLATES) --lint --quiet

format: venv ## mend what lint can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/djlint $(TEMPLATES) --reformat --quiet

types: venv ## mypy, strict
	$(BIN)/mypy

migrations: venv ## fails when a model has changed without its migration
	$(BIN)/python manage.py makemigrations --check --dry-run

e2e: $(E2E_INSTALLED) $(OIDC_PROVIDER_INSTALLED) ## site and provider as processes of their own, ours and oidc-provider
	$(BIN)/python -m pytest -m "e2e and not chromium" tests/e2e

e2e-browser: $(E2E_INSTALLED) ## the single-page example in a real Chromium
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || .ci/debian chromium chromium-driver
	$(BIN)/python -m pytest -m chromium tests/e2e

# Node comes from PyPI, so that the version that oidc-provider supports is there on every machine.
$(E2E_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --group e2e
	@touch $@

$(OIDC_PROVIDER_INSTALLED): $(OIDC_PROVIDER)/package.json $(OIDC_PROVIDER)/package-lock.json | $(E2E_INSTALLED)
	PATH="$(abspath $(BIN)):$$PATH" npm ci --prefix $(OIDC_PROVIDER)
	@touch $@

contract: venv ## what we hold true of Hydra and Kratos, tried on our provider for tests
	.ci/contract $(BIN)/python

live: venv ## the same, tried on those at HYDRA_PUBLIC_URL, HYDRA_ADMIN_URL, KRATOS_PUBLIC_URL, KRATOS_ADMIN_URL
	$(BIN)/python -m pytest -m live tests/live

services: $(SERVICES_INSTALLED) ## the tests on PostgreSQL, MariaDB and Redis, thrown away afterwards
	.ci/services $(BIN)/python -m pytest --reuse-db $(PARALLEL) $(SERVICES_TESTS)

$(SERVICES_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --group services
	@touch $@

dist: venv ## wheel and sdist, the wheel proved in an environment of its own
	rm -rf $(DIST)
	$(BIN)/python -m build --outdir $(DIST)
	.ci/try-wheel $(BIN)/python $(DIST)/*.whl

clean: ## remove what the targets made
	rm -rf $(VENV) .venv-oldest .venv-newest $(DIST) build example.sqlite3*
	rm -rf .coverage* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf $(OIDC_PROVIDER)/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
