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

from burnish.schemas.dataset import DpoRow
from burnish.schemas.job import JobSpec
from burnish.schemas.methods import SimpoParams
from burnish_trainer.data.pairs import Pair, encode_pairs, plan_pairs
from burnish_trainer.worker.context import Outcome, RunContext


def run(spec: JobSpec, params: SimpoParams, ctx: RunContext) -> Outcome:
    backend = ctx.backend.module()
    backend.prepare()

    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl.import_utils import TRLExperimentalWarning

    from burnish_trainer.worker.loop.training import loop_arguments, train

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TRLExperimentalWarning)  # the version is pinned, and the tests hold its loss
        from trl.experimental.cpo import CPOConfig, CPOTrainer

    class Trainer(CPOTrainer):
        """TRL's, on rows that are token ids already."""

        @staticmethod
        def tokenize_row(feature: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]  # no self to pickle
            return feature

    rows = ctx.rows(DpoRow)
    tokenizer: Any = AutoTokenizer.from_pretrained(str(ctx.base_model_folder), local_files_only=True)
    pairs = encode_pairs(tokenizer, rows, spec.optimizer.max_length)
    plan = plan_pairs(pairs.train, spec)
    ctx.check_stop()
    model = ctx.load_model(backend)
    trainer = Trainer(
        model=model,
        args=CPOConfig(
            **loop_arguments(ctx, plan, bool(pairs.validation)),
            loss_type="simpo",
            beta=params.beta,
            simpo_gamma=params.gamma,
            cpo_alpha=0.0,
            max_length=spec.optimizer.max_length,
            disable_dropout=not spec.lora.dropout,
            remove_unused_columns=False,
        ),
        train_dataset=Dataset.from_list([_features(pairs.train[row]) for row in plan.order]),
        eval_dataset=Dataset.from_list([_features(pair) for pair in pairs.validation]) if pairs.validation else None,
        processing_class=tokenizer,
    )
    return train(trainer, plan, ctx)


def _features(pair: Pair) -> dict[str, list[int]]:
    return {
        f"{side}_{name}": values
        for side, example in (("chosen", pair.chosen), ("rejected", pair.rejected))
        for name, values in (
            ("input_ids", list(example.ids)),
            ("attention_mask", [1] * len(example.ids)),
            ("labels", example.labels),
        )
    }
