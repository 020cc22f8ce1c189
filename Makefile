# make run    install into .venv, migrate, make the first admin, start web and cluster
# make test   everything pytest knows      make check   everything that reads the code
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
RUNTIME := $(VENV)/.requirements
DEV := $(VENV)/.requirements-dev

# What a site behind a TLS proxy would set; the values are for `manage.py check` alone.
PRODUCTION := DEBUG=false HTTPS=true ALLOWED_HOSTS=uploads.example.org \
	CSRF_TRUSTED_ORIGINS=https://uploads.example.org DATA_DIR=$(VENV)/check \
	SECRET_KEY=0123456789-only-for-make-check-abcdefghijklmnopqrstuvwxyz-ABCDEFGH
PIP := $(PY) -m pip --disable-pip-version-check --quiet install
COMPILE := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements"

.DEFAULT_GOAL := run
.PHONY: run test check lint types house templates migrations translations texts deploy demo bench chaos requirements clean

run: $(RUNTIME)
	@exec $(PY) manage.py up --with-parent

# What stays within a process runs on two cores; the journeys have processes of their own, and time them.
test: $(DEV)
ifdef ARGS
	@$(PY) -m pytest -q $(ARGS)
else
	@$(PY) -m pytest -q -n 2 --dist worksteal --ignore=tests/journeys
	@$(PY) -m pytest -q tests/journeys
endif

check: lint types house templates migrations translations deploy

lint: $(DEV)
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/ruff format --quiet --check .

types: $(DEV)
	@DATA_DIR=$(VENV)/check $(VENV)/bin/mypy --no-error-summary

house: $(DEV)
	@DATA_DIR=$(VENV)/check $(VENV)/bin/lint-imports --no-logo > $(VENV)/house.log || { cat $(VENV)/house.log; false; }

templates: $(DEV)
	@find templates uploads -name '*.html' | xargs -r $(VENV)/bin/djade --target-version 5.2 --check \
		> $(VENV)/templates.log 2>&1 || { cat $(VENV)/templates.log; false; }

migrations: $(DEV)
	@DATA_DIR=$(VENV)/check $(PY) manage.py makemigrations --check --dry-run > $(VENV)/migrations.log \
		|| { cat $(VENV)/migrations.log; false; }

translations: $(DEV)
	@DATA_DIR=$(VENV)/check $(PY) manage.py texts --check

# What the code says, into locale/*/LC_MESSAGES/django.po; translate there, and run it again for the .mo
texts: $(DEV)
	@DATA_DIR=$(VENV)/check $(PY) manage.py texts

deploy: $(DEV)
	@$(PRODUCTION) $(PY) manage.py check --deploy --fail-level WARNING > $(VENV)/deploy.log \
		|| { cat $(VENV)/deploy.log; false; }

demo: $(RUNTIME)
	@$(PY) manage.py demo $(ARGS)

# Random faults on SQLite, PostgreSQL and Redis, then a table of whether the promises held: docs/chaos.md
chaos: $(DEV)
	@$(PY) -m tests.chaos $(ARGS)

bench: $(RUNTIME)
	@$(PY) -m benchmarks $(ARGS)

# The sources are requirements*.in; uv is one of the dev tools.
requirements: $(DEV)
	@$(COMPILE) requirements.in -o requirements.txt
	@$(COMPILE) requirements-dev.in -o requirements-dev.txt

clean:
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis test-results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; set PYTHON=…")'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); false; }

# A stamp is renewed only after an install that succeeded.
$(RUNTIME): requirements.txt | $(PY)
	@echo "Installing what Wharfinger runs on …"
	@$(PIP) --require-hashes --requirement requirements.txt
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	@echo "Installing what the checks and tests need …"
	@$(PIP) --require-hashes --requirement requirements-dev.txt
	@touch $@
