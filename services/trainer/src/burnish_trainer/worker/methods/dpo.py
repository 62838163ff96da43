"""Direct preference optimisation: prefer each correction to the wrong answer that the model gave.

Paper: Rafailov et al. 2023 (arXiv 2305.18290), sigmoid loss.
When: the model knows the right answer and habitually gives another one; often after SFT, continuing its adapter.
Memory: as SFT with twice the rows a batch. The reference is the base, or the adapter that is continued; its
log-probabilities are computed once before the first step, so no second copy of anything is kept while training, and
kept for every later run on the same rows.
Loss: -log sigmoid(beta * (gain of chosen over the reference - gain of rejected)), in nats summed over the completion and its EOS.
"""

from __future__ import annotations

from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer  # type: ignore[attr-defined]  # trl exports lazily

from burnish.schemas.training.methods import DpoParams
from burnish_trainer.artifacts.reference_log_probabilities import LogProbabilities
from burnish_trainer.data.tokens import EncodedRow
from burnish_trainer.worker import kernels
from burnish_trainer.worker.context import Outcome, RunContext
from burnish_trainer.worker.kernels.trainer import PairLossTrainer
from burnish_trainer.worker.loop.reference_pass import log_probabilities, no_second_reference
from burnish_trainer.worker.loop.training import loop_arguments, train


def run(ctx: RunContext, params: DpoParams) -> Outcome:
    rows = ctx.training_rows()
    arguments = DPOConfig(  # made before the reference pass: it is what connects several processes
        **loop_arguments(ctx, rows),
        beta=params.beta,
        max_length=None,
        padding_free=False,
        disable_dropout=not ctx.spec.lora.dropout,
    )
    model = ctx.load_model(params.initial_adapter)
    fast = ctx.backend.name == "peft" and kernels.speed_up(model, ctx.device)
    trl_trainer: Any = PairLossTrainer if fast else DPOTrainer

    class Trainer(trl_trainer):  # type: ignore[misc]  # one of two bases
        """TRL's, on rows that are token ids already, with EOS last and nothing behind it, as SFT has them."""

        def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
            return dataset

    examples = [example for row in (*rows.train, *rows.validation) for example in row.examples]
    reference = log_probabilities(ctx, model, examples, params.initial_adapter, fast)
    train_rows, validation_rows = (
        [_features(row, reference) for row in split] for split in (rows.train, rows.validation)
    )
    with no_second_reference(model):
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list([train_rows[row] for row in rows.schedule.order]),
            eval_dataset=Dataset.from_list(validation_rows) if validation_rows else None,
            processing_class=ctx.tokenizer,
        )
    trainer.precompute_ref_logps = True  # they are in the rows; as an argument it would have TRL compute them again
    return train(trainer, rows.schedule, ctx)


def _features(row: EncodedRow, reference: LogProbabilities) -> dict[str, Any]:
    chosen, rejected = row.examples
    start = chosen.prompt_tokens
    return {
        "prompt_ids": list(row.prompt),
        "chosen_ids": list(chosen.ids[start:]),
        "rejected_ids": list(rejected.ids[start:]),
        "ref_chosen_logps": reference.of(chosen),
        "ref_rejected_logps": reference.of(rejected),
    }
