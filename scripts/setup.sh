#!/usr/bin/env bash
# Set Burnish up in this clone: two virtual environments (the training stack and vLLM pin torch and transformers apart), a small one
# beside the first (the providers' SDKs pin a few more apart), and the base model folder. A second run finds its stamps and does nothing.
#   scripts/setup.sh           do it
#   scripts/setup.sh --plan    say what would be done, and whether the index has the right torch, and do nothing
# BURNISH_DEVICE=auto|cpu|cuda   which builds; auto asks nvidia-smi
# BURNISH_PYTHON=python3.11      which interpreter makes the environments
set -euo pipefail
cd "$(dirname "$0")/.."

TORCH=$(sed -n 's/^torch==\([^ ]*\).*/\1/p' requirements/torch-cpu.lock)
MODEL=.cache/models/smollm2-135m-instruct
LOGS=.cache/logs
export PIP_CACHE_DIR="$PWD/.cache/pip" PIP_DISABLE_PIP_VERSION_CHECK=1

say() { echo "setup: $*"; }
die() { echo "setup: error: $*" >&2; exit 1; }

find_python() {
  local candidate
  for candidate in "${BURNISH_PYTHON:-}" python3.11 python3; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
    "$candidate" -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && { command -v "$candidate"; return; }
    [ "$candidate" = "${BURNISH_PYTHON:-}" ] && die "BURNISH_PYTHON=$candidate is not Python 3.11 with the venv module"
  done
  die "Python 3.11 is needed (the lock files are made for it). Install python3.11 and python3.11-venv, or set BURNISH_PYTHON to one"
}

# Sets DEVICE, and WHY in words.
choose_device() {
  case "${BURNISH_DEVICE:-auto}" in
    cpu|cuda) DEVICE=$BURNISH_DEVICE WHY="BURNISH_DEVICE=$BURNISH_DEVICE" ;;
    auto) if nvidia-smi -L 2>/dev/null | grep -q GPU; then DEVICE=cuda WHY="nvidia-smi lists a GPU; BURNISH_DEVICE=cpu overrides"
          else DEVICE=cpu WHY="no NVIDIA GPU here; BURNISH_DEVICE=cuda overrides"; fi ;;
    *) die "BURNISH_DEVICE=$BURNISH_DEVICE: use auto, cpu or cuda" ;;
  esac
}

# One digest over everything an environment is made from: when it changes, the environment is brought up to date.
stamp_of() { (echo "$DEVICE $PYTHON"; cat "$@" requirements/torch-cpu.lock scripts/setup.sh) | sha256sum | cut -c1-64; }
is_stamped() { [ "$(cat "$1/burnish-setup.stamp" 2>/dev/null)" = "$2" ]; }

# On a CPU host a plain index gives torch with CUDA (gigabytes). Ask the resolver before anything is downloaded.
check_torch_build() {
  [ "$DEVICE" = cpu ] || return 0
  local report; report=$(mktemp)
  "$1" -m pip install -q --dry-run --no-deps --ignore-installed --report "$report" "torch==$TORCH" >"$LOGS/setup-torch.log" 2>&1 ||
    die "torch==$TORCH cannot be had from the package index; see $LOGS/setup-torch.log"
  "$1" - "$report" <<'PY' || die "this host has no NVIDIA GPU, but the index would give torch==$TORCH in another build, mostly that with CUDA (several GB).
  Point pip at the CPU builds and run this again: set PIP_EXTRA_INDEX_URL to PyTorch's CPU wheel index (the address is on
  PyTorch's 'Get Started' page, compute platform CPU), or put the CPU wheel into a folder and set PIP_FIND_LINKS to it.
  If you do want the CUDA build here, set BURNISH_DEVICE=cuda."
import json, sys
sys.exit(not json.load(open(sys.argv[1]))["install"][0]["metadata"]["version"].endswith("+cpu"))
PY
  rm -f "$report"
}

make_venv() {
  [ -x "$1/bin/python" ] || "$PYTHON" -m venv "$1"
  "$1/bin/python" -m pip install -q --no-compile --no-deps --require-hashes -r requirements/build.lock
}

