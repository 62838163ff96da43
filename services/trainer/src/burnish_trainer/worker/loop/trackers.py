"""Reports of a run to MLflow, Weights & Biases or Trackio, by transformers' own callbacks.

Each tracker has a thread of its own, and the training loop only hands it records. One that fails or does not answer costs the
run nothing, and is noted once.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Full, Queue
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import get_reporting_integration_callbacks

from burnish_trainer.settings import Tracker
from burnish_trainer.worker.context import RunContext

log = logging.getLogger(__name__)

WAITING_RECORDS = 1000
CLOSE_SECONDS = 30.0  # a tracker that creates its database first takes some of it
EXIT_SECONDS = 3.0
END = None


class Reporter(TrainerCallback):
    """Hands the loop's moments to one tracker's thread; never raises, and waits only in `close`."""

    def __init__(self, tracker: Tracker, ctx: RunContext) -> None:
        self.tracker = tracker
        self._ctx = ctx
        self._records: Queue[tuple[str, tuple[Any, ...], dict[str, Any]] | None] = Queue(WAITING_RECORDS)
        self._failed = threading.Event()
        self._dropped = False
        self._thread = threading.Thread(target=self._report, name=f"report-{tracker}", daemon=True)
        self._thread.start()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **values: Any
    ) -> None:
        self._hand("on_train_begin", args, state, control, model=values.get("model"))

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **values: Any) -> None:
        self._hand("on_log", args, state, control, model=values.get("model"), logs=dict(values["logs"]))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **values: Any
    ) -> None:
        self._hand("on_train_end", args, state, control, model=values.get("model"))

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Let the tracker finish for so long; what is not through then is left out."""
        until = time.monotonic() + seconds
        with contextlib.suppress(Full):
            self._records.put(END, timeout=seconds)
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            self._say(f"had not taken everything {seconds:g} s after the end and was left behind")
            threading.Thread(target=_end_with_main_thread, name=f"end-{self.tracker}", daemon=True).start()

    def _hand(self, moment: str, args: Any, state: TrainerState, control: TrainerControl, **values: Any) -> None:
        if self._failed.is_set():
            return
        try:
            self._records.put_nowait((moment, (args, copy.copy(state), copy.copy(control)), values))
        except Full:
            if not self._dropped:
                self._dropped = True
                self._say("does not keep up: some steps are missing there")

    def _report(self) -> None:
        try:
            callback = _callback(self.tracker, self._ctx)
            while (record := self._records.get()) is not END:
                moment, arguments, values = record
                getattr(callback, moment)(*arguments, **values)
            if self.tracker == "wandb":
                _finish_wandb()
        except Exception as error:
            log.exception("report to %s failed", self.tracker)
            self._failed.set()
            self._say(f"failed ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'})")
            _drain(self._records)

    def _say(self, what: str) -> None:
        self._ctx.say(f"report to {self.tracker} {what}; the training goes on without it")


@contextmanager
def reporting(trainer: Trainer, ctx: RunContext) -> Iterator[None]:
    """Report the run to every configured tracker while it trains."""
    reporters = [Reporter(tracker, ctx) for tracker in ctx.report_to] if ctx.is_main else []
    for reporter in reporters:
        trainer.add_callback(reporter)
    try:
        yield
    finally:
        for reporter in reporters:
            reporter.close()


def _end_with_main_thread() -> None:
    """A tracker that does not answer may also hang in its exit hooks: end the process once its work is done."""
    threading.main_thread().join()
    time.sleep(EXIT_SECONDS)
    os._exit(0)


def _drain(records: Queue[Any]) -> None:
    """Take what still comes, so that nothing is held."""
    while records.get() is not END:
        pass


def _callback(tracker: Tracker, ctx: RunContext) -> Any:
    """transformers' callback, set up so that a later attempt goes on in the same run."""
    PREPARE[tracker](ctx)
    [callback] = get_reporting_integration_callbacks([tracker])  # type: ignore[no-untyped-call]
    return callback()


def _prepare_mlflow(ctx: RunContext) -> None:
    """MLflow gives runs ids of its own: the run of an earlier attempt is found by its name."""
    import mlflow

    experiment = mlflow.set_experiment(ctx.report_project)
    os.environ["MLFLOW_EXPERIMENT_NAME"] = ctx.report_project
    found = mlflow.MlflowClient().search_runs(
        [experiment.experiment_id], f"attributes.run_name = '{ctx.job_id}'", max_results=1
    )
    if found:
        os.environ["MLFLOW_RUN_ID"] = found[0].info.run_id


def _prepare_wandb(ctx: RunContext) -> None:
    os.environ |= {"WANDB_PROJECT": ctx.report_project, "WANDB_RUN_ID": ctx.job_id, "WANDB_RESUME": "allow"}


def _finish_wandb() -> None:
    """Its callback leaves the run open, to be ended when the process exits, which could then hang on a dead network."""
    import wandb

    wandb.finish()


PREPARE: dict[Tracker, Callable[[RunContext], None]] = {
    "mlflow": _prepare_mlflow,
    "wandb": _prepare_wandb,
    "trackio": lambda _: None,  # its callback goes on in the run of the same project and name by itself
}
