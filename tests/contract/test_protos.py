"""The proto compiles from what is in protos/ alone, as its docs say, so that any language can make a client."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

REPO = Path(__file__).parents[2]
COMPILER = REPO / ".cache/protoc/bin/python"


@pytest.mark.skipif(not COMPILER.exists(), reason="the pinned protoc is missing: scripts/protos.sh --check installs it")
def test_the_proto_compiles_by_itself(tmp_path: Path) -> None:
    out = tmp_path / "set.bin"
    flags = ["-I", "protos", f"--descriptor_set_out={out}", "--include_imports"]
    command = [str(COMPILER), "-m", "grpc_tools.protoc", *flags, "burnish/trainer/v1/trainer.proto"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    names = {file.name for file in FileDescriptorSet.FromString(out.read_bytes()).file}
    assert {"burnish/trainer/v1/trainer.proto", "google/rpc/status.proto"} <= names
