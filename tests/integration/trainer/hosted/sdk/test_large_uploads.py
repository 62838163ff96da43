"""Files above what Fireworks takes at once go to an address that it signs, over TLS: each once, whatever answer is lost or process dies."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificate_making import Authority
from hosted_fakes.fireworks_tuning import SIGNATURE, FireworksTuning
from hosted_fakes.server import FakeServer, Fault, Reply, serving
from integration.trainer.hosted.sdk.hosted_jobs import HostedJob, assert_nothing_left, assert_one_result
from integration.trainer.hosted.sdk.test_lost_answers import LOST

from burnish.errors import PreconditionError
from burnish_trainer.hosted.providers import fireworks

REGISTER, PUT, VALIDATE = "POST .*:getUploadEndpoint$", "PUT /store/", "POST .*:validateUpload$"
AT_ONCE = "POST .*/datasets/[^/]+:upload$"
AT_ONCE_BYTES = 100  # so that a test's rows are above it

UPLOADING = Reply(200, {"name": "accounts/me/datasets/any", "state": "UPLOADING"})


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ssl.SSLContext]:
    """Of the store; this process trusts its authority."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("store"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SSL_CERT_FILE", str(authority.ca))
        yield context


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving(FireworksTuning()) as server:
        yield server


@pytest.fixture
def store(server: FakeServer, tls: ssl.SSLContext) -> Iterator[FakeServer]:
    """Another server of the same fake."""
    with serving(server.answers, tls) as store:
        server.answers.storage_url = store.url  # type: ignore[attr-defined]
        yield store


def connected(server: FakeServer) -> fireworks.FireworksTuning:
    return fireworks.FireworksTuning(server.answers.token, "me", server.url, AT_ONCE_BYTES)


@pytest.fixture
def job(server: FakeServer, store: FakeServer, tmp_path: Path) -> Iterator[HostedJob]:
    with contextlib.closing(connected(server)) as provider:
        yield HostedJob(server, tmp_path, connected=provider)


def test_large_rows_go_to_the_signed_address(job: HostedJob, store: FakeServer) -> None:
    assert_one_result(job, job.run())
    assert (job.server.times(AT_ONCE), job.server.times(REGISTER), store.times(PUT)) == (0, 2, 2)
    assert sorted(len(rows.splitlines()) for rows in job.fake.contents.values()) == [4, 12]
    assert_nothing_left(job)


def test_a_file_of_more_than_150_mb_takes_that_way(server: FakeServer, store: FakeServer, tmp_path: Path) -> None:
    line = b'{"messages": []}'.ljust(1_000_000) + b"\n"
    file = tmp_path / "train.jsonl"
    with file.open("wb") as rows:
        rows.writelines([line] * 151)
    access = server.answers.access(server.url, server.answers.token)  # type: ignore[attr-defined]
    with contextlib.closing(fireworks.connect(access)) as provider:
        own = provider.upload("job-1-1-train.jsonl", file)
        assert provider.uploads("job-1") == {"job-1-1-train.jsonl": own}
    assert (server.times(AT_ONCE), store.times(PUT)) == (0, 1)
    assert len(server.answers.contents[own]) == 151 * len(line)  # type: ignore[attr-defined]


def faults_of(job: HostedJob, store: FakeServer, name: str) -> FakeServer:
    return store if name == PUT else job.server


@pytest.mark.parametrize("lost", LOST, ids=str)
@pytest.mark.parametrize("name", [REGISTER, PUT, VALIDATE], ids=["register", "put", "validate"])
def test_an_answer_that_is_lost_or_nonsense(
    job: HostedJob, store: FakeServer, name: str, lost: dict[str, object]
) -> None:
    faults_of(job, store, name).faults = [Fault(name, **lost)]  # type: ignore[arg-type]
    final = job.run()
    for each in (job.server, store):
        each.settle()
    assert_one_result(job, final)
    assert_nothing_left(job)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", [REGISTER, PUT, VALIDATE], ids=["register", "put", "validate"])
def test_another_process_goes_on(job: HostedJob, store: FakeServer, tmp_path: Path, name: str, when: str) -> None:
    faults_of(job, store, name).faults = [Fault(name, when)]  # type: ignore[arg-type]

    def stop(_seconds: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        job.run(pause=stop)
    datasets = list(job.fake.files)
    with contextlib.closing(connected(job.server)) as provider:
        job._connected = provider
        assert_one_result(job, job.run())
    assert datasets == list(job.fake.files)[: len(datasets)], "no dataset was made anew"
    assert len(job.fake.files) == 2
    assert store.times(PUT) <= 3


def test_rows_that_a_stale_list_does_not_show_are_not_sent_again(job: HostedJob, store: FakeServer) -> None:
    stale = Reply(200, {"datasets": []})
    job.server.faults = [Fault(VALIDATE), Fault("GET .*/datasets$", "before", "reply", stale, skip=1)]
    assert_one_result(job, job.run())
    assert store.times(PUT) == 2


def test_rows_that_arrive_while_they_are_sent_again_are_there(job: HostedJob, store: FakeServer) -> None:
    """A call to fill the dataset takes effect late, and what comes after it is refused."""
    job.server.faults = [
        Fault(VALIDATE),
        Fault("GET .*/datasets$", "before", "reply", Reply(200, {"datasets": []}), skip=1),
    ]
    job.server.faults.append(Fault("GET .*/datasets/[^/]+-train$", "before", "reply", UPLOADING, skip=1))
    assert_one_result(job, job.run())
    assert job.server.times(REGISTER) == 3
    assert store.times(PUT) == 2


def test_an_address_that_is_refused_is_not_shown(job: HostedJob, store: FakeServer) -> None:
    store.faults = [Fault(PUT, "before", "reply", Reply(403, b"expired"))]
    assert_one_result(job, job.run())
    assert any("HTTP 403 from the store that takes the rows" in note for note in job.notes)
    assert not any(SIGNATURE in note or "store/" in note for note in job.notes)


def test_rows_are_not_sent_without_tls(job: HostedJob, server: FakeServer) -> None:
    job.fake.storage_url = server.url
    with pytest.raises(PreconditionError, match="non-https"):
        job.run()
    assert server.times(PUT) == 0
    assert_nothing_left(job)


def test_rows_are_not_sent_in_the_clear_to_a_dataset_that_wants_them_encrypted(
    job: HostedJob, store: FakeServer
) -> None:
    job.fake.encrypted = True
    with pytest.raises(PreconditionError, match="does not encrypt"):
        job.run()
    assert store.times(PUT) == 0
    assert_nothing_left(job)
