"""The legal moves between the states of a job."""

from __future__ import annotations

import pytest

from burnish.errors import PreconditionError
from burnish.schemas.training.job_state import JobState
from burnish_trainer.queue.jobs import MOVES, check_move


@pytest.mark.parametrize("before", JobState)
@pytest.mark.parametrize("after", JobState)
def test_illegal_moves_are_refused_aloud(before: JobState, after: JobState) -> None:
    if after in MOVES[before]:
        check_move("job-1", before, after)
        return
    with pytest.raises(PreconditionError, match=f"job-1 is {before.value}: it cannot become {after.value}"):
        check_move("job-1", before, after)
