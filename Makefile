# Every command of the project. `make help` lists them; each makes the environment it needs.
PY := .venv/bin/python
# Python keeps byte code, whatever the shell says: packages are installed without, and a start that
# compiles them all takes twice as long.
export PYTHONDONTWRITEBYTECODE :=

# What `make check` runs of the tests, with every call's shapes and types checked, which triples the
# time of a test: some cases of the slow reference and of what is compared with it. `make test-all`
# checks all calls.
SHAPES := tests/pruning tests/merging/test_whole_pass.py tests/merging/test_against_reference.py
RULES := tests/test_architecture.py tests/test_script_rules.py

.DEFAULT_GOAL := help
.PHONY: app test test-all check check-shapes check-types check-rules check-scripts format bench mergekit space-check test-mergekit test-cuda fuzz audit defences lab docs living picture help

app: ## Open the app on the embedded models and print its address (PORT=7860 picks one)
	@sh scripts/environment.sh app
	@if [ -n "$$PORT" ]; then export GRADIO_SERVER_PORT="$$PORT"; fi; exec $(PY) app.py

test: ## Run the tests, the browser's included (ARGS="-k slider" picks some; CHECKED=1 leaves out what `make check` ran)
	@sh scripts/environment.sh test
	@$(PY) -m tests.e2e.chromium
	@$(PY) scripts/test.py $(if $(CHECKED),$(addprefix --ignore=,$(SHAPES) $(RULES))) $(ARGS)

test-all: ## The tests, every browser test at every width and in both themes, and those of over a minute
	@DPPA_CASES=all DPPA_CHECK_CALLS=1 $(MAKE) test

check: ## Lint, format, types of Python and of the scripts, the rules of the architecture, shapes
	@sh scripts/environment.sh test
	@$(MAKE) --no-print-directory -j2 check-shapes check-types check-rules check-scripts

check-shapes:
	DPPA_CASES=one DPPA_CHECK_CALLS=1 $(PY) -m pytest -q $(SHAPES)

check-types:
	$(PY) -m mypy

check-rules:
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pytest -q $(RULES)

check-scripts:
	@sh scripts/node_tools.sh npm run --silent check

format: ## Let ruff rewrite what it can
	@sh scripts/environment.sh test
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: ## Measure on this machine: library, page, chat (ARGS=--json for one JSON object)
	@sh scripts/environment.sh test
	@$(PY) -m tests.e2e.chromium
	@$(PY) -m benchmarks $(ARGS)

bench-%: ## One benchmark, with its figures into docs/: engine ui browser chat chain cold load abuse (2 to 70 minutes; ARGS=--help)
	@sh scripts/environment.sh test
	@$(PY) -m tests.e2e.chromium
	@$(PY) -m benchmarks.$* --write $(ARGS)

bench-engine test-mergekit: mergekit
mergekit:
	@sh scripts/environment.sh test
	@sh scripts/mergekit.sh

space-check: ## Start the app as a Space would, in an environment of its own, and use it once
	@sh scripts/environment.sh test
	@$(PY) -m tests.e2e.chromium
	@$(PY) scripts/space_check.py $(ARGS)

test-mergekit: ## Merge tiny models of four families by mergekit itself and compare every weight; then in 16 bits, tokens, and recipes as people write them (10 minutes; ARGS=qwen2 takes one family)
	@$(PY) scripts/test_mergekit.py $(ARGS)
	@$(PY) scripts/test_mergekit_rounded.py $(ARGS)
	@$(PY) scripts/test_mergekit_tokens.py
	@$(PY) scripts/test_mergekit_recipes.py

test-cuda: ## Merge kernels and models on a CUDA device against the processor; they need such a device
	@sh scripts/environment.sh test
	@$(PY) -m pytest -q -rs tests/kernels/test_cuda.py tests/models/test_cuda_models.py $(ARGS)

fuzz: ## Try millions of bad headers, recipes, links and configurations (ARGS="recipe --runs 10000" tries less)
	@sh scripts/environment.sh test
	@sh scripts/atheris.sh
	@$(PY) -m tests.fuzz $(ARGS)

audit: ## Look up known weaknesses of the packages that are installed and of the oldest allowed
	@sh scripts/environment.sh test
	@$(PY) scripts/audit.py $(ARGS)

defences: ## Take away each defence in turn, in a copy, and see its test fail (ARGS="template" picks some)
	@sh scripts/environment.sh test
	@$(PY) -m scripts.defences $(ARGS)

lab: ## Install the laboratory, which trains and measures (then: make -C lab)
	@sh scripts/environment.sh app
	@$(PY) -m pip install --quiet --no-deps --disable-pip-version-check --editable lab

docs: ## Build the documentation site into out/site (open out/site/index.html)
	@sh scripts/environment.sh docs
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
	@echo "out/site/index.html"

living: ## Write living figures, a folder that any server of files can give out (ARGS=FOLDER; out/living)
	@sh scripts/environment.sh app
	@$(PY) -m scripts.living $(ARGS)

picture: ## Take pictures of every view into out/pictures, and renew those of docs/pictures (3 minutes)
	@sh scripts/environment.sh test
	@$(PY) -m tests.e2e.chromium
	@$(PY) scripts/picture.py

help: ## This list
	@grep -E '^[a-z%-]+:.*## ' Makefile | sed -E 's/^([a-z-]+)(%?):.*## (.*)/  make \1\2\t\3/' | expand -t 24
