"""What follows a death at every state of a job at its provider, by table."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from burnish_trainer.hosted.record import Record, Request, first_record
from burnish_trainer.hosted.steps import NEXT, Goal, Step, next_step

REQUEST = Request(model="gpt", method="sft", hyperparameters={"n_epochs": 3}, seed=0, suffix="colours", files={})
RECORD = first_record("job-1", "openai", "http://there/v1", REQUEST, datetime(2026, 3, 1, tzinfo=UTC))

DEATHS: list[tuple[str, str, Step, Step]] = [
    # died, state that was written by then → next if it is to be trained, and if it is to be released
    ("while rows were uploaded", "uploading", "upload", "discard"),
    ("before it was to be created", "uploaded", "create", "discard"),
    ("before, while or after it was created", "creating", "search", "search"),
    ("while its rows were deleted", "fencing", "fence", "fence"),
    ("while it ran there", "created", "poll", "cancel"),
    ("once it had ended there", "ended", "deliver", "discard"),
]


@pytest.mark.parametrize(("death", "state", "train", "release"), DEATHS, ids=[row[0] for row in DEATHS])
def test_a_death_is_followed_by(death: str, state: str, train: Step, release: Step) -> None:
    record = RECORD.to(state)  # type: ignore[arg-type]
    assert (next_step(record, "train"), next_step(record, "release")) == (train, release)


def test_every_state_is_in_the_table() -> None:
    assert {row[1] for row in DEATHS} == set(NEXT) == set(Record.model_fields["state"].annotation.__args__)  # type: ignore[union-attr]


@pytest.mark.parametrize(("goal", "step"), [("train", "begin"), ("release", "done")])
def test_what_was_never_begun(goal: Goal, step: Step) -> None:
    assert next_step(None, goal) == step


def test_nothing_follows_a_release() -> None:
    assert next_step(RECORD.to("ended", released=True), "release") == "done"


def test_no_state_whose_answer_may_be_lost_leads_to_the_call_that_costs_money() -> None:
    unknown = [state for state in NEXT if state in ("creating", "fencing")]
    assert all("create" not in NEXT[state].values() for state in unknown)


def test_a_fence_makes_a_generation_whose_files_have_other_names() -> None:
    sent = RECORD.to("fencing", uploads={"train": "file-1"})
    again = sent.after_fence()
    assert again.state == "uploading"
    assert (again.uploads, again.fenced, again.every_upload) == ({}, ["file-1"], ["file-1"])
    assert again.upload_name("train") != sent.upload_name("train")


def test_the_digest_is_of_everything_that_is_asked() -> None:
    changes = {"model": "other", "method": "dpo", "hyperparameters": {"n_epochs": 4}, "seed": 1, "suffix": "x"}
    digests = {REQUEST.model_copy(update={name: value}).digest for name, value in changes.items()}
    assert len(digests | {REQUEST.digest}) == len(changes) + 1
