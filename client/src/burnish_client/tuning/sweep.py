"""A sweep: trials as ordinary jobs of the trainer, watched, stopped early, and continued after a kill.

The study knows the trials and how they ended. The trainer's queue holds their jobs, which are found again by request id.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Literal

import optuna
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from burnish.errors import (
    AlreadyExistsError,
    IncompatibleAdapterError,
    InvalidInputError,
    PreconditionError,
)
from burnish.schemas.base import Frozen
from burnish.schemas.training.hyperparameters import value_text
from burnish.schemas.training.methods import METHODS, Method
from burnish_client.sdk.trainer import TrainerClient, job_state
from burnish_client.tuning.search_space import Parameter, Value, command_of, make_spec
from burnish_client.tuning.study import request_id, sampler, settings_of
from burnish_protos.trainer.v1.trainer_pb2 import TuningJobEvent

JOB, ADAPTER, WHY = "job_id", "adapter", "why"
REFUSALS = (InvalidInputError, PreconditionError, IncompatibleAdapterError, AlreadyExistsError)
Outcome = Literal["finished", "pruned", "failed", "running"]
OUTCOMES: dict[TrialState, Outcome] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
Happened = tuple[int, TuningJobEvent | Exception | None]


class TrialResult(Frozen):
    """One trial so far. loss: the best validation loss, None before the first. percent: of the run, at the newest loss."""

    number: int
    outcome: Outcome
    values: dict[str, Value]
    loss: float | None
    percent: int | None
    job_id: str | None
    adapter: str | None
    why: str | None


class SweepResult(Frozen):
    """A sweep so far. best: number of the finished trial with the lowest loss. command: trains with its values."""

    sweep: str
    method: Method
    dataset: str
    metric: str
    trials: list[TrialResult]
    best: int | None
    command: str | None


@dataclass
class _Running:
    """A trial whose job is watched. reported: percents whose loss Optuna has; losses: step -> validation loss, the last reported."""

    trial: Trial
    job_id: str
    reported: set[int]
    losses: dict[int, float] = field(default_factory=dict)


class Sweep:
    """Runs the trials of a study, `parallel` jobs at a time, until there are `trials` and all have ended.

    say: called with a line for people at each start and end of a trial; follow: at each evaluation too. Optuna is called
    only from the thread that calls `run`. Each running job has one more thread that listens to the trainer.
    """

    def __init__(
        self,
        study: optuna.Study,
        trainer: TrainerClient,
        *,
        trials: int,
        parallel: int,
        say: Callable[[str], None],
        follow: bool = False,
    ) -> None:
        self._study, self._trainer, self._trials, self._parallel = study, trainer, trials, parallel
        self._say, self._follow = say, follow
        self._settings = settings_of(study)
        self._space = self._settings.space()
        self._running: dict[int, _Running] = {}
        self._happened: SimpleQueue[Happened] = SimpleQueue()

    def run(self) -> SweepResult:
        """Raises what the trainer raises if it cannot be reached. The jobs continue, and a later `run` finds them."""
        waiting = [trial for trial in self._study.get_trials(deepcopy=False) if not trial.state.is_finished()]
        while True:
            while len(self._running) < self._parallel and (trial := waiting.pop(0) if waiting else self._ask()):
                self._start(trial)
            if not self._running:
                return read_result(self._study)
            number, what = self._happened.get()
            if number in self._running:  # a pruned trial's job may still send events
                self._take(self._running[number], what)

    def _ask(self) -> FrozenTrial | None:
        """A new trial, without values yet; None if there are enough."""
        number = len(self._study.get_trials(deepcopy=False))
        return self._frozen(self._study.ask().number) if number < self._trials else None

    def _draw(self, begun: FrozenTrial) -> Trial:
        """The trial with its values; those that were drawn before a kill stay.

        Optuna hands a Trial out only when it begins; its constructor is the way to continue one of an earlier process.
        """
        self._study.sampler = sampler(self._settings, begun.number)
        trial = Trial(self._study, begun._trial_id)
        for parameter in self._space.searched:
            _suggest(trial, parameter)
        self._study.sampler = RandomSampler()  # a GridSampler would stop the study when the last point is reported
        return trial

    def _start(self, begun: FrozenTrial) -> None:
        settings, number, trial = self._settings, begun.number, self._draw(begun)
        values = values_of(self._study, self._frozen(number))
        spec = make_spec(
            settings.method, dataset=settings.dataset, version=settings.version, adapter=settings.adapter, values=values
        )
        labels = {"sweep": self._study.study_name, "trial": str(number)}
        try:
            job = self._trainer.create_job(spec, request_id(self._study, number), labels=labels)
        except REFUSALS as refusal:
            return self._end(trial, TrialState.FAIL, why=refusal.message)
        trial.set_user_attr(JOB, job.job_id)
        if pruned := begun.user_attrs.get(WHY):  # killed between the decision and the cancelling
            self._cancel(job.job_id)
            return self._end(trial, TrialState.PRUNED, why=pruned)
        self._running[number] = _Running(trial, job.job_id, set(begun.intermediate_values))
        self._say(f"trial {number}: {job.job_id}  {_words(values)}")
        threading.Thread(target=self._watch, args=(number, job.job_id), daemon=True).start()

    def _watch(self, number: int, job_id: str) -> None:
        try:
            for event in self._trainer.watch(job_id):
                self._happened.put((number, event))
            self._happened.put((number, None))
        except Exception as error:
            self._happened.put((number, error))

    def _take(self, running: _Running, what: TuningJobEvent | Exception | None) -> None:
        if isinstance(what, Exception):
            raise what
        if what is None:
            return self._ended(running)
        if what.WhichOneof("event") == "metrics" and what.metrics.HasField("validation_loss"):
            metrics = what.metrics
            running.losses[metrics.step] = metrics.validation_loss
            if metrics.total_steps:
                self._judge(running, round(100 * metrics.step / metrics.total_steps), metrics.validation_loss)

    def _judge(self, running: _Running, percent: int, loss: float) -> None:
        """Report a loss, and end the trial if the pruner says so, unless the run is at its end, when nothing is left to save."""
        trial = running.trial
        if percent not in running.reported:
            running.reported.add(percent)
            trial.report(loss, percent)
            if self._follow:
                self._say(f"trial {trial.number}: {percent} %  validation loss {loss:.4f}")
        if percent >= 100 or not trial.should_prune():
            return
        why = self._why(trial.number, percent, loss)
        trial.set_user_attr(WHY, why)
        self._cancel(running.job_id)
        self._end(trial, TrialState.PRUNED, why=why)

    def _why(self, number: int, percent: int, loss: float) -> str:
        if math.isnan(loss):
            return f"validation loss is not a number at {percent} % of the run"
        others = [
            trial.intermediate_values[percent]
            for trial in self._study.get_trials(deepcopy=False)
            if trial.number != number and percent in trial.intermediate_values
        ]
        best = f"; the best there has {min(others):.4f}" if others else ""
        return (
            f"validation loss {loss:.4f} at {percent} % of the run is not in the better half of {len(others) + 1}{best}"
        )

    def _cancel(self, job_id: str) -> None:
        try:
            self._trainer.cancel_job(job_id)
        except PreconditionError:
            return  # it has just ended

    def _ended(self, running: _Running) -> None:
        job, trial = self._trainer.get_job(running.job_id), running.trial
        state = job_state(job.state)
        if state == "failed":
            return self._end(trial, TrialState.FAIL, why=job.error.message)
        if state != "succeeded":
            return self._end(trial, TrialState.FAIL, why=f"its job was {state} by somebody else")
        finite = [loss for loss in running.losses.values() if math.isfinite(loss)]
        if not finite:
            return self._end(trial, TrialState.FAIL, why="it ended without a validation loss to compare")
        trial.set_user_attr(ADAPTER, f"{job.adapter.name}@{job.adapter.version}")
        self._end(trial, TrialState.COMPLETE, loss=min(finite))

    def _end(self, trial: Trial, state: TrialState, *, loss: float | None = None, why: str | None = None) -> None:
        self._running.pop(trial.number, None)
        if why is not None:
            trial.set_user_attr(WHY, why)
        self._study.tell(trial, loss, state)
        reached = f", validation loss {loss:.4f}" if loss is not None else ""
        self._say(f"trial {trial.number}: {OUTCOMES[state]}{reached}{f': {why}' if why else ''}")

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]


def _suggest(trial: Trial, parameter: Parameter) -> None:
    if not parameter.is_range:
        trial.suggest_categorical(parameter.name, parameter.values)
    elif parameter.whole:
        trial.suggest_int(parameter.name, int(parameter.low), int(parameter.high), log=parameter.log)
    else:
        trial.suggest_float(parameter.name, parameter.low, parameter.high, log=parameter.log)


def values_of(study: optuna.Study, trial: FrozenTrial) -> dict[str, Value]:
    """What the trial trains with: drawn and fixed values, and the sweep's seed, so that trials differ only by their values."""
    settings = settings_of(study)
    space = settings.space()
    drawn = {name: space.parameters[name].rounded(value) for name, value in trial.params.items()}
    return dict(sorted({"seed": settings.seed, **space.fixed, **drawn}.items()))


