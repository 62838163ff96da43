"""Odds-ratio preference optimisation: learn each correction and push the wrong answer's odds below it, in one go.

Paper: Hong et al. 2024 (arXiv 2403.07691), equations 4 to 7; beta is its lambda.
When: SFT and preference are both wanted from the base, without an SFT run before it and without a reference model.
Memory: as DPO, and there is no reference to compute. TRL has it as experimental.
Loss: mean negative log-likelihood per token of the chosen completions - beta * log sigmoid(log-odds of chosen - of rejected),
where a completion's probability is that of its mean token. We differ from TRL, which has the likelihood term on the prompt as well:
the paper's term is of the answer given the prompt.
"""

from __future__ import annotations

import warnings
from typing import Any

from datasets import Dataset
from trl.import_utils import TRLExperimentalWarning

from burnish.schemas.training.methods import OrpoParams
from burnish_trainer.data.tokens import MASKED
from burnish_trainer.worker.context import Outcome, RunContext
from burnish_trainer.worker.loop.training import labelled_pair, loop_arguments, train

with warnings.catch_warnings():
    warnings.simplefilter("ignore", TRLExperimentalWarning)  # the version is pinned, and the tests hold its loss
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer


class Trainer(ORPOTrainer):
    """TRL's, on rows that are token ids already, with the likelihood term on the completion alone."""

    @staticmethod
    def tokenize_row(feature: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]  # no self to pickle
        return feature

    def concatenated_forward(self, model: Any, batch: dict[str, Any]) -> tuple[Any, ...]:
        outputs = list(super().concatenated_forward(model, batch))
        chosen, tokens = outputs[0], (batch["chosen_labels"][:, 1:] != MASKED).sum(-1)
        outputs[4] = -(chosen * tokens).sum() / tokens.sum()
        return tuple(outputs)


def run(ctx: RunContext, params: OrpoParams) -> Outcome:
    rows = ctx.training_rows()
    trainer = Trainer(
        model=ctx.load_model(),
        args=ORPOConfig(
            **loop_arguments(ctx, rows),
            beta=params.beta,
            max_length=ctx.spec.optimizer.max_length,
            disable_dropout=not ctx.spec.lora.dropout,
            remove_unused_columns=False,
        ),
        train_dataset=Dataset.from_list([labelled_pair(row) for row in rows.in_order]),
        eval_dataset=Dataset.from_list([labelled_pair(row) for row in rows.validation]) if rows.validation else None,
        processing_class=ctx.tokenizer,
    )
    return train(trainer, rows.schedule, ctx)
