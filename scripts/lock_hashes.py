"""Give each line of a CPU host's locks that has none the hashes of its wheels: requirements/{main,inference-cpu}.lock, in place.

Run by scripts/lock.sh with .venv. Linux on x86_64 and aarch64, Python 3.11; for what the CUDA inference image needs of them,
Python 3.12 too, which vLLM's image has. pip is asked without its configuration and downloads no wheels; what has no wheel for
a machine gets no hash of it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from cuda_locks import plain_environment
from service_locks import PLUGIN, REQUIREMENTS, canonical

LOCKS = ("main.lock", "inference-cpu.lock")
MACHINES = ("x86_64", "aarch64")
PYTHON, PYTHON_OF_VLLM = "3.11", "3.12"
GLIBC = ("2014", *(f"_2_{minor}" for minor in range(17, 36)))
MISSING = re.compile(r"No matching distribution found for (\S+)")


def wheel_hashes(pins: list[str], machine: str, python: str) -> dict[str, str]:
    """canonical name -> sha256 of the wheel that pip takes there. Those without one are left out."""
    platforms = [word for glibc in GLIBC for word in ("--platform", f"manylinux{glibc}_{machine}")]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--no-deps", "--ignore-installed"]
        command += ["--only-binary", ":all:", "--target", folder, "--python-version", python, *platforms]
        command += ["--report", str(report), *pins]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=plain_environment())
        if done.returncode == 0:
            found = json.loads(report.read_bytes())["install"]
            return {
                canonical(each["metadata"]["name"]): each["download_info"]["archive_info"]["hashes"]["sha256"]
                for each in found
            }
    missing = MISSING.search(done.stderr)
    if missing is None or missing[1] not in pins:
        sys.exit(f"pip gives no hashes for {machine}, Python {python}: {done.stderr[-2000:]}")
    print(f"{missing[1]} has no wheel for {machine}, Python {python}")
    return wheel_hashes([pin for pin in pins if pin != missing[1]], machine, python)


def with_hashes(lines: list[str]) -> list[str]:
    """The lines of a lock, each with its hashes; those that have some keep them. Raises SystemExit if one has no wheel at all."""
    pins = [line for line in lines if not line.startswith("#") and "--hash=" not in line]
    if not pins:
        return lines
    of_plugin = [pin for pin in pins if canonical(pin.partition("==")[0]) in PLUGIN]
    found = [wheel_hashes(pins, machine, PYTHON) for machine in MACHINES]
    found += [wheel_hashes(of_plugin, machine, PYTHON_OF_VLLM) for machine in MACHINES if of_plugin]
    hashes = {
        pin: sorted({each[name] for each in found if (name := canonical(pin.partition("==")[0])) in each})
        for pin in pins
    }
    if missing := [pin for pin, some in hashes.items() if not some]:
        sys.exit(f"no wheel for Linux, so no hash: {', '.join(missing)}")
    return [" ".join([line, *(f"--hash=sha256:{one}" for one in hashes.get(line, []))]) for line in lines]


def main() -> None:
    for name in LOCKS:
        path = REQUIREMENTS / name
        path.write_text("\n".join(with_hashes(path.read_text().splitlines())) + "\n")


if __name__ == "__main__":
    main()
