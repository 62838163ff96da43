"""Direct preference optimisation: prefer each correction to the wrong answer that the model gave.

Paper: Rafailov et al. 2023 (arXiv 2305.18290), sigmoid loss.
When: the model knows the right answer and habitually gives another one; often after SFT, continuing its adapter.
Memory: as SFT with twice the rows a batch. The reference is the base, or the adapter that is continued; its
log-probabilities are computed once before the first step, so no second copy of anything is kept while training.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from burnish.schemas.base import Frozen
from burnish.schemas.dataset import DatasetFormat, DpoRow
from burnish_trainer.context import Outcome, RunContext
from burnish_trainer.order import make_plan
from burnish_trainer.spec import JobSpec, VersionRef
from burnish_trainer.tokens import Example, Tokenizer, check, encode

FORMAT: DatasetFormat = "dpo"
REFERENCE = True
LEARNING_RATE = 5e-5


class Params(Frozen):
    """beta: how dearly leaving the reference is paid for. initial_adapter: continue it; it is the reference then."""

    beta: float = Field(default=0.1, gt=0, le=100)
    initial_adapter: VersionRef | None = None


def run(spec: JobSpec, params: Params, ctx: RunContext) -> Outcome:
    backend = ctx.backend.module()
    backend.prepare()

    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import DPOConfig, DPOTrainer  # type: ignore[attr-defined]  # trl exports lazily

    from burnish_trainer.training import loop_arguments, loop_precision, train

    rows = ctx.rows(DpoRow)
    tokenizer = AutoTokenizer.from_pretrained(str(ctx.base_model_folder), local_files_only=True)
    chosen, rejected = zip(*(_encode_pair(tokenizer, row) for row in rows.train), strict=True)
    validation = [example for row in rows.validation for example in _encode_pair(tokenizer, row)]
    check([*chosen, *rejected, *validation], spec.optimizer.max_length)
    plan = make_plan(
        [len(good.ids) + len(bad.ids) for good, bad in zip(chosen, rejected, strict=True)],
        [good.trained_tokens + bad.trained_tokens for good, bad in zip(chosen, rejected, strict=True)],
        spec.optimizer,
        spec.seed,
    )
    ctx.check_stop()
    initial = ctx.fetch_adapter(params.initial_adapter) if params.initial_adapter else None
    used = sorted(set(plan.order))
    arguments = DPOConfig(
        **loop_arguments(ctx, plan, bool(rows.validation)),
        beta=params.beta,
        max_length=None,
        precompute_ref_log_probs=True,
    )
    model = backend.load(ctx.model_request(initial))
    with loop_precision(model, ctx):  # else the reference is computed in another precision than the policy
        trainer = DPOTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list([_features(rows.train[row]) for row in used]),
            eval_dataset=Dataset.from_list([_features(row) for row in rows.validation]) if rows.validation else None,
            processing_class=tokenizer,
        )
    model.delete_adapter("ref")  # has given its log-probabilities; else it would be saved with every checkpoint
    position = {row: index for index, row in enumerate(used)}
    pairs: Any = trainer.train_dataset
    trainer.train_dataset = pairs.select([position[row] for row in plan.order])
    return train(trainer, plan, ctx)


def _encode_pair(tokenizer: Tokenizer, row: DpoRow) -> tuple[Example, Example]:
    return (
        encode(tokenizer, row.question_id, row.prompt, row.chosen),
        encode(tokenizer, row.question_id, row.prompt, row.rejected),
    )


def _features(row: DpoRow) -> dict[str, list[dict[str, str]]]:
    return {
        "prompt": [message.model_dump() for message in row.prompt],
        "chosen": [message.model_dump() for message in row.chosen],
        "rejected": [message.model_dump() for message in row.rejected],
    }
