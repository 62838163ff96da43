"""The list of job states is the contract's, and each has a colour on the screen."""

from __future__ import annotations

from burnish.schemas.training.job_state import JobState
from burnish_client.cli.views.training.job_text import COLOURS, state_markup
from burnish_client.sdk.trainer import job_state
from burnish_protos.trainer.v1.trainer_pb2 import TuningJob


def test_the_states_are_those_of_the_contract() -> None:
    names = [value.name for value in TuningJob.State.DESCRIPTOR.values][1:]
    assert {f"STATE_{state.name}" for state in JobState} == set(names)
    assert {job_state(TuningJob.State.Value(name)).name for name in names} == set(JobState.__members__)


def test_three_states_are_final() -> None:
    assert [state for state in JobState if state.ended] == ["succeeded", "failed", "cancelled"]


def test_every_state_has_a_colour() -> None:
    assert set(COLOURS) == set(JobState)
    assert state_markup(JobState.RUNNING) == "[cyan]running[/]"
