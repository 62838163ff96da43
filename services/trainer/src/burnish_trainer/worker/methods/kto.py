"""Kahneman-Tversky optimisation: raise answers with a thumb up, lower those with a thumb down; no pairs are needed.

Paper: Ethayarajh et al. 2024 (arXiv 2402.01306), equations 7 and 8.
When: what is there is single answers that were liked or not, as production logs have them, or far more wrong answers than
corrections. Weigh the rarer kind up by desirable_weight or undesirable_weight, so that weight x count is within 1 to 4/3 of
the other's. With pairs of one question DPO learns more from the same rows.
Memory: as SFT; each batch is read a second time without gradients, for the divergence. The reference is as in DPO, and kept as there.
Loss: weight * (1 - sigmoid(beta * +-(gain over the reference - divergence))), mean over rows; the divergence is the batch's
mean gain on prompts with another row's answer, never below 0, and carries no gradient.
"""

from __future__ import annotations

from typing import Any

from datasets import Dataset
from trl import KTOConfig, KTOTrainer  # type: ignore[attr-defined]  # trl exports lazily

from burnish.schemas.training.methods import KtoParams
from burnish_trainer.artifacts.reference_log_probabilities import LogProbabilities
from burnish_trainer.data.mismatch import mismatched
from burnish_trainer.data.tokens import EncodedRow, Example
from burnish_trainer.worker.context import Outcome, RunContext
from burnish_trainer.worker.loop.reference_pass import log_probabilities, no_second_reference
from burnish_trainer.worker.loop.training import loop_arguments, train


class Trainer(KTOTrainer):
    """TRL's, on rows that are token ids already, each with the answer it is mismatched with."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset


def run(ctx: RunContext, params: KtoParams) -> Outcome:
    rows = ctx.training_rows()
    size = ctx.spec.optimizer.batch_size
    train_rows, validation_rows = (
        list(zip(split, mismatched(split, size, rows.train), strict=True)) for split in (rows.in_order, rows.validation)
    )
    arguments = KTOConfig(  # made before the reference pass: it is what connects several processes
        **loop_arguments(ctx, rows),
        beta=params.beta,
        desirable_weight=params.desirable_weight,
        undesirable_weight=params.undesirable_weight,
        max_length=None,
        disable_dropout=not ctx.spec.lora.dropout,
    )
    model = ctx.load_model(params.initial_adapter)
    examples = [example for row, other in (*train_rows, *validation_rows) for example in (*row.examples, other)]
    reference = log_probabilities(ctx, model, examples, params.initial_adapter)
    with no_second_reference(model):
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list([_features(row, other, reference) for row, other in train_rows]),
            eval_dataset=Dataset.from_list([_features(row, other, reference) for row, other in validation_rows])
            if validation_rows
            else None,
            processing_class=ctx.tokenizer,
        )
    trainer.precompute_ref_logps = True  # they are in the rows; as an argument it would have TRL compute them again
    return train(trainer, rows.schedule, ctx)


def _features(row: EncodedRow, other: Example, reference: LogProbabilities) -> dict[str, Any]:
    (example,) = row.examples
    start = example.prompt_tokens
    return {
        "prompt_ids": list(row.prompt),
        "completion_ids": list(example.ids[start:]),
        "KL_completion_ids": list(other.ids[start:]),
        "label": row.label,
        "ref_logps": reference.of(example),
        "ref_KL_logps": reference.of(other),
    }
