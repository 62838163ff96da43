"""Sweeps against a trainer in memory: who is pruned, who is best, and that a kill at any point changes nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from unit.client.tuning_trainer import ScriptedTrainer

from burnish.errors import AlreadyExistsError, NotFoundError, PreconditionError
from burnish_client.tuning.study import SweepSettings, default_name, open_study, read_study, request_id
from burnish_client.tuning.sweep import Sweep, SweepResult, check_some_finished, read_result
from burnish_protos.trainer.v1.trainer_pb2 import TuningJob, TuningSpec


class Killed(BaseException):
    """What a kill is to the code it stops."""


def settings(*params: str, **changes: object) -> SweepSettings:
    fields = {
        "method": "sft", "dataset": "fixes", "version": "v1", "params": list(params) or ["learning_rate=1e-6..1e-2:log"],
        "sampler": "random", "seed": 3, "prune": True, "adapter": "tried",
    }  # fmt: skip
    return SweepSettings.model_validate(fields | changes)


def run(
    home: Path,
    trainer: ScriptedTrainer,
    asked: SweepSettings,
    trials: int = 6,
    parallel: int = 1,
    say: Callable[[str], None] = lambda line: None,
) -> SweepResult:
    with open_study(home, "tried", asked) as study:
        return Sweep(study, trainer, trials=trials, parallel=parallel, say=say).run()


def outcomes(result: SweepResult) -> list[tuple[object, ...]]:
    return [(t.number, t.outcome, t.values, t.loss, t.percent, t.why) for t in result.trials]


def test_the_best_finishes_and_the_worse_half_is_cancelled(tmp_path: Path) -> None:
    trainer, lines = ScriptedTrainer(), []
    asked = settings("learning_rate=1e-2,1e-4,1e-3,1e-6", sampler="grid")
    result = run(tmp_path, trainer, asked, trials=4, say=lines.append)
    by_rate = {trial.values["learning_rate"]: trial for trial in result.trials}
    assert by_rate[1e-4].outcome == "finished"
    assert by_rate[1e-4].loss == pytest.approx(0.2)
    assert result.best == by_rate[1e-4].number
    assert by_rate[1e-4].adapter
    assert by_rate[1e-4].adapter.startswith("tried@")
    pruned = [trial for trial in result.trials if trial.outcome == "pruned"]
    assert pruned
    assert trainer.cancelled == [trial.job_id for trial in pruned]
    assert all("not in the better half" in (trial.why or "") and trial.percent in (20, 40, 80) for trial in pruned)
    assert result.command == "burnish train sft --dataset fixes@v1 --adapter fixes --learning-rate 0.0001 --seed 3"
    assert sum("finished" in line or "pruned" in line for line in lines) == 4
    job = trainer.jobs[pruned[0].job_id or ""]
    assert (dict(job.labels), job.spec.seed) == ({"sweep": "tried", "trial": str(pruned[0].number)}, 3)


def test_without_pruning_all_finish(tmp_path: Path) -> None:
    trainer = ScriptedTrainer()
    result = run(
        tmp_path, trainer, settings("rank=8,16,32", "learning_rate=1e-4", sampler="grid", prune=False), trials=3
    )
    assert [trial.outcome for trial in result.trials] == ["finished"] * 3
    assert {trial.values["rank"] for trial in result.trials} == {8, 16, 32}
    assert trainer.cancelled == []


def test_nothing_is_cancelled_at_the_end_of_its_run(tmp_path: Path) -> None:
    trainer = ScriptedTrainer(lambda spec: [spec.optimizer.learning_rate])
    result = run(tmp_path, trainer, settings("learning_rate=1e-4,1e-2", sampler="grid"), trials=2)
    assert [(trial.outcome, trial.percent) for trial in result.trials] == [("finished", 100)] * 2


@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize(
    ("point", "count"),
    [
        *itertools.product(["before create", "after create", "before cancel", "after cancel", "before get"], [1, 2]),
        ("after create", 5),
    ],
)
def test_a_kill_at_any_point_changes_nothing(tmp_path: Path, sampler: str, point: str, count: int) -> None:
    asked = settings("learning_rate=1e-6..1e-2:log", "rank=8..64", sampler=sampler)
    whole = outcomes(run(tmp_path / "whole", ScriptedTrainer(), asked))
    trainer, seen = ScriptedTrainer(), itertools.count(1)

    def stop(reached: str) -> None:
        if reached == point and next(seen) == count:
            raise Killed

    trainer.stop_at = stop
    with pytest.raises(Killed):
        run(tmp_path / "killed", trainer, asked)
    assert outcomes(run(tmp_path / "killed", trainer, asked)) == whole
    assert len(trainer.created) == 6, "no trial was queued twice"
    assert all(job.state != TuningJob.STATE_RUNNING for job in trainer.jobs.values())


def test_a_kill_before_any_value_was_drawn(tmp_path: Path) -> None:
    whole = outcomes(run(tmp_path / "whole", ScriptedTrainer(), settings()))
    with open_study(tmp_path / "killed", "tried", settings()) as study:
        study.ask()
    assert outcomes(run(tmp_path / "killed", ScriptedTrainer(), settings())) == whole


def test_more_trials_go_on_and_ended_ones_are_not_run_again(tmp_path: Path) -> None:
    trainer = ScriptedTrainer()
    few = run(tmp_path, trainer, settings(), trials=3)
    more = run(tmp_path, trainer, settings(), trials=6)
    assert outcomes(more)[:3] == outcomes(few)
    assert len(trainer.created) == 6
    assert len({trial.values["learning_rate"] for trial in more.trials}) == 6, "a new process draws no old values"


def test_jobs_run_side_by_side(tmp_path: Path) -> None:
    trainer = ScriptedTrainer()
    result = run(tmp_path, trainer, settings(prune=False), trials=5, parallel=3)
    assert trainer.most_at_once > 1
    assert [trial.outcome for trial in result.trials] == ["finished"] * 5


def test_failed_and_refused_trials_are_recorded_and_do_not_end_the_sweep(tmp_path: Path) -> None:
    def rate(spec: TuningSpec) -> float:
        return spec.optimizer.learning_rate

    trainer = ScriptedTrainer(refuse=lambda spec: rate(spec) > 5e-3, fail=lambda spec: rate(spec) < 5e-6)
    asked = settings("learning_rate=1e-2,1e-4,1e-6", sampler="grid", prune=False)
    by_rate = {trial.values["learning_rate"]: trial for trial in run(tmp_path, trainer, asked, trials=3).trials}
    assert (by_rate[1e-2].outcome, by_rate[1e-2].why) == ("failed", "optimizer.learning_rate: too much")
    assert (by_rate[1e-6].outcome, by_rate[1e-6].why) == ("failed", "it broke")
    assert by_rate[1e-4].outcome == "finished"


def test_a_sweep_without_one_finished_trial_says_why(tmp_path: Path) -> None:
    result = run(tmp_path, ScriptedTrainer(refuse=lambda spec: True), settings(), trials=2)
    assert (result.best, result.command) == (None, None)
    with pytest.raises(
        PreconditionError, match=r"none of 2 trials finished. The first: optimizer.learning_rate: too much"
    ):
        check_some_finished(result)


def test_a_loss_that_is_no_number_is_pruned(tmp_path: Path) -> None:
    def curve(spec: TuningSpec) -> list[float]:
        return [float("nan")] * 5 if spec.optimizer.learning_rate > 1e-3 else [1.0, 0.9, 0.8, 0.7, 0.6]

    result = run(tmp_path, ScriptedTrainer(curve), settings("learning_rate=1e-4,1e-2", sampler="grid"), trials=2)
    by_rate = {trial.values["learning_rate"]: trial for trial in result.trials}
    assert "not a number at 20 % of the run" in (by_rate[1e-2].why or "")
    assert by_rate[1e-4].outcome == "finished"


def test_other_settings_under_a_name_are_refused(tmp_path: Path) -> None:
    run(tmp_path, ScriptedTrainer(), settings(), trials=1)
    with pytest.raises(AlreadyExistsError, match=r"seed: 3 there, 4 here.*choose another --name"):
        run(tmp_path, ScriptedTrainer(), settings(seed=4))
    assert default_name(settings()) == default_name(settings(adapter="other")) != default_name(settings(seed=4))


def test_one_process_runs_a_sweep_and_others_may_look(tmp_path: Path) -> None:
    with open_study(tmp_path, "tried", settings()) as study:
        with (
            pytest.raises(PreconditionError, match="being run by another process"),
            open_study(tmp_path, "tried", settings()),
        ):
            pass
        study.ask()
        with read_study(tmp_path, "tried") as other:
            assert [trial.outcome for trial in read_result(other).trials] == ["running"]
            assert request_id(other, 0) == request_id(study, 0)
    with pytest.raises(NotFoundError, match="only: tried"), read_study(tmp_path, "untried"):
        pass
