"""A pytest plugin (`-p unsloth_first`): imports Unsloth before anything that it patches. `make test-unsloth`, tests/gpu.

On a machine without a GPU it takes Unsloth's CUDA branch (`UNSLOTH_ALLOW_CPU=1`) and then has TRL's trainers and their configs
rewritten as on a GPU, which Unsloth leaves out there (2026.10.9, models/rl.py:PatchFastRL, _gpu_init.py).
"""

from __future__ import annotations

import os
import tempfile

import pytest
import torch

os.environ.setdefault("UNSLOTH_COMPILE_LOCATION", tempfile.mkdtemp(prefix="unsloth-"))
ON_CPU = not torch.cuda.is_available()
if ON_CPU:
    os.environ["UNSLOTH_ALLOW_CPU"] = "1"

from burnish_trainer.worker.backends import unsloth  # noqa: E402

unsloth.prepare()

if ON_CPU:
    from unsloth.models.llama import FastLlamaModel
    from unsloth.models.rl import PatchFastRL
    from unsloth.trainer import _patch_trl_trainer

    del os.environ["UNSLOTH_ALLOW_CPU"]
    PatchFastRL(FastLanguageModel=FastLlamaModel)
    _patch_trl_trainer()
    os.environ["UNSLOTH_ALLOW_CPU"] = "1"

# Unsloth makes an fp16 run of one in fp32, which the worker refuses (loop/training.py:require_as_asked). On a GPU no run is in fp32.
IN_FP32 = (
    "test_the_loss_of_a_moved_policy_is_the_paper_s",
    "test_the_first_loss_is_likelihood_minus_log_odds",
    "test_eight_rows_at_once_equal_eight_steps_of_one",
    "test_the_first_loss_is_of_the_margin_per_token",
)
FILES = ("test_kto.py", "test_orpo.py", "test_sft.py", "test_simpo.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.name in IN_FP32 and item.path.name in FILES:
            item.add_marker(
                pytest.mark.xfail(reason="Unsloth changes fp32 to fp16, and the worker says so", strict=True)
            )
