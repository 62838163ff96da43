"""Resolve the locks of a CUDA host (x86_64 Linux, Python 3.11) without installing them: requirements/{main,inference}-cuda.lock.

Run by scripts/lock.sh with .venv. pip is asked without its configuration, since the CPU wheel that many hosts are pointed at
has no pin on triton: resolved beside it, the locks had a triton that torch does not run with. A line has the hash of its wheel.
torch's own exact pins stand in each lock's head; tests/unit/deploy/test_cuda_locks.py compares them with its lines.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"
UNSET = ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT", "PIP_REQUIRE_HASHES")
TORCH = "torch==2.13.0"
VLLM = ["vllm==0.32.0", "minio==7.2.20", "pydantic-settings", "orjson==3.13.0"]
UNSLOTH = ["unsloth==2026.10.9", "unsloth_zoo==2026.10.9"]
# What Unsloth needs beside main.lock. Not xformers, which it lists: 0.0.35 does not load with this torch, and Unsloth runs without.
UNSLOTH_NEEDS = [
    *("tyro", "hf_transfer", "diffusers", "torchao", "cut_cross_entropy", "msgspec", "einops", "json5"),
    *("nest-asyncio", "structlog", "wheel", "pillow", "torchvision==0.28.0"),
]


def plain_environment() -> dict[str, str]:
    """For a pip that asks its index alone."""
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    return kept | {"PIP_CONFIG_FILE": os.devnull}


def resolve(*arguments: str) -> list[dict[str, Any]]:
    """pip's report of what it would install."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--dry-run",
            "--ignore-installed",
            "--report",
            report.name,
        ]
        subprocess.run([*command, *arguments], check=True, env=plain_environment())
        found: list[dict[str, Any]] = json.loads(Path(report.name).read_bytes())["install"]
    return found


def line_of(package: dict[str, Any]) -> str:
    about = package["metadata"]
    return f"{about['name']}=={about['version']} --hash=sha256:{package['download_info']['archive_info']['hashes']['sha256']}"


def exact_pins(packages: list[dict[str, Any]]) -> list[str]:
    """What torch asks for in one version only, on Linux."""
    (torch,) = (package["metadata"] for package in packages if package["metadata"]["name"] == "torch")
    needs = [Requirement(text) for text in torch["requires_dist"]]
    linux = [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return sorted(f"{need.name}{need.specifier}" for need in linux if str(need.specifier).startswith("=="))


def complaints(packages: list[dict[str, Any]]) -> list[str]:
    """What `pip check` would say of an environment of these packages."""
    there = {canonicalize_name(package["metadata"]["name"]): package["metadata"]["version"] for package in packages}
    said = []
    for package in packages:
        for need in map(Requirement, package["metadata"].get("requires_dist", [])):
            if need.marker is not None and not need.marker.evaluate({"extra": ""}):
                continue
            version = there.get(canonicalize_name(need.name))
            if version is None or not need.specifier.contains(version, prereleases=True):
                said.append(
                    f"{package['metadata']['name']} wants {need.name}{need.specifier}: {version or 'not there'}"
                )
    return sorted(set(said))


def write(name: str, what: str, packages: list[dict[str, Any]], pins: list[str]) -> None:
    lines = [
        f"# {what}",
        "# Resolved by scripts/cuda_locks.py for x86_64 Linux and Python 3.11.",
        f"# torch pins: {' '.join(pins)}",
    ]
    lines += sorted(map(line_of, packages), key=str.lower)
    (REQUIREMENTS / name).write_text("\n".join(lines) + "\n")


def main() -> None:
    inference = resolve(*VLLM)
    write("inference-cuda.lock", ".venv-inference on a host with an NVIDIA GPU.", inference, exact_pins(inference))
    ours = [line.partition(" ")[0] for line in (REQUIREMENTS / "main.lock").read_text().splitlines() if line[0] != "#"]
    known = {canonicalize_name(line.partition("==")[0]) for line in ours}
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join(line for line in ours if not line.startswith("certifi==")))
        constraints.flush()
        resolved = resolve("-c", constraints.name, TORCH, *UNSLOTH_NEEDS)
    own = resolve(
        "--no-deps", *UNSLOTH
    )  # with their needs it would not resolve: they want a certifi newer than some indexes serve
    added = [package for package in resolved if canonicalize_name(package["metadata"]["name"]) not in known]
    write(
        "main-cuda.lock",
        "On top of main.lock on a host with an NVIDIA GPU: torch, Unsloth and what they need.",
        [*added, *own],
        exact_pins(resolved),
    )
    for name, packages in (("main", [*resolved, *own, *resolve("--no-deps", *ours)]), ("inference", inference)):
        print(f"{name}: pip check would say:", *(complaints(packages) or ["nothing"]), sep="\n  ")


if __name__ == "__main__":
    main()
