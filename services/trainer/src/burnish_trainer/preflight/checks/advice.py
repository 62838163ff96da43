"""What is merely unwise. Thresholds are at the top; docs/preflight.md gives their reasons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.training.hyperparameters import OptimizerSpec
from burnish.schemas.training.methods import METHODS, Method
from burnish.schemas.training.tuning import Finding
from burnish_trainer.data.rows import Records
from burnish_trainer.data.tokens import Example
from burnish_trainer.preflight.registry import finding

FEW_ROWS = 20
MANY_EPOCHS = 10.0
LEAST_PROMPTS = 20


def check_optimizer(method: Method, optimizer: OptimizerSpec, rows: int, steps: int) -> Iterable[Finding]:
    """rows: training rows; steps: of the whole run."""
    highest = METHODS[method].highest_learning_rate
    if optimizer.learning_rate > highest:
        yield finding(
            "learning-rate-high",
            f"optimizer.learning_rate {optimizer.learning_rate:g}: LoRA by {method} rarely bears more than {highest:g}",
        )
    epochs = steps * optimizer.rows_per_step / rows
    if epochs > MANY_EPOCHS:
        yield finding(
            "many-epochs",
            f"{steps} steps of {optimizer.rows_per_step} rows see each of the {rows} rows {epochs:.1f} times: after a few "
            "passes rows are learnt by heart. Lower optimizer.epochs or max_steps, or add rows",
        )
    if optimizer.rows_per_step > rows:
        yield finding(
            "batch-larger-than-rows",
            f"a step takes {optimizer.rows_per_step} rows and there are {rows}: some are in it twice. Lower "
            "optimizer.batch_size or gradient_accumulation_steps",
        )


def check_manifest(manifest: DatasetManifest) -> Iterable[Finding]:
    """What its build warned of: few replay rows, a verdict that is out of reach."""
    for warning in manifest.warnings:
        yield finding("dataset-warning", warning)


def check_amount(method: Method, records: Records) -> Iterable[Finding]:
    rows = len(records.train)
    if rows < FEW_ROWS:
        yield finding("few-rows", f"{rows} training rows: correct more failures, at least {FEW_ROWS}")
    if not records.validation:
        yield finding(
            "no-validation-rows",
            "the dataset has no validation rows: the last checkpoint is kept, not the best, and overfitting stays unseen. "
            "Build it with a validation_share above 0",
        )
    if method == "sft" and not any(record.source == "anchor" for record in records.train):
        yield finding(
            "no-anchors",
            "no anchor rows: what the model answers rightly today is not held in place. Build the dataset with an "
            "anchor_ratio above 0",
        )


def check_prompt_lengths(examples: Sequence[Example]) -> Iterable[Finding]:
    """examples: one a training row."""
    lengths = {example.prompt_tokens for example in examples}
    if len(examples) >= LEAST_PROMPTS and len(lengths) == 1:
        yield finding(
            "prompts-of-one-length",
            f"all {len(examples)} prompts have {lengths.pop()} tokens: look whether they were cut before they came here",
        )
