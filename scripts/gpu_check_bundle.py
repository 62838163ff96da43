"""Make a folder with which `make gpu-check` runs on a CUDA machine without network: `gpu_check_bundle.py FOLDER [--python 3.12]`.

The machine has Python with torch (CUDA), numpy, pandas and pyarrow, which are too large to carry; the folder has the rest: our
sources, a tokenizer, and packages as main.lock pins them, of bitsandbytes only the library for the CUDA of the locks. At most 60 MB.
There: `sh FOLDER/run.sh`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
MODEL = REPOSITORY / ".cache/models/smollm2-135m-instruct"
LIMIT_BYTES = 60_000_000
SOURCES = (
    "core/src/burnish",
    "services/trainer/src/burnish_trainer",
    "services/inference/src/burnish_inference",
    "tests/gpu_check",
    "tests/lending",
)
FILES = (
    "tests/integration/trainer/training/runs.py",
    "tests/unit/trainer/made.py",
    "tests/gpu/trainer/one_run.py",
    "tests/unsloth_first.py",
)
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
# What the checks import beside the standard library and what the machine has; tests/integration/setup/test_gpu_check.py looks.
PACKAGES = [
    "accelerate",
    "aiohappyeyeballs",
    "aiohttp",
    "aiosignal",
    "annotated-doc",
    "annotated-types",
    "anyio",
    "argon2-cffi",
    "argon2-cffi-bindings",
    "attrs",
    "bitsandbytes",
    "certifi",
    "cffi",
    "charset-normalizer",
    "click",
    "datasets",
    "dill",
    "fastapi",
    "filelock",
    "frozenlist",
    "fsspec",
    "googleapis-common-protos",
    "h11",
    "hf-xet",
    "httpcore",
    "httptools",
    "httpx",
    "huggingface-hub",
    "idna",
    "Jinja2",
    "markdown-it-py",
    "MarkupSafe",
    "mdurl",
    "minio",
    "multidict",
    "multiprocess",
    "opentelemetry-api",
    "opentelemetry-exporter-otlp-proto-common",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-proto",
    "opentelemetry-sdk",
    "opentelemetry-semantic-conventions",
    "orjson",
    "packaging",
    "peft",
    "prometheus-client",
    "propcache",
    "protobuf",
    "psutil",
    "pycparser",
    "pycryptodome",
    "pydantic",
    "pydantic-core",
    "pydantic-settings",
    "Pygments",
    "python-dotenv",
    "PyYAML",
    "regex",
    "requests",
    "rich",
    "safetensors",
    "starlette",
    "tokenizers",
    "tqdm",
    "transformers",
    "trl",
    "typer",
    "typing-extensions",
    "typing-inspection",
    "urllib3",
    "uvicorn",
    "xxhash",
    "yarl",
]
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(39, 4, -1)] + [
    "manylinux2014_x86_64",
    "manylinux1_x86_64",
]
KEPT_LIBRARIES = ("libbitsandbytes_cpu.so", "libbitsandbytes_cuda130.so")
RUN = """#!/bin/sh
# Runs the checks with this machine's Python (PYTHON=…) and writes gpu-check.json beside this file. Options: sh run.sh --shapes 135M
set -e
here=$(cd "$(dirname "$0")" && pwd)
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
tar -xzf "$here/packages.tar.gz" -C "$packages"
PYTHONPATH="$here/src:$packages" HF_HUB_OFFLINE=1 TQDM_DISABLE=1 "${PYTHON:-python3}" -m gpu_check --tokenizer "$here/tokenizer" --out "$here/gpu-check.json" "$@"
"""


def pins() -> list[str]:
    """The lock's pins of the packages that are carried, without their hashes, since another Python has other wheels.

    KeyError for one that it does not have.
    """
    lock = (REPOSITORY / "requirements/main.lock").read_text()
    lines = [line.partition(" ")[0] for line in lock.splitlines() if not line.startswith("#")]
    named = {_canonical(line.partition("==")[0]): line for line in lines}
    return [named[_canonical(name)] for name in PACKAGES]


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-")


def packages(python: str, archive: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-compile", "--only-binary=:all:"]
        subprocess.run([*command, "--python-version", python, *platforms, "--target", name, *pins()], check=True)
        for library in (folder / "bitsandbytes").glob("libbitsandbytes_*"):
            if library.name not in KEPT_LIBRARIES:
                library.unlink()
        shutil.rmtree(folder / "Crypto/SelfTest", ignore_errors=True)
        with tarfile.open(archive, "w:gz") as packed:
            for path in sorted(folder.iterdir()):
                packed.add(path, path.name)


def sources(folder: Path) -> None:
    src = folder / "src"
    for source in SOURCES:
        shutil.copytree(REPOSITORY / source, src / Path(source).name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        target = src / file.removeprefix("tests/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / file, target)
    (folder / "tokenizer").mkdir()
    for file in TOKENIZER:
        shutil.copy(MODEL / file, folder / "tokenizer" / file)
    (folder / "run.sh").write_text(RUN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.12", help="of the machine: 3.11, 3.12, …")
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    sources(options.folder)
    packages(options.python, options.folder / "packages.tar.gz")
    size = sum(path.stat().st_size for path in options.folder.rglob("*") if path.is_file())
    print(f"gpu-check bundle: {options.folder}, {size / 1e6:.1f} MB; there: sh run.sh")
    if size > LIMIT_BYTES:
        sys.exit(f"it is larger than {LIMIT_BYTES / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
