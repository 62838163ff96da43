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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from burnish.schemas.dataset import KtoRow
from burnish.schemas.job import JobSpec
from burnish.schemas.methods import KtoParams
from burnish_trainer.data.batches import Plan, make_plan
from burnish_trainer.data.tokens import Example, Tokenizer, check, encode
from burnish_trainer.worker.context import Outcome, RunContext
from burnish_trainer.worker.loop import reference_log_probabilities as references
from burnish_trainer.worker.loop.reference_log_probabilities import LogProbabilities


@dataclass(frozen=True)
class Judged:
    """A row as token ids; label: whether its answer is wanted."""

    example: Example
    label: bool

    @property
    def prompt(self) -> tuple[int, ...]:
        return self.example.ids[: self.example.prompt_tokens]


@dataclass(frozen=True)
class Mismatched:
    """A row, and its prompt with another row's answer."""

    row: Judged
    other: Example


def run(spec: JobSpec, params: KtoParams, ctx: RunContext) -> Outcome:
    backend = ctx.backend.module()
    backend.prepare()

    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import KTOConfig, KTOTrainer  # type: ignore[attr-defined]  # trl exports lazily

    from burnish_trainer.worker.loop.training import loop_arguments, train

    class Trainer(KTOTrainer):
        """TRL's, on rows that are token ids already, each with the answer it is mismatched with."""

        def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
            return dataset

    rows = ctx.rows(KtoRow)
    tokenizer: Any = AutoTokenizer.from_pretrained(str(ctx.base_model_folder), local_files_only=True)
    judged, validation = ([_judged(tokenizer, row) for row in split] for split in (rows.train, rows.validation))
    check([row.example for row in (*judged, *validation)], spec.optimizer.max_length)
    plan = plan_rows(judged, spec)
    ctx.check_stop()
    size = spec.optimizer.batch_size
    train_rows = mismatched([judged[row] for row in plan.order], size, judged)
    validation_rows = mismatched(validation, size, judged)
    initial = ctx.fetch_adapter(params.initial_adapter) if params.initial_adapter else None
    arguments = KTOConfig(  # made before the reference pass: it is what connects several processes
        **loop_arguments(ctx, plan, bool(validation)),
        beta=params.beta,
        desirable_weight=params.desirable_weight,
        undesirable_weight=params.undesirable_weight,
        max_length=None,
        disable_dropout=not spec.lora.dropout,
    )
    model = ctx.load_model(backend, initial)
    examples = [example for row in (*train_rows, *validation_rows) for example in (row.row.example, row.other)]
    reference = references.log_probabilities(ctx, model, tokenizer, examples, params.initial_adapter)
    with references.no_second_reference(model):
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list([_features(row, reference) for row in train_rows]),
            eval_dataset=Dataset.from_list([_features(row, reference) for row in validation_rows])
            if validation_rows
            else None,
            processing_class=tokenizer,
        )
    trainer.precompute_ref_logps = True  # they stand in the rows; as an argument it would have TRL compute them again
    return train(trainer, plan, ctx)


def plan_rows(rows: Sequence[Judged], spec: JobSpec) -> Plan:
    """Rows meet by the length of their prompt: by that of the whole row, steps would be all up or all down.

    A row counts twice: it is read with its own answer and with another's.
    """
    plan = make_plan(
        [row.example.prompt_tokens for row in rows],
        [row.example.trained_tokens for row in rows],
        spec.optimizer,
        spec.seed,
        spec.device_count,
    )
    return replace(plan, row_tokens=tuple(2 * len(row.example.ids) for row in rows))


def mismatched(rows: Sequence[Judged], batch_size: int, others: Sequence[Judged]) -> list[Mismatched]:
    """Each row with the answer of another one of its device batch, by one rotation, so that a batch's answers are the same set both ways.

    The first rotation that gives the fewest rows an answer to their own prompt. A last batch of one row takes its answer
    from `others`.
    """
    result: list[Mismatched] = []
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        turned = _turned(batch) if len(batch) > 1 else [_stranger(batch[0], others)]
        result += [Mismatched(row, _answered(row, other)) for row, other in zip(batch, turned, strict=True)]
    return result


def _turned(batch: Sequence[Judged]) -> list[Judged]:
    rotations = ([*batch[-turn:], *batch[:-turn]] for turn in range(1, len(batch)))
    return min(rotations, key=lambda turned: sum(a.prompt == b.prompt for a, b in zip(batch, turned, strict=True)))


def _stranger(row: Judged, others: Iterable[Judged]) -> Judged:
    return next((other for other in others if other.prompt != row.prompt), row)


def _answered(row: Judged, other: Judged) -> Example:
    answer = other.example.ids[other.example.prompt_tokens :]
    return row.example.model_copy(update={"ids": row.prompt + answer})


def _judged(tokenizer: Tokenizer, row: KtoRow) -> Judged:
    return Judged(encode(tokenizer, row.question_id, row.prompt, row.completion), row.label)


def _features(row: Mismatched, reference: LogProbabilities) -> dict[str, Any]:
    start = row.other.prompt_tokens
    return {
        "prompt_ids": list(row.row.prompt),
        "completion_ids": list(row.row.example.ids[start:]),
        "KL_completion_ids": list(row.other.ids[start:]),
        "label": row.row.label,
        "ref_logps": reference.of(row.row.example),
        "ref_KL_logps": reference.of(row.other),
    }
