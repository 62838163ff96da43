"""Core must import with torch, gRPC, FastAPI and network clients blocked."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import burnish

BLOCKED = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "grpc",
    "fastapi",
    "starlette",
    "httpx",
    "requests",
    "uvicorn",
    "typer",
    "opentelemetry",
    "prometheus_client",
)

SCRIPT = """
import importlib, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Block())
for name in {modules!r}:
    importlib.import_module(name)
"""


def core_modules() -> list[str]:
    return [m.name for m in pkgutil.walk_packages(burnish.__path__, "burnish.")]


def test_every_core_module_imports_with_heavy_packages_blocked() -> None:
    modules = core_modules()
    assert len(modules) > 15
    script = SCRIPT.format(blocked=set(BLOCKED), modules=modules)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_else_of_core_needs_telemetry() -> None:
    others = [name for name in core_modules() if not name.startswith("burnish.telemetry")]
    script = SCRIPT.format(blocked={"none"}, modules=others) + "\nprint('burnish.telemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


def test_the_block_itself_bites() -> None:
    script = SCRIPT.format(blocked=set(BLOCKED), modules=["grpc"])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "grpc is blocked" in done.stderr
