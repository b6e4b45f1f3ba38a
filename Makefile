# make run · check · test · lint · bench · faults · fuzz · build: nothing else to remember.

PYTHON ?= python3
# Tests at once. Those with servers and browsers wait for much of their time.
JOBS ?= 2
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: run check test lint lint-types lint-style lint-pages bench faults fuzz build constraints lock sbom audit clean
.DEFAULT_GOAL := run

run: $(VENV)/.run ## install what running needs, then serve on http://127.0.0.1:8000 (PORT=…)
	@exec $(BIN)/python manage.py serve --demo

test: $(VENV)/.dev ## install what tests need, then run all of them
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

check: lint ## lint, and all tests that are quick and need neither a server nor a browser
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not browser and not server and not long" $(ARGS)
	$(if $(findstring --cov,$(ARGS)),$(BIN)/python .ci/coverage_floor.py)

lint: $(VENV)/.dev ## style, types, imports and spelling, two at a time
	@$(MAKE) --no-print-directory -j 2 lint-types lint-pages lint-style

lint-types:
	$(BIN)/mypy replayproject sessions_app streaming faults tests benchmarks examples

lint-style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/codespell replayproject sessions_app streaming benchmarks tests docs *.md Makefile

lint-pages: ## types and format of the pages' JavaScript and CSS, where npm is installed
	@if command -v npm >/dev/null; then \
	  $(MAKE) --no-print-directory node_modules/.installed && npm run types && npm run format:check; \
	else \
	  echo "npm is not installed: JavaScript and CSS are not checked (Debian packages: nodejs npm)"; \
	fi

node_modules/.installed: package.json
	@echo "installing what checking the pages needs"
	@npm install --no-audit --no-fund --silent
	@touch $@

bench: $(VENV)/.dev ## measure; results as a table and as JSON (ARGS="codec viewers" for some)
	$(BIN)/python -m benchmarks $(ARGS)

faults: $(VENV)/.dev ## break things and see what is promised kept (ARGS='--short "worker killed"')
	$(BIN)/python -m faults $(ARGS)

fuzz: $(VENV)/.dev ## hostile bytes for every parser, many examples of every property (ARGS="csv_table --cases 1000000")
	$(BIN)/python -m tests.fuzz $(ARGS)
	@test -n "$(ARGS)" || HYPOTHESIS_PROFILE=large $(BIN)/python -m pytest -n $(JOBS) -m hypothesis

build: $(VENV)/.dev ## make the packages in dist/: the source archive, and the wheel from it
	$(BIN)/python -m build --no-isolation --outdir dist
	@rm -rf replayproject.egg-info

constraints: $(VENV)/.python ## pin the newest versions that the requirements allow; then run all tests
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(BIN)/python -m venv "$$folder" && \
	"$$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
	  -r requirements-dev.txt -r requirements-supply.txt 'psycopg[binary]>=3.2' && \
	"$$folder/bin/python" -m pip freeze --all --exclude pip > "$$folder/frozen" && \
	{ echo "# What was tested together; made by \`make constraints\`."; LC_ALL=C sort "$$folder/frozen"; } \
	  > constraints.txt

lock: $(VENV)/.python ## write requirements.lock: what a deployment installs, with hashes
	@report=$$(mktemp) && trap 'rm -f "$$report"' EXIT && \
	$(PIP) --dry-run --ignore-installed --report "$$report" \
	  -r requirements-import.txt 'psycopg[binary]>=3.2' 'django-allauth[socialaccount]>=65.13' && \
	$(BIN)/python .ci/lock.py < "$$report" > requirements.lock

sbom: $(VENV)/.supply ## list what is delivered (CycloneDX) and its licences, in dist/
	@mkdir -p dist
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
	  --output-format JSON -o dist/sbom.cdx.json requirements.lock
	$(BIN)/pip-licenses --from mixed --format json --with-urls --output-file dist/licences.json \
	  --packages $$(sed -n 's/==.*//p' requirements.lock)

audit: $(VENV)/.supply ## look for known weaknesses of what requirements.lock pins
	@$(BIN)/python .ci/audit.py $(BIN)/pip-audit --disable-pip --require-hashes --timeout 15 \
	  --progress-spinner off --format json -r requirements.lock

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "replayproject needs Python 3.11 or later: $$($(PYTHON) --version). Try make PYTHON=python3.11"; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.python requirements.txt constraints.txt
	@echo "installing what running needs"
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt requirements-import.txt
	@echo "installing what tests need"
	@$(PIP) -r requirements-dev.txt
	@touch $@

$(VENV)/.supply: $(VENV)/.run requirements-supply.txt requirements.lock
	@echo "installing what listing and auditing dependencies needs"
	@$(PIP) -r requirements-supply.txt -r requirements-import.txt 'psycopg[binary]>=3.2' \
	  'django-allauth[socialaccount]>=65.13'
	@touch $@

clean: ## remove the virtual environment and the caches, not the data
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis node_modules
