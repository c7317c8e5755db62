# The same few commands locally and in CI.
UV_VERSION = 0.9
VENV = .venv
UV = .tools/bin/uv
PY = $(VENV)/bin/python
EXAMPLE = modechoice

.PHONY: studio run test coverage check bench bench-report eval eval-examples nightly docs reference pictures format clean
.DEFAULT_GOAL := run
unexport PYTHONDONTWRITEBYTECODE  # an environment without bytecode costs every script and every test seconds

$(UV):
	python3 -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check 'uv>=$(UV_VERSION)'

$(VENV)/.synced: $(UV) pyproject.toml uv.lock
	$(UV) sync --locked --quiet --no-dev
	$(PY) -m sandbox.local.bytecode
	touch $@

$(VENV)/.synced-dev: $(UV) pyproject.toml uv.lock
	$(UV) sync --locked --quiet
	$(PY) -m sandbox.local.bytecode
	touch $@ $(VENV)/.synced

$(VENV)/.synced-evals: $(UV) pyproject.toml uv.lock
	$(UV) sync --locked --inexact --quiet --no-dev --group evals
	touch $@

run: $(VENV)/.synced  ## solve a real example: from a first draft to a better submission
	$(PY) -m evals.demo $(EXAMPLE)

test: $(VENV)/.synced-dev  ## the tests without the slow ones
	$(PY) -m pytest -q -n 2 --dist loadfile -m "not slow"

coverage: $(VENV)/.synced-dev  ## the same, and how much of the code they run: half as slow again
	$(PY) -m pytest -q -n 2 --dist loadfile -m "not slow" --cov --cov-report=term

nightly: $(VENV)/.synced-dev  ## all tests and their coverage, with Ray, Studio's server, Postgres, an embedding model and the notebook; then the guards
	$(UV) sync --locked --quiet --extra ray --extra studio --extra postgres --extra embeddings --group notebook --group weights
	$(PY) -m pytest -q --cov --cov-report=term
	$(PY) -m tools.mutants

check: $(VENV)/.synced-dev  ## style, types, import floors
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.synced-dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/.synced  ## overhead per step, memory of the main process, traces side by side, cost of the sandbox
	$(PY) -m evals.bench.overhead
	$(PY) -m evals.bench.parallel
	$(PY) -m evals.bench.waiting
	$(PY) -m evals.bench.sandbox

bench-report: $(VENV)/.synced-dev  ## size of report.html with 2,000 attempts, time to first paint in Chromium
	$(PY) -m evals.bench.report

eval: $(VENV)/.synced-evals  ## ten minutes: Gome among simple contestants on five real data sets, and a small crossover study
	$(PY) -m evals.studies.smoke

eval-examples: $(VENV)/.synced  ## the examples over three seeds, private scores of first draft and final submission
	$(PY) -m evals.studies.examples

docs: $(UV)  ## the documentation into site/, without network
	NO_MKDOCS_2_WARNING=1 $(UV) run --isolated --locked --quiet --only-group docs mkdocs build --strict --quiet

reference: $(VENV)/.synced-dev  ## the pages of docs/ that are written by the code
	$(PY) -m tools.reference
	$(PY) -m tools.draw

pictures: $(VENV)/.synced-dev  ## docs/pictures from a real run in headless Chromium
	$(PY) -m tools.pictures

studio: $(VENV)/.synced  ## LangGraph Studio's server on this machine's runs (docs/studio.md)
	$(UV) sync --locked --inexact --quiet --no-dev --extra studio
	$(PY) -m gome studio

clean:
	rm -rf $(VENV) .tools .mypy_cache .ruff_cache .pytest_cache .coverage .coverage.*
