#!/usr/bin/env bash
# An environment of its own for lm-evaluation-harness (docs/lm-eval.md): about a minute and 950 MB, no torch. The second run does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.4.13
place=.cache/lm-eval
if [ "$(cat "$place/.version" 2>/dev/null)" = "$version" ]; then exit 0; fi
echo "lm-eval: making $place, log in .cache/logs/lm-eval.log"
mkdir -p .cache/logs
python3.11 -m venv --clear "$place"
"$place/bin/pip" install --disable-pip-version-check "lm_eval[api]==$version" transformers -e core >.cache/logs/lm-eval.log 2>&1
echo "$version" >"$place/.version"
