# `make demo` does the main job, `make test` passes the tests; both set everything up first.
.PHONY: demo test test-containers test-unsloth gpu-check gpu-check-bundle setup check format protos bench bench-clusters bench-lists bench-paraphrases bench-review bench-eval bench-verdict bench-train bench-rate bench-families bench-demo chaos chaos-lease hostile lm-eval secrets up down clean
PY := .venv/bin/python
export HF_HUB_OFFLINE := 1
export OMP_WAIT_POLICY := PASSIVE
# Empty: bytecode is kept also where the environment forbids it, else each process compiles torch and its kin anew (16 s, not 7).
export PYTHONDONTWRITEBYTECODE :=
# A worker a core, at most four, since each may hold a model; tests/conftest.py says what stays together and what goes first.
SIDE_BY_SIDE := -n logical --maxprocesses 4 --dist loadscope --no-loadscope-reorder

demo: setup ## the main job on a real model: failures → adapter → verdict (ARGS="--seed 7")
	.venv/bin/burnish demo $(ARGS)

test: setup ## every test but those of the containers, groups of like parts side by side (ARGS="tests/unit": only those)
ifdef ARGS
	$(PY) -m pytest $(ARGS)
else
	OMP_NUM_THREADS=1 $(PY) -m pytest $(SIDE_BY_SIDE) --ignore=tests/e2e/compose tests
endif

test-containers: setup ## the compose stack: images, the loop, TLS and Postgres; skipped if no Docker engine answers
	$(PY) -m pytest tests/e2e/compose

test-unsloth: setup ## the training methods under Unsloth's rewrite of TRL, on the CPU, in an environment of its own (300 MB)
	scripts/unsloth_env.sh
	PYTHONPATH=tests OMP_NUM_THREADS=1 .cache/unsloth/bin/python -m pytest -p unsloth_first tests/integration/trainer/training tests/integration/setup/test_gpu_check.py::test_unsloth_beside_peft $(ARGS)

gpu-check: setup ## what the trainer does on this machine's GPU, measured (docs/gpu-host.md; ARGS="--shapes 135M")
	PYTHONPATH=tests $(PY) -m gpu_check $(ARGS)

gpu-check-bundle: setup ## the same as a folder for a CUDA machine without network: .cache/gpu-check (ARGS="--python 3.12")
	$(PY) scripts/gpu_check_bundle.py .cache/gpu-check $(ARGS)

setup: ## the environments and the base model; does nothing the second time
	@scripts/setup.sh

check: setup ## format, lint, types, import rules, stubs: in parallel, quiet unless red
	@scripts/check.sh

format: setup
	.venv/bin/ruff format . && .venv/bin/ruff check --fix .

protos: ## regenerate the gRPC stubs
	scripts/protos.sh

bench: setup ## the measurements behind the numbers in the docs
	$(PY) tests/bench/bench_runlog.py
	PYTHONPATH=tests .venv-inference/bin/python tests/bench/bench_proxy.py --concurrency 1 4 --limit-ms 5
	$(PY) tests/bench/bench_estimate.py --only sft --limit 0.25
	PYTHONPATH=tests $(PY) tests/bench/bench_queue.py

bench-review: setup ## how long a reviewer waits in a run log of 500,000 lines
	$(PY) tests/bench/bench_review.py $(ARGS)

bench-eval: setup ## the eval client's speed beside its endpoint's best and a transformers loop
	$(PY) tests/bench/bench_eval.py $(ARGS)

bench-clusters: setup ## how well and how fast failures without labels are clustered, against the bars
	PYTHONPATH=tests $(PY) tests/bench/bench_clusters.py $(ARGS)

bench-lists: setup ## how long the first list of 2,000 dataset versions takes
	$(PY) tests/bench/bench_lists.py $(ARGS)

bench-paraphrases: setup ## how well paraphrases of benchmark questions are told from questions that only look so, and how fast
	PYTHONPATH=tests $(PY) tests/bench/bench_paraphrases.py $(ARGS)

bench-verdict: setup ## how often the verdict is wrong, on simulated experiments; writes docs/verdict-error-rates.md
	$(PY) tests/bench/bench_verdict.py $(ARGS)

bench-train: setup ## training speed beside two plain TRL scripts; writes the table of docs/training-speed.md
	$(PY) tests/bench/bench_train.py $(ARGS)

bench-families: setup ## six model families at tiny size through the whole loop to vLLM; writes the table of docs/models.md
	PYTHONPATH=tests $(PY) tests/bench/bench_families.py $(ARGS)

bench-demo: setup ## the demo over ten seeds; writes docs/demo-seeds.csv (ARGS="--seeds 0 7")
	$(PY) tests/bench/bench_demo.py $(ARGS)

bench-rate: setup ## SFT's default learning rate on four made data sets; writes docs/learning-rate.csv (docs/training.md)
	PYTHONPATH=tests $(PY) tests/bench/bench_learning_rate.py $(ARGS)

chaos: setup ## one training job killed thirty times at random moments, and what it ends with (ARGS="--kills 60 --seed 7")
	PYTHONPATH=tests $(PY) -m bench.chaos_run $(ARGS)

chaos-lease: setup ## every process killed at each phase of lending the GPU, a scripted vLLM in its place (ARGS="--only waking")
	PYTHONPATH=tests $(PY) -m lending.chaos $(ARGS)

hostile: setup ## hostile calls, races, slow senders, kills and fuzzing against a stack of its own, 15 minutes (ARGS="--seed 7")
	PYTHONPATH=tests $(PY) -m hostile.round $(ARGS)

lm-eval: ## an environment for lm-evaluation-harness (docs/lm-eval.md); its tests are skipped without it
	scripts/lm_eval.sh

secrets: ## .env with fresh random credentials for the compose stack; refuses to overwrite one
	@scripts/secrets.sh

up: ## build and start the compose stack, and wait until it is healthy (files and profiles: .env)
	BURNISH_REVISION=$$(git rev-parse HEAD 2>/dev/null) docker compose up --build --wait

down: ## end the compose stack; its volumes stay
	docker compose down

clean: ## everything that set-up made
	rm -rf .venv .venv-hosted .venv-inference .cache
