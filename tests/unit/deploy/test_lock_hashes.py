"""Every lock has the hash of every wheel, set-up and images install by them, and pip refuses a wheel with other bytes."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[3]
LOCKS = sorted((REPOSITORY / "requirements").glob("*.lock"))
INSTALLERS = [
    REPOSITORY / "scripts/setup.sh",
    REPOSITORY / "scripts/unsloth_env.sh",
    REPOSITORY / "scripts/hosted_env.sh",
    *sorted(REPOSITORY.glob("services/*/Dockerfile")),
]
HASHED = re.compile(r"\S+==\S+( --hash=sha256:[0-9a-f]{64})+")
PIP = re.compile(r"\bpip\b.* (install|wheel) .*-|^\s*(\[.*\] && )?install --")
OURS = re.compile(r"--no-index|--offline|--no-build-isolation")  # our own packages, built here by the locked setuptools


def lines(lock: Path) -> list[str]:
    return [line for line in lock.read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_line_has_its_hashes(lock: Path) -> None:
    assert lines(lock)
    assert [line for line in lines(lock) if not HASHED.fullmatch(line)] == []


@pytest.mark.parametrize("installer", INSTALLERS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_what_is_installed_is_installed_by_hash(installer: Path) -> None:
    """Each pip command: a lock by its hashes, or our own packages without an index."""
    text = re.sub(r"^\s*#.*\n", "", installer.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    commands = [one for one in re.split(r"&&|;|\n|\|\|", text) if PIP.search(one)]
    commands = [
        one for one in commands if "--dry-run" not in one and '"$@"' not in one
    ]  # the function `install` itself
    assert commands
    assert [one for one in commands if not ("--require-hashes" in one or OURS.search(one))] == []
    assert all("--no-deps" in one for one in commands if "pip" in one)


def test_the_plugin_has_the_versions_that_were_resolved_with_vllm() -> None:
    versions = [
        {
            canonicalize_name(line.partition("==")[0]): line.split()[0]
            for line in lines(REPOSITORY / "requirements" / lock)
        }
        for lock in ("inference-plugin.lock", "inference-cuda.lock")
    ]
    plugin, cuda = versions
    assert plugin == {name: cuda[name] for name in plugin}


def test_a_wheel_with_another_byte_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
        archive.writestr("tiny.py", "right = True\n")
    lock = tmp_path / "tiny.lock"
    lock.write_text(f"tiny==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-index",
        "--find-links",
        str(tmp_path),
        "--target",
        str(tmp_path / "there"),
    ]
    command += ["--no-cache-dir", "--no-deps", "--require-hashes", "-r", str(lock)]
    assert subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 0
    changed = bytearray(wheel.read_bytes())
    changed[changed.index(b"right") + 8] ^= 1
    wheel.write_bytes(changed)
    refused = subprocess.run([*command, "--upgrade"], capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr
