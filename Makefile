# The two commands of the README, and those they are made of. Needs make and Python 3.11 or newer; everything else lives in .venv.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
NODE_PACKAGES := tests/guide/js/node_modules
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo demo-compare test check docs node-packages last-major record bench schema screenshots clean

demo: $(VENV)/.installed  ## replay the shipped suites offline and write reports/demo/index.html
	$(BIN)/python -m pytest suites --evalkit-report reports/demo

demo-compare: $(VENV)/.installed  ## compare two revisions of a model, both served from this machine
	@$(BIN)/python examples/revisions/compare.py || [ $$? -eq 4 ]  # inconclusive is what these two are

test: check node-packages  ## check the code, then run every test and print branch coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 --dist worksteal
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --sort=cover

check: $(VENV)/.developer  ## lint, types, layers, dead code, limits, schema, cassettes
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/python tools/code_limits.py
	$(BIN)/python tools/architecture.py
	$(BIN)/evalkit schema | cmp - evalkit.schema.json
	$(BIN)/evalkit lint cassettes --fail-on warn

docs: $(VENV)/.installed  ## build the documentation site into site/, links and anchors checked
	$(BIN)/python -m pip install --quiet --group docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

node-packages: $(NODE_PACKAGES)/.installed  ## the JavaScript SDK, for the tests of the local server

last-major: $(VENV)/.developer node-packages  ## run the guide's programs with the last major of the SDKs, then install the newest again
	$(BIN)/python -m pip install --quiet "google-genai<3"
	npm install --prefix tests/guide/js --no-save --no-audit --no-fund --silent @google/genai@2
	$(BIN)/python -m pytest -n 2 tests/guide/test_guide_everywhere.py -k "python or javascript"; \
		status=$$?; rm -f $(VENV)/.developer $(NODE_PACKAGES)/.installed; \
		$(MAKE) --no-print-directory $(VENV)/.developer node-packages && exit $$status

record: $(VENV)/.developer  ## record the shipped suites and example agents again from the local server, over HTTP
	$(BIN)/python tools/record.py

bench: $(VENV)/.developer  ## measure the budgets: replay, probe, comparison, live sessions, report, local server
	$(BIN)/python benchmarks/replay.py
	$(BIN)/python benchmarks/cassette_scale.py
	$(BIN)/python benchmarks/probe.py
	$(BIN)/python benchmarks/compare.py
	$(BIN)/python benchmarks/live.py
	@if command -v chromium >/dev/null; then $(BIN)/python benchmarks/report.py; else echo "benchmarks/report.py left out: it needs chromium (apt-get install chromium)"; fi
	@if command -v hey >/dev/null; then $(BIN)/python benchmarks/serve.py; else echo "benchmarks/serve.py left out: it needs hey (apt-get install hey)"; fi

schema: $(VENV)/.developer  ## write evalkit.schema.json
	$(BIN)/evalkit schema --output evalkit.schema.json

screenshots: $(VENV)/.developer demo demo-compare  ## take the screenshots of the docs (needs chromium)
	$(BIN)/python -m pytest examples/agents --evalkit-report reports/agents
	$(BIN)/python tools/screenshots.py

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "evalkit needs Python 3.11 or newer (set PYTHON=/path/to/python)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.developer: pyproject.toml $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

$(NODE_PACKAGES)/.installed: tests/guide/js/package.json tests/guide/js/package-lock.json
	@if command -v npm >/dev/null; then \
		npm ci --prefix tests/guide/js --ignore-scripts --no-audit --no-fund --loglevel=error --silent && touch $@; \
	else echo "no npm here: tests with the JavaScript SDK are skipped"; fi

clean:
	rm -rf $(VENV) $(NODE_PACKAGES) .mypy_cache .pytest_cache .ruff_cache .hypothesis
