"""The three services over TLS through the real clients: what is answered, what is refused, and what a caller is told."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import time
from pathlib import Path

import pytest
from certificate_making import Authority
from integration.access.services import TOKEN, Services

from burnish.errors import NotFoundError, PreconditionError, UnauthenticatedError
from burnish.schemas.base import Message
from burnish_client.config.endpoints import Service
from burnish_client.evaluation.asking.chat import ChatClient, Endpoint
from burnish_client.sdk.curator import CuratorClient
from burnish_client.sdk.inference import InferenceClient
from burnish_client.sdk.trainer import TrainerClient
from burnish_client.sdk.transport.reachability import check_services

SERVICES: tuple[Service, ...] = ("curator", "trainer", "inference")


def ask(service: Service, address: str, ca: Path | None, token: str = TOKEN) -> None:
    client = {"curator": CuratorClient, "trainer": TrainerClient, "inference": InferenceClient}[service]
    with client(address, token, ca=ca) as opened:
        opened.check_access()


def chat(address: str, ca: Path | None) -> str | None:
    async def complete() -> str | None:
        async with ChatClient(Endpoint(address, TOKEN, ca=ca), concurrency=1) as client:
            return (await client.complete("tiny", [Message(role="user", content="hi")], {})).text

    return asyncio.run(complete())


def test_all_three_answer_callers_that_trust_their_authority(over_tls: Services, authority: Authority) -> None:
    with CuratorClient(over_tls.address("curator"), TOKEN, ca=authority.ca) as curator:
        curator.check_access()
        assert curator.run_logs() == []
    with TrainerClient(over_tls.address("trainer"), TOKEN, ca=authority.ca) as trainer:
        assert trainer.list_jobs() == []
        with pytest.raises(NotFoundError):  # a stream, and an error that is rebuilt from its details
            next(trainer.watch("job-unknown"))
    with InferenceClient(over_tls.address("inference"), TOKEN, ca=authority.ca) as inference:
        assert inference.base_model() == "tiny"
    assert chat(over_tls.address("inference"), authority.ca) == "over TLS"


@pytest.mark.parametrize("service", SERVICES)
def test_a_wrong_token_is_refused_over_tls_too(over_tls: Services, authority: Authority, service: Service) -> None:
    with pytest.raises(UnauthenticatedError):
        ask(service, over_tls.address(service), authority.ca, token="token-of-somebody-else")


@pytest.mark.parametrize("service", SERVICES)
def test_a_name_that_is_not_in_the_certificate_is_refused(
    over_tls: Services, authority: Authority, service: Service
) -> None:
    with pytest.raises(PreconditionError, match="its certificate is not for 'localhost'"):
        ask(service, over_tls.address(service, "localhost"), authority.ca)


@pytest.mark.parametrize("service", SERVICES)
def test_an_authority_that_is_not_trusted_is_refused(
    over_tls: Services, other_authority: Authority, service: Service
) -> None:
    with pytest.raises(PreconditionError, match=r"not trusted by the system's authorities .*set BURNISH_CA to the PEM"):
        ask(service, over_tls.address(service), None)
    with pytest.raises(PreconditionError, match=f"not trusted by the authorities of {other_authority.ca}"):
        ask(service, over_tls.address(service), other_authority.ca)


@pytest.mark.parametrize("service", SERVICES)
def test_a_plain_caller_is_told_to_use_tls_and_soon(over_tls: Services, service: Service) -> None:
    started = time.monotonic()
    scheme = "grpcs" if service == "trainer" else "https"
    with pytest.raises(PreconditionError, match=rf"this endpoint uses TLS: write {scheme}://127\.0\.0\.1:"):
        ask(service, over_tls.address(service, secure=False), None)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("service", SERVICES)
def test_a_tls_caller_of_a_plain_endpoint_is_told_that_it_is_plain(
    in_plain: Services, authority: Authority, service: Service
) -> None:
    with pytest.raises(PreconditionError, match="this endpoint does not use TLS"):
        ask(service, in_plain.address(service, secure=True), authority.ca)
    ask(service, in_plain.address(service), authority.ca)  # a CA does no harm in plain


def test_the_eval_client_says_the_same_at_its_first_question(
    over_tls: Services, in_plain: Services, other_authority: Authority
) -> None:
    for address, ca, words in (
        (over_tls.address("inference"), other_authority.ca, "not trusted by the authorities of"),
        (over_tls.address("inference", secure=False), None, "this endpoint uses TLS"),
        (in_plain.address("inference", secure=True), None, "this endpoint does not use TLS"),
    ):
        started = time.monotonic()
        with pytest.raises(PreconditionError, match=words):
            chat(address, ca)
        assert time.monotonic() - started < 5


def test_what_each_service_says_is_told_apart(over_tls: Services, in_plain: Services, authority: Authority) -> None:
    nobody = socket.create_server(("127.0.0.1", 0))
    closed = f"https://127.0.0.1:{nobody.getsockname()[1]}"
    nobody.close()
    addresses: dict[Service, str] = {
        "curator": over_tls.address("curator"),
        "trainer": in_plain.address("trainer", secure=True),
        "inference": closed,
    }
    answers = check_services(addresses, TOKEN, authority.ca)
    assert [answer.state for answer in answers] == ["accepted", "failed", "unreachable"]
    assert [
        answer.state for answer in check_services({"trainer": over_tls.address("trainer")}, "not-it", authority.ca)
    ] == ["refused"]


def shown(port: int, authority: Authority) -> str:
    trusting = ssl.create_default_context(cafile=authority.ca)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        trusting.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        return str(dict(entry[0] for entry in (connection.getpeercert() or {})["subject"])["commonName"])  # type: ignore[index, misc]


def test_renewed_files_are_shown_by_all_three_without_a_restart(over_tls: Services, authority: Authority) -> None:
    assert over_tls.certificate is not None
    key = over_tls.certificate.with_suffix(".key")
    assert {shown(over_tls.ports[service], authority) for service in SERVICES} == {"services"}
    renewed_certificate, renewed_key = authority.issue("renewed", ("127.0.0.1",))
    shutil.copy(renewed_certificate, over_tls.certificate)
    for service in SERVICES:
        ask(service, over_tls.address(service), authority.ca)  # between the two files, the pair of before is shown
    shutil.copy(renewed_key, key)
    assert {shown(over_tls.ports[service], authority) for service in SERVICES} == {"renewed"}
    for service in SERVICES:
        ask(service, over_tls.address(service), authority.ca)
