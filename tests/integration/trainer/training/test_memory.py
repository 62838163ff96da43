"""What a worker on a CPU holds: it does not grow with each length of a step that it meets."""

from __future__ import annotations

import subprocess
import sys

import pytest

from burnish_trainer.executors.launch import base_environment
from burnish_trainer.hardware.machine import cpu_dtype

PRODUCTS = """
import re
import torch

torch.set_num_threads(1)


def held_megabytes():
    return int(re.findall(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[0]) / 1e3


left = torch.randn(1200, 1536).bfloat16()
weights = [torch.randn(outputs, inputs).bfloat16() for inputs, outputs in ((576, 576), (576, 192), (576, 1536), (1536, 576))]
before = held_megabytes()
for tokens in range(800, 1200, 5):
    for weight in weights:
        rows = left[:tokens, : weight.shape[1]].contiguous()
        out = rows @ weight.T
        out @ weight
        out.T @ rows
print(held_megabytes() - before)
"""


@pytest.mark.skipif(
    cpu_dtype() == "float32",
    reason="a processor without products in bfloat16 trains in float32, whose products keep nothing",
)
def test_products_of_other_lengths_are_not_kept() -> None:
    """80 lengths grew by 740 MB, and a run has hundreds; the products of one step and of the next few may stay."""
    command = [sys.executable, "-c", PRODUCTS]
    done = subprocess.run(command, env=base_environment(), capture_output=True, text=True, check=True)
    assert float(done.stdout) < 350
