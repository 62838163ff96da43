#!/usr/bin/env bash
# Every static check side by side; prints only what failed.
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp -d); trap 'rm -rf "$out"' EXIT
declare -A checks=(
  [format]=".venv/bin/ruff format --check ."
  [lint]=".venv/bin/ruff check ."
  [types]=".venv/bin/mypy core/src services/curator/src services/trainer/src services/inference/src client/src"
  [imports]=".venv/bin/lint-imports --no-cache"
  [protos]="scripts/protos.sh --check"
)
for name in "${!checks[@]}"; do
  (${checks[$name]} >"$out/$name.log" 2>&1; echo $? >"$out/$name.rc") &
done
wait
failed=0
for name in "${!checks[@]}"; do
  if [ "$(cat "$out/$name.rc")" != 0 ]; then
    failed=1; echo "== $name: ${checks[$name]}"; cat "$out/$name.log"
  fi
done
[ $failed = 0 ] && echo "check: format, lint, types, imports, protos are clean"
exit $failed
