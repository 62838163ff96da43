#!/usr/bin/env bash
# Generate the gRPC stubs into protos/gen with the pinned compiler (its stubs import on protobuf 5.29 to 7).
# `--check` fails when the committed stubs are stale.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=.cache/protoc/bin/python
if [ ! -x "$tool" ]; then
  python3 -m venv .cache/protoc
  PIP_CACHE_DIR=.cache/pip "$tool" -m pip install -q grpcio-tools==1.67.1 "setuptools<81"
fi
out=protos/gen
[ "${1:-}" = --check ] && out=$(mktemp -d)
mkdir -p "$out"
# The virtual path makes the Python package burnish_protos, since core owns the name `burnish`.
"$tool" -m grpc_tools.protoc -I"burnish_protos/trainer/v1=protos/burnish/trainer/v1" -I"google=protos/google" \
  --python_out="$out" --pyi_out="$out" --grpc_python_out="$out" burnish_protos/trainer/v1/trainer.proto
find "$out/burnish_protos" -type d -exec touch {}/__init__.py \;
if [ "${1:-}" = --check ]; then
  diff -r -x __pycache__ -x '*.egg-info' "$out" protos/gen || { echo "protos/gen is stale: run 'make protos'" >&2; exit 1; }
fi