install_main() {
  make_venv .venv && check_torch_build .venv/bin/python
  [ "$DEVICE" = cuda ] || .venv/bin/pip install --no-compile --no-deps --require-hashes -r requirements/torch-cpu.lock
  .venv/bin/pip install --no-compile --no-deps --require-hashes -r requirements/main.lock
  if [ "$DEVICE" = cuda ]; then .venv/bin/pip install --no-compile --no-deps --require-hashes -r requirements/main-cuda.lock; fi # torch too
  .venv/bin/pip install --no-compile --no-deps --no-build-isolation -e core -e protos -e services/curator -e services/trainer -e services/inference -e client
  scripts/hosted_env.sh .venv-hosted .venv requirements/main.lock
  echo "$1" > .venv/burnish-setup.stamp
}

install_inference() {
  make_venv .venv-inference && check_torch_build .venv-inference/bin/python
  if [ "$DEVICE" = cuda ]; then
    .venv-inference/bin/pip install --no-compile --no-deps --require-hashes -r requirements/inference-cuda.lock # torch too
  else
    .venv-inference/bin/pip install --no-compile --no-deps --require-hashes -r requirements/torch-cpu.lock
    .venv-inference/bin/pip install --no-compile --no-deps --require-hashes -r requirements/inference-cpu.lock
    .venv-inference/bin/pip install --no-compile --no-deps --no-build-isolation ./services/inference/vllm-cpu-metadata
  fi
  .venv-inference/bin/pip install --no-compile --no-deps --no-build-isolation -e core -e services/inference
  echo "$1" > .venv-inference/burnish-setup.stamp
}

# Runs an install in the background with its output in a log; `await` names the log when it failed.
start() { "$1" "$2" >"$LOGS/setup-$1.log" 2>&1 & }
await() { wait "$1" || { grep -a "^setup: error" -A4 "$LOGS/setup-$2.log" >&2 || tail -n 15 "$LOGS/setup-$2.log" >&2; die "$2 failed; the whole log is $LOGS/setup-$2.log. Run 'make setup' again once it is mended"; }; }

main() {
  mkdir -p "$LOGS"
  PYTHON=$(find_python); choose_device
  local main_stamp inference_stamp main_pid="" inference_pid="" began=$SECONDS
  main_stamp=$(stamp_of requirements/main*.lock requirements/hosted.lock scripts/hosted_env.sh */pyproject.toml services/*/pyproject.toml)
  inference_stamp=$(stamp_of requirements/inference-*.lock core/pyproject.toml services/inference/pyproject.toml services/inference/vllm-cpu-metadata/pyproject.toml)
  if [ "${1:-}" = --plan ]; then
    say "$DEVICE builds ($WHY), with $PYTHON"
    is_stamped .venv "$main_stamp" && say ".venv is up to date" || say ".venv would be made or brought up to date"
    is_stamped .venv-inference "$inference_stamp" && say ".venv-inference is up to date" || say ".venv-inference would be made or brought up to date"
    check_torch_build "$PYTHON"; say "the index has torch==$TORCH as a $DEVICE host wants it"; return
  fi

  is_stamped .venv "$main_stamp" && is_stamped .venv-inference "$inference_stamp" || say "$DEVICE builds ($WHY); the first time takes 2 to 10 minutes"
  is_stamped .venv "$main_stamp" || { say "making .venv (core, client, curator, trainer) and .venv-hosted, log in $LOGS/setup-install_main.log"
    start install_main "$main_stamp"; main_pid=$!; }
  is_stamped .venv-inference "$inference_stamp" || { say "making .venv-inference (vLLM), log in $LOGS/setup-install_inference.log"
    start install_inference "$inference_stamp"; inference_pid=$!; }
  if [ -n "$main_pid" ]; then await "$main_pid" install_main; fi
  if [ -n "$inference_pid" ]; then await "$inference_pid" install_inference; fi
  HF_HUB_OFFLINE=1 OMP_WAIT_POLICY=PASSIVE .venv/bin/python scripts/base_model.py "$MODEL" >"$LOGS/setup-model.log" 2>&1 ||
    { tail -n 5 "$LOGS/setup-model.log" >&2; die "the base model could not be made; the whole log is $LOGS/setup-model.log"; }
  if [ -n "$main_pid$inference_pid" ]; then say "done in $((SECONDS - began)) s, $DEVICE builds, $(tail -n 1 "$LOGS/setup-model.log")"
  else say "everything is in place ($DEVICE builds)"; fi
}
main "$@"
