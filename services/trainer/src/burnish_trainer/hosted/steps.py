"""What is to be done next for a job at its provider, from its record alone: no clock, no network.

A process may die between any two lines of run.py. The record then has the state that was written before the call whose answer is
lost, and the step named here is right whether that call took effect or not:

    uploading → uploaded → creating → created → ended          `creating` is written before the call that costs money
                    ↑          │ lost answer: search; if it is not there, delete what it would train on (the fence)
                    └ fencing ←┘ and search once more; then a new generation is uploaded, and only it can be trained on
"""

from __future__ import annotations

from typing import Literal

from burnish_trainer.hosted.record import Record, State

Goal = Literal["train", "release"]
Step = Literal["begin", "upload", "create", "search", "fence", "poll", "cancel", "deliver", "discard", "done"]

NEXT: dict[State, dict[Goal, Step]] = {
    "uploading": {"train": "upload", "release": "discard"},
    "uploaded": {"train": "create", "release": "discard"},
    "creating": {"train": "search", "release": "search"},
    "fencing": {"train": "fence", "release": "fence"},
    "created": {"train": "poll", "release": "cancel"},
    "ended": {"train": "deliver", "release": "discard"},
}


def next_step(record: Record | None, goal: Goal) -> Step:
    """goal: release, once the job has ended for Burnish: nothing of it may be left at the provider but its result."""
    if record is None:
        return "begin" if goal == "train" else "done"
    if goal == "release" and record.released:
        return "done"
    return NEXT[record.state][goal]
