"""The locks of the images are fresh and enough, and a service imports no more than it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[3]
SCRIPT = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "huggingface_hub":
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Block())
import burnish_curator.main, burnish_curator.app
"""


def test_the_locks_of_the_images_are_fresh() -> None:
    script = str(REPO / "scripts/service_locks.py")
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_curator_starts_without_what_its_image_leaves_out() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_inference_server_imports_neither_torch_nor_vllm() -> None:
    code = "import sys, burnish_inference.main, burnish_inference.vllm_cpu_lora; print([m for m in ('torch', 'vllm', 'transformers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
