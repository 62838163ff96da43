"""SeaweedFS's inner ports answer nobody but the server itself: on a host with other users S3 is the one way in."""

from __future__ import annotations

import http.client
import os
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from burnish.objectstores.seaweedfs_security import KEY, SETTINGS
from burnish.testing.seaweed import Seaweed, running_seaweed

PATHS = ("/", "/dir/assign", "/cluster/status", "/buckets/burnish/secret", "/vol/status", "/status", "/metrics")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S3", "false")  # weed takes flags from its environment
        patch.setenv("FILER", "nonsense")
        with running_seaweed(tmp_path_factory.mktemp("seaweed")) as running:
            running.store("burnish").ensure_bucket()
            running.store("burnish").put("secret", b"of one user")
            yield running


@pytest.fixture(scope="module")
def inner_ports(server: Seaweed) -> list[int]:
    """All that the server listens on but S3."""
    listening = psutil.Process(server.process.pid).net_connections("inet")
    ports = {c.laddr.port for c in listening if c.status == psutil.CONN_LISTEN}
    found = sorted(ports - {int(server.endpoint.rpartition(":")[2])})
    assert len(found) >= 8
    return found


def _answers_http(port: int, path: str, secure: bool) -> bool:
    """With a page, that is: neither with nothing nor with "this is HTTPS"."""
    context = ssl._create_unverified_context()
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
        if secure
        else http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return not (answer.status == 400 and b"HTTPS server" in answer.read())
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def test_no_inner_port_answers_a_caller_over_http(inner_ports: list[int]) -> None:
    answered = [
        (port, path, secure)
        for port in inner_ports
        for path in PATHS
        for secure in (False, True)
        if _answers_http(port, path, secure)
    ]
    assert answered == []


def test_no_inner_port_answers_a_caller_over_grpc(inner_ports: list[int]) -> None:
    for port in inner_ports:
        target = f"127.0.0.1:{port}"
        certificate = ssl.get_server_certificate(("127.0.0.1", port), timeout=5).encode()
        for channel in (
            grpc.insecure_channel(target),
            grpc.secure_channel(target, grpc.ssl_channel_credentials(certificate)),
        ):
            with channel:
                call = channel.unary_unary("/filer_pb.SeaweedFiler/GetFilerConfiguration")
                with pytest.raises(grpc.RpcError) as refused:
                    call(b"", timeout=5)
                assert refused.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def test_its_own_parts_still_reach_each_other(server: Seaweed) -> None:
    store = server.store("burnish")
    assert store.get("secret") == b"of one user"
    store.put("large", os.urandom(9_000_000))
    assert len(store.get("large")) == 9_000_000


def test_the_keys_are_their_owners(server: Seaweed) -> None:
    folder = Path(server.log).parent / "data/private"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in (KEY, SETTINGS)} == {0o600}
