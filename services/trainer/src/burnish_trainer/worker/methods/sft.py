"""Supervised fine-tuning: raise the likelihood of each correction, given its prompt.

Paper: Hu et al. 2021, LoRA (arXiv 2106.09685); with 4 bits Dettmers et al. 2023, QLoRA (arXiv 2305.14314).
When: the right answer is known, which is the usual case for a reviewed failure cluster. Anchor rows keep the rest put.
Memory: the base's weights (NF4: a quarter), the adapter three times in fp32, and the activations of one batch.
Loss: mean over the completion's tokens and its EOS; the prompt carries none.
"""

from __future__ import annotations

from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer  # type: ignore[attr-defined]  # trl exports lazily

from burnish.schemas.training.methods import SftParams
from burnish_trainer.data.tokens import EncodedRow
from burnish_trainer.worker import kernels
from burnish_trainer.worker.context import Outcome, RunContext
from burnish_trainer.worker.kernels.trainer import LabelLossTrainer
from burnish_trainer.worker.loop.training import loop_arguments, train


def run(ctx: RunContext, params: SftParams) -> Outcome:
    rows = ctx.training_rows()
    model = ctx.load_model()
    trainer_class: type[SFTTrainer] = SFTTrainer
    loss: dict[str, Any] = {}
    if ctx.backend.name == "peft" and kernels.speed_up(model, ctx.device):
        trainer_class, loss = LabelLossTrainer, {"loss_type": "nll"}
    trainer = trainer_class(
        model=model,
        args=SFTConfig(**loop_arguments(ctx, rows), **loss, max_length=None, padding_free=False),
        train_dataset=Dataset.from_list([_features(row) for row in rows.in_order]),
        eval_dataset=Dataset.from_list([_features(row) for row in rows.validation]) if rows.validation else None,
        processing_class=ctx.tokenizer,
    )
    return train(trainer, rows.schedule, ctx)


def _features(row: EncodedRow) -> dict[str, list[int]]:
    (example,) = row.examples
    return {"input_ids": list(example.ids), "labels": example.labels}
