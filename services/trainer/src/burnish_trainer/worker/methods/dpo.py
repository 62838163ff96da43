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

from burnish.schemas.dataset import DpoRow
from burnish.schemas.job import JobSpec
from burnish.schemas.methods import DpoParams
from burnish_trainer.data.pairs import Pair, encode_pairs, plan_pairs
from burnish_trainer.worker.context import Outcome, RunContext
from burnish_trainer.worker.loop import reference_log_probabilities as references
from burnish_trainer.worker.loop.reference_log_probabilities import LogProbabilities


def run(spec: JobSpec, params: DpoParams, ctx: RunContext) -> Outcome:
    backend = ctx.backend.module()
    backend.prepare()

    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import DPOConfig, DPOTrainer  # type: ignore[attr-defined]  # trl exports lazily

    from burnish_trainer.worker import kernels
    from burnish_trainer.worker.kernels.trainer import PairLossTrainer
    from burnish_trainer.worker.loop.training import loop_arguments, train

    rows = ctx.rows(DpoRow)
    tokenizer: Any = AutoTokenizer.from_pretrained(str(ctx.base_model_folder), local_files_only=True)
    pairs = encode_pairs(tokenizer, rows, spec.optimizer.max_length)
    plan = plan_pairs(pairs.train, spec)
    ctx.check_stop()
    initial = ctx.fetch_adapter(params.initial_adapter) if params.initial_adapter else None
    arguments = DPOConfig(  # made before the reference pass: it is what connects several processes
        **loop_arguments(ctx, plan, bool(pairs.validation)),
        beta=params.beta,
        max_length=None,
        disable_dropout=not spec.lora.dropout,
    )
    model = ctx.load_model(backend, initial)
    fast = ctx.backend.name == "peft" and kernels.speed_up(model, ctx.device)
    trl_trainer: Any = PairLossTrainer if fast else DPOTrainer

    class Trainer(trl_trainer):  # type: ignore[misc]  # one of two bases
        """TRL's, on rows that are token ids already, with EOS last and nothing behind it, as SFT has them."""

        def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
            return dataset

    reference = references.log_probabilities(ctx, model, tokenizer, pairs.examples, params.initial_adapter, fast)
    train_rows, validation_rows = (
        [_features(pair, reference) for pair in split] for split in (pairs.train, pairs.validation)
    )
    with references.no_second_reference(model):
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list([train_rows[row] for row in plan.order]),
            eval_dataset=Dataset.from_list(validation_rows) if validation_rows else None,
            processing_class=tokenizer,
        )
    trainer.precompute_ref_logps = True  # they stand in the rows; as an argument it would have TRL compute them again
    return train(trainer, plan, ctx)


def _features(pair: Pair, reference: LogProbabilities) -> dict[str, Any]:
    start = pair.chosen.prompt_tokens
    return {
        "prompt_ids": list(pair.chosen.ids[:start]),
        "chosen_ids": list(pair.chosen.ids[start:]),
        "rejected_ids": list(pair.rejected.ids[start:]),
        "ref_chosen_logps": reference.of(pair.chosen),
        "ref_rejected_logps": reference.of(pair.rejected),
    }
