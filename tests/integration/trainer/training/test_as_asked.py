"""The worker trains by the arguments that the job states, or not at all: read from TRL's own trainer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from trl import SFTConfig  # type: ignore[attr-defined]

from burnish.errors import InternalError
from burnish_trainer.worker.loop import training

pytestmark = pytest.mark.model


def config(folder: Path, ctx: Any, **changes: Any) -> SFTConfig:
    asked = training.result_arguments(ctx) | {"padding_free": False, "use_cpu": True, "output_dir": str(folder)}
    return SFTConfig(**asked | changes)


@pytest.fixture
def ctx() -> Any:
    optimizer = SimpleNamespace(learning_rate=1e-4, warmup_share=0.1, batch_size=4, gradient_accumulation_steps=2)
    spec = SimpleNamespace(optimizer=optimizer, seed=7)
    return SimpleNamespace(spec=spec, dtype="bfloat16", device="cpu", backend=SimpleNamespace(name="unsloth"))


def test_what_the_job_asks_for_passes(tmp_path: Path, ctx: Any) -> None:
    training.require_as_asked(SimpleNamespace(args=config(tmp_path, ctx), padding_free=False), ctx)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"optim": "adamw_8bit"}, "optim is .* and not 'adamw_torch_fused'"),
        ({"weight_decay": 0.001}, "weight_decay is 0.001 and not 0.0"),
        ({"gradient_checkpointing": True}, "gradient_checkpointing is True and not False"),
        ({"bf16": False}, "bf16 is False and not True"),
        ({"seed": 3407}, "seed is 3407 and not 7"),
    ],
)
def test_any_other_is_refused(tmp_path: Path, ctx: Any, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InternalError, match=f"unsloth backend changed what the job asks for: {said}"):
        training.require_as_asked(SimpleNamespace(args=config(tmp_path, ctx, **changes)), ctx)  # type: ignore[arg-type]


def test_rows_that_the_trainer_itself_made_padding_free_are_refused(tmp_path: Path, ctx: Any) -> None:
    with pytest.raises(InternalError, match="padding_free is True"):
        training.require_as_asked(SimpleNamespace(args=config(tmp_path, ctx), padding_free=True), ctx)  # type: ignore[arg-type]
