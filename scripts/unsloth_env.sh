#!/usr/bin/env bash
# .cache/unsloth: Unsloth and what it needs beside .venv's packages, on a CPU, for `make test-unsloth`. The second run does nothing.
# Of requirements/main-cuda.lock it leaves out torch, torchvision and the CUDA libraries: .venv has torch's CPU build.
set -euo pipefail
cd "$(dirname "$0")/.."
place=.cache/unsloth
stamp=$(cat requirements/main.lock requirements/main-cuda.lock scripts/unsloth_env.sh | sha256sum | cut -c1-64)
if [ "$(cat "$place/.stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi
echo "unsloth: making $place, log in .cache/logs/unsloth.log"
mkdir -p .cache/logs
.venv/bin/python -m venv --clear "$place"
packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "import site; site.addsitedir('$packages')" >"$("$place/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/burnish-main.pth"
grep -vE '^(#|torch==|torchvision==|nvidia-|cuda-)' requirements/main-cuda.lock >"$place/requirements.txt"
"$place/bin/pip" install --disable-pip-version-check --no-compile --no-deps --require-hashes -r "$place/requirements.txt" >.cache/logs/unsloth.log 2>&1
echo "$stamp" >"$place/.stamp"
