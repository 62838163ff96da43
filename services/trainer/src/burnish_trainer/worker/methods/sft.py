"""Supervised fine-tuning: raise the likelihood of each correction, given its prompt.

Paper: Hu et al. 2021, LoRA (arXiv 2106.09685); with 4 bits Dettmers et al. 2023, QLoRA (arXiv 2305.14314).
When: the right answer is known, which is the usual case for a reviewed failure cluster. Anchor rows keep the rest put.
Memory: the base's weights (NF4: a quarter), the adapter three times in fp32, and the activations of one batch.
Loss: mean over the completion's tokens and its EOS; the prompt carries none.
"""

from __future__ import annotations

from typing import Any

from burnish.schemas.dataset import SftRow
from burnish.schemas.job import JobSpec
from burnish.schemas.methods import SftParams
from burnish_trainer.data.batches import make_plan
from burnish_trainer.data.tokens import Example, check, encode
from burnish_trainer.worker.context import Outcome, RunContext


def run(spec: JobSpec, params: SftParams, ctx: RunContext) -> Outcome:
    backend = ctx.backend.module()
    backend.prepare()

    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer  # type: ignore[attr-defined]  # trl exports lazily

    from burnish_trainer.worker import kernels
    from burnish_trainer.worker.kernels.trainer import LabelLossTrainer
    from burnish_trainer.worker.loop.training import loop_arguments, train

    rows = ctx.rows(SftRow)
    tokenizer: Any = AutoTokenizer.from_pretrained(str(ctx.base_model_folder), local_files_only=True)
    examples = [encode(tokenizer, row.question_id, row.prompt, row.completion) for row in rows.train]
    validation = [encode(tokenizer, row.question_id, row.prompt, row.completion) for row in rows.validation]
    check(examples + validation, spec.optimizer.max_length)
    plan = make_plan(
        [len(example.ids) for example in examples],
        [example.trained_tokens for example in examples],
        spec.optimizer,
        spec.seed,
        spec.device_count,
    )
    ctx.check_stop()
    model = ctx.load_model(backend)
    trainer_class: type[SFTTrainer] = SFTTrainer
    loss: dict[str, Any] = {}
    if ctx.backend.name == "peft" and kernels.speed_up(model, ctx.device):
        trainer_class, loss = LabelLossTrainer, {"loss_type": "nll"}
    trainer = trainer_class(
        model=model,
        args=SFTConfig(**loop_arguments(ctx, plan, bool(validation)), **loss, max_length=None),
        train_dataset=Dataset.from_list([_features(examples[row]) for row in plan.order]),
        eval_dataset=Dataset.from_list([_features(example) for example in validation]) if validation else None,
        processing_class=tokenizer,
    )
    return train(trainer, plan, ctx)


def _features(example: Example) -> dict[str, list[int]]:
    return {"input_ids": list(example.ids), "labels": example.labels}
