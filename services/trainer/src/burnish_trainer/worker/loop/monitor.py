"""The training monitor: finds overfitting, a loss that never falls, gradients that explode, a run that trains nothing.

Fed by progress.py with the training library's log, entry by entry, also with those of earlier attempts, so that a resumed run
finds what an unbroken one finds. docs/preflight.md lists the findings.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Any

from burnish.errors import PreconditionError
from burnish.schemas.training.tuning import Finding
from burnish_trainer.preflight.registry import finding

OVERFIT_RISE = 0.05  # of the best validation loss …
OVERFIT_LEAST_RISE = 0.01  # … and in the loss's own unit, since 5 % of next to nothing is noise
OVERFIT_EVALUATIONS = 2  # in a row
SMOOTHED_STEPS = 10
EXPLODED_FACTOR = 10.0
EXPLODED_LEAST_NORM = 10.0  # gradients are clipped at 1
EXPLODED_STEPS = 3  # in a row
NORMS = 50
LEAST_STEPS = 8  # fewer say nothing about whether a loss falls


class Monitor:
    """Everything found so far is in `findings`, each code once, in the order it was found."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._train: list[float] = []
        self._best: tuple[int, float, float] | None = None  # step, validation loss, smoothed training loss
        self._rises = 0
        self._norms: deque[float] = deque(maxlen=NORMS)
        self._exploded = 0

    def observe(self, entry: Mapping[str, Any]) -> Finding | None:
        """What this entry shows for the first time. Entries come in the order of the run.

        PreconditionError if the loss is no number, or if the first step trained nothing (loss and gradients 0).
        """
        if "loss" in entry:
            return self._keep(self._trained(entry))
        if "eval_loss" in entry:
            return self._keep(self._evaluated(entry))
        return None

    def conclude(self) -> Finding | None:
        """What the run as a whole shows: the mean training loss of its last quarter is no lower than that of its first."""
        quarter = len(self._train) // 4
        if len(self._train) < LEAST_STEPS:
            return None
        first, last = statistics.fmean(self._train[:quarter]), statistics.fmean(self._train[-quarter:])
        if last < first:
            return None
        return self._keep(
            finding(
                "no-learning",
                f"the training loss did not fall: {first:.4g} in the first quarter of the steps, {last:.4g} in the last: "
                "raise optimizer.learning_rate or lora.rank, or look whether the answers follow from the prompts",
            )
        )

    def _keep(self, found: Finding | None) -> Finding | None:
        if found is None or any(found.code == kept.code for kept in self.findings):
            return None
        self.findings.append(found)
        return found

    def _trained(self, entry: Mapping[str, Any]) -> Finding | None:
        loss, step = float(entry["loss"]), int(entry["step"])
        check_loss(loss, step)
        norm = float(entry.get("grad_norm") or 0.0)
        if loss == 0 and norm == 0 and not self._train:
            raise PreconditionError(
                f"step {step} trained nothing: its loss and its gradients are 0, as when every label is masked; look at "
                "the completions, and at optimizer.max_length",
                step=step,
            )
        self._train.append(loss)
        if loss == 0:
            return finding(
                "loss-zero", f"the training loss reads 0 at step {step}: there is nothing left to learn from"
            )
        return self._gradient(norm, step)

    def _gradient(self, norm: float, step: int) -> Finding | None:
        usual = statistics.median(self._norms) if len(self._norms) >= LEAST_STEPS else math.inf
        if norm > max(EXPLODED_LEAST_NORM, EXPLODED_FACTOR * usual):
            self._exploded += 1
        else:
            self._exploded = 0
            self._norms.append(norm)
        if self._exploded < EXPLODED_STEPS:
            return None
        return finding(
            "gradients-exploding",
            f"the gradient norm was over {EXPLODED_FACTOR:g} times its usual {usual:.3g} in {EXPLODED_STEPS} steps up to "
            f"step {step} ({norm:.3g}): lower optimizer.learning_rate or raise optimizer.warmup_share",
        )

    def _evaluated(self, entry: Mapping[str, Any]) -> Finding | None:
        """Source: the rule is ours, after Prechelt 1998, Early Stopping – But When?, section 2.2 (generalisation loss GL)."""
        loss, step = float(entry["eval_loss"]), int(entry["step"])
        check_loss(loss, step)
        smoothed = statistics.fmean(islice(reversed(self._train), SMOOTHED_STEPS)) if self._train else math.inf
        if self._best is None or loss < self._best[1]:
            self._best, self._rises = (step, loss, smoothed), 0
            return None
        best_step, best, best_smoothed = self._best
        risen = loss - best >= max(OVERFIT_RISE * abs(best), OVERFIT_LEAST_RISE) and smoothed < best_smoothed
        self._rises = self._rises + 1 if risen else 0
        if self._rises < OVERFIT_EVALUATIONS:
            return None
        return finding(
            "overfitting",
            f"overfitting since step {best_step}: up to step {step} the validation loss rose from {best:.4g} to {loss:.4g} "
            f"while the training loss fell from {best_smoothed:.4g} to {smoothed:.4g}; the best checkpoint is kept. Next "
            "time: fewer epochs, more rows, a lower learning rate or rank",
        )


def check_loss(loss: float, step: int) -> None:
    """PreconditionError if the loss is no number any more: every later step would be lost."""
    if not math.isfinite(loss):
        raise PreconditionError(f"the loss is {loss} at step {step}: train again with a lower learning rate", step=step)
