"""Simple preference optimisation: chosen above rejected by a margin, in mean log-probability per token.

Paper: Meng et al. 2024 (arXiv 2405.14734), equation 6.
When: wrong answers are longer or shorter than right ones throughout, which DPO's summed log-probabilities reward, or there is no
time for a reference pass. Nothing holds the policy to where it came from: keep the learning rate low and look at the forgetting.
Memory: as DPO, and there is no reference to compute. TRL has it as a loss of its experimental CPO trainer.
Loss: -log sigmoid(beta * (mean log-probability per token of chosen - of rejected) - gamma), without CPO's likelihood term.
"""

from __future__ import annotations

import warnings
from typing import Any

from datasets import Dataset
from trl.import_utils import TRLExperimentalWarning

from burnish.schemas.training.methods import SimpoParams
from burnish_trainer.worker.context import Outcome, RunContext
from burnish_trainer.worker.loop.training import labelled_pair, loop_arguments, train

with warnings.catch_warnings():
    warnings.simplefilter("ignore", TRLExperimentalWarning)  # the version is pinned, and the tests hold its loss
    from trl.experimental.cpo import CPOConfig, CPOTrainer


class Trainer(CPOTrainer):
    """TRL's, on rows that are token ids already."""

    @staticmethod
    def tokenize_row(feature: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]  # no self to pickle
        return feature


def run(ctx: RunContext, params: SimpoParams) -> Outcome:
    rows = ctx.training_rows()
    trainer = Trainer(
        model=ctx.load_model(),
        args=CPOConfig(
            **loop_arguments(ctx, rows),
            loss_type="simpo",
            beta=params.beta,
            simpo_gamma=params.gamma,
            cpo_alpha=0.0,
            max_length=ctx.spec.optimizer.max_length,
            disable_dropout=not ctx.spec.lora.dropout,
            remove_unused_columns=False,
        ),
        train_dataset=Dataset.from_list([labelled_pair(row) for row in rows.in_order]),
        eval_dataset=Dataset.from_list([labelled_pair(row) for row in rows.validation]) if rows.validation else None,
        processing_class=ctx.tokenizer,
    )
    return train(trainer, rows.schedule, ctx)