def read_result(study: optuna.Study) -> SweepResult:
    """The sweep so far, read from the study only."""
    settings = settings_of(study)
    trials = study.get_trials(deepcopy=False)
    finished = [
        (trial.value, trial) for trial in trials if trial.state is TrialState.COMPLETE and trial.value is not None
    ]
    best = min(finished, key=lambda pair: (pair[0], pair[1].number))[1] if finished else None
    dataset = f"{settings.dataset}@{settings.version}"
    return SweepResult(
        sweep=study.study_name,
        method=settings.method,
        dataset=dataset,
        metric=METHODS[settings.method].metric,
        trials=[_trial_result(study, trial) for trial in trials],
        best=best.number if best else None,
        command=command_of(settings.method, dataset=dataset, adapter=settings.dataset, values=values_of(study, best))
        if best
        else None,
    )


def check_some_finished(result: SweepResult) -> None:
    """Raise PreconditionError, with the first trial's reason, if no trial finished."""
    if result.best is None:
        first = next((trial.why for trial in result.trials if trial.why), "there was no trial")
        raise PreconditionError(
            f"sweep {result.sweep}: none of {len(result.trials)} trials finished. The first: {first}",
            sweep=result.sweep,
        )


def _trial_result(study: optuna.Study, trial: FrozenTrial) -> TrialResult:
    finite = [loss for loss in trial.intermediate_values.values() if math.isfinite(loss)]
    loss = trial.value if trial.state is TrialState.COMPLETE else min(finite, default=None)
    return TrialResult(
        number=trial.number,
        outcome=OUTCOMES.get(trial.state, "running"),
        values=values_of(study, trial),
        loss=loss,
        percent=max(trial.intermediate_values, default=None),
        job_id=trial.user_attrs.get(JOB),
        adapter=trial.user_attrs.get(ADAPTER),
        why=trial.user_attrs.get(WHY),
    )


def _words(values: Mapping[str, Value]) -> str:
    return " ".join(f"{name}={value_text(value)}" for name, value in values.items() if name != "seed")
