#!/usr/bin/env bash
# `make secrets`: write .env from .env.example with fresh random credentials, readable by its owner only. Never overwrites one.
#   scripts/secrets.sh [FILE]      default: .env beside docker-compose.yml
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-.env}
umask 077
set -o noclobber

random() { head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'; } # twice as many hex characters as bytes

if [ -e "$target" ]; then
  echo "secrets: $target already exists and is not changed. To change credentials: docs/operations.md, Rotating credentials." >&2
  exit 1
fi
gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU ' || true) # with two or more, vLLM has the first and trainers have the others
while IFS= read -r line; do
  case $line in
    BURNISH_S3_ACCESS_KEY=) echo "$line$(random 10)" ;;
    BURNISH_TOKEN= | BURNISH_S3_SECRET_KEY= | BURNISH_POSTGRES_PASSWORD= | BURNISH_GRAFANA_PASSWORD=) echo "$line$(random 32)" ;;
    '#BURNISH_TRAINER_GPUS=0') if [ "$gpus" -ge 2 ]; then echo "BURNISH_TRAINER_GPUS=$(seq -s, 1 $((gpus - 1)))"; else echo "$line"; fi ;;
    *) echo "$line" ;;
  esac
done <.env.example >"$target"
echo "secrets: wrote $target (mode 0600). Next: docker compose up --wait"
