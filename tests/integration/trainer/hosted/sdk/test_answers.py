"""What a provider may say, and what follows: waiting, another try, or the job's failure in the provider's own words."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from hosted_fakes.server import Fault, Reply
from integration.trainer.hosted.sdk.hosted_jobs import JOB, Clock, Died, HostedJob

from burnish.errors import BurnishError, ConflictError, CorruptDataError, PreconditionError, UnauthenticatedError
from burnish.layout import hosted
from burnish_trainer.executors.events import Failed, Succeeded
from burnish_trainer.hosted.record import RecordFile

REFUSALS = [
    (400, "invalid_model", "InvalidInputError"),
    (401, "invalid_api_key", "UnauthenticatedError"),
    (402, "payment_required", "PreconditionError"),
    (403, "not_allowed", "PreconditionError"),
    (404, "model_not_found", "InvalidInputError"),
    (422, "unprocessable", "InvalidInputError"),
]


class Stopped(Exception):
    pass


def refusal(job: HostedJob, status: int, code: str = "nope") -> Reply:
    return Reply(status, job.fake.error("no, says the provider", code))


@pytest.mark.parametrize(("status", "code", "error"), REFUSALS)
def test_a_refused_job_fails_at_once_and_costs_nothing(job: HostedJob, status: int, code: str, error: str) -> None:
    job.server.faults = [Fault(job.fake.create, "before", "reply", refusal(job, status, code), times=99)]
    with pytest.raises(BurnishError, match="no, says the provider") as refused:
        job.run()
    assert type(refused.value).__name__ == error
    assert job.server.times(job.fake.create) == 1
    final = job.run()  # another attempt does not ask again
    assert isinstance(final, Failed)
    assert not final.retry
    assert "no, says the provider" in final.error["message"]
    assert job.run("release") is None
    assert (job.fake.paid, job.fake.files) == ([], {})


@pytest.mark.parametrize("name", ["create", "look", "upload"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "777"},
        {"Retry-After": formatdate(1_900_000_777, usegmt=True), "Date": formatdate(1_900_000_000, usegmt=True)},
    ],
    ids=["seconds", "date by another clock"],
)
def test_a_busy_provider_is_asked_again_when_it_says(job: HostedJob, name: str, headers: dict[str, str]) -> None:
    busy = Reply(429, job.fake.error("slow down", "rate_limit_exceeded"), headers)
    job.server.faults = [Fault(getattr(job.fake, name), "before", "reply", busy)]
    assert isinstance(job.run(), Succeeded)
    assert 777 in job.waits
    assert len(job.fake.paid) == 1
    assert job.server.times(job.fake.search) == 0, "a request that was not taken is not searched for"


@pytest.mark.parametrize("says", ["inf", "1e300", "Fri, 31 Dec 9999 23:59:59 GMT", "nan", "-5", "soon"])
def test_a_retry_after_that_is_none_holds_no_job_for_ever(job: HostedJob, says: str) -> None:
    busy = Reply(429, job.fake.error("slow down", "rate_limit_exceeded"), {"Retry-After": says})
    job.server.faults = [Fault(job.fake.look, "before", "reply", busy)]
    assert isinstance(job.run(), Succeeded)
    assert max(job.waits) <= 86_400


def test_a_silent_provider_is_asked_less_and_less_often(job: HostedJob) -> None:
    job.server.faults = [Fault(job.fake.look, "before", times=12)]
    assert isinstance(job.run(), Succeeded)
    assert len(job.fake.paid) == 1
    assert sum(job.waits) > 600
    assert max(job.waits) <= 300
    assert len(job.notes) < 12, "people are told once"


def test_looks_at_a_long_job_become_rare(job: HostedJob) -> None:
    job.fake.holds_at = job.fake.running_state

    def pause(seconds: float) -> None:
        job.waits.append(seconds)
        if len(job.waits) == 20:
            raise Stopped

    with pytest.raises(Stopped):
        job.run(pause=pause)
    looks = [seconds for seconds in job.waits if seconds >= 5]
    assert (looks[0], looks[-1]) == (5, 60)
    assert job.notes.count(f"running ({job.fake.provider} says {job.fake.holds_at})") == 1


def test_a_job_that_fails_there_fails_in_the_providers_words(job: HostedJob) -> None:
    job.fake.ends_as = "failed"
    final = job.run()
    assert isinstance(final, Failed)
    assert not final.retry
    assert job.fake.failure in final.error["message"]


def test_a_job_that_somebody_cancels_there_says_so(job: HostedJob) -> None:
    job.fake.ends_as = "cancelled"
    final = job.run()
    assert isinstance(final, Failed)
    assert "was cancelled there" in final.error["message"]


@pytest.mark.parametrize("days", [-400, 400])
def test_the_providers_clock_may_be_wrong(job: HostedJob, days: int) -> None:
    job.fake.clock = days * 86400
    job.server.faults = [Fault(job.fake.create)]
    assert isinstance(job.run(), Succeeded)
    assert len(job.fake.paid) == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_key_that_fails_for_a_while_fails_no_job_that_runs(job: HostedJob, status: int) -> None:
    job.server.faults = [Fault(job.fake.look, "before", "reply", refusal(job, status), times=3)]
    if status == 404:
        job.server.faults.append(Fault(job.fake.file, "before", "reply", refusal(job, 404), times=9))
    assert isinstance(job.run(), Succeeded)
    assert len(job.fake.paid) == 1


def test_a_job_that_is_gone_from_its_account_has_failed(job: HostedJob) -> None:
    job.fake.holds_at = job.fake.running_state

    def pause(seconds: float) -> None:
        if job.fake.running and seconds >= 5:
            raise Stopped

    with pytest.raises(Stopped):
        job.run(pause=pause)
    job.fake.jobs.clear()
    final = job.run()
    assert isinstance(final, Failed)
    assert "is not there any more" in final.error["message"]


def test_another_account_proves_nothing(job: HostedJob) -> None:
    """It shows neither job nor file, so the job is not sent again."""
    job.server.faults = [Fault(job.fake.create, action="reset")]

    def pause(_seconds: float) -> None:
        if job.fake.paid:
            raise Stopped

    with pytest.raises(Stopped):
        job.run(pause=pause)
    files, jobs = dict(job.fake.files), dict(job.fake.jobs)
    job.fake.files.clear()
    job.fake.jobs.clear()

    def look(_seconds: float) -> None:
        job.waits.append(_seconds)
        if len(job.waits) == 9:  # the right account again
            job.fake.files.update(files)
            job.fake.jobs.update(jobs)

    assert isinstance(job.run(pause=look), Succeeded)
    assert len(job.fake.paid) == 1
    assert any("Set the credential of the account that it was sent with" in note for note in job.notes)


def test_a_record_of_another_address_is_not_gone_on_from(job: HostedJob) -> None:
    with pytest.raises(Died):
        job.run(clock=Clock((4, True)))
    file = RecordFile(job.store, JOB)
    record = file.read()
    assert record is not None
    file.write(record.model_copy(update={"endpoint": "https://elsewhere/v1"}))
    with pytest.raises(PreconditionError, match="set the address back"):
        job.run()


def test_of_two_workers_one_is_told(job: HostedJob) -> None:
    with pytest.raises(Died):
        job.run(clock=Clock((3, True)))
    one, other = RecordFile(job.store, JOB), RecordFile(job.store, JOB)
    record = one.read()
    assert record is not None
    other.read()
    one.write(record.to("creating"))
    with pytest.raises(ConflictError):
        other.write(record.to("creating"))


def test_a_record_that_cannot_be_read_sends_nothing(job: HostedJob) -> None:
    job.store.put(hosted(JOB), b'{"job_id": "x"}')
    with pytest.raises(CorruptDataError):
        job.run()
    assert job.server.asked == []


def test_a_credential_is_in_nothing_that_the_provider_made_us_say(job: HostedJob) -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        job.run(token="another-secret")
    everything: list[Any] = [refused.value.to_dict(), job.events, *(job.store.get(o.key) for o in job.store.list(""))]
    assert "‹key›" in refused.value.message
    assert "another-secret" not in repr(everything)
