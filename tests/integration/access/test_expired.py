"""A certificate that expired while its service ran: the clients refuse it and say whose matter it is.

Our services do not start on one, so the endpoints here are other servers.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest
from certificate_making import Authority

from burnish.errors import PreconditionError
from burnish_client.sdk.curator import CuratorClient
from burnish_client.sdk.trainer import TrainerClient

WORDS = r"its certificate is expired or not valid yet \(certificate has expired\): renew it at the service"


@contextmanager
def https_endpoint(certificate: Path, key: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def grpc_endpoint(certificate: Path, key: Path) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1))
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield f"grpcs://127.0.0.1:{port}"
    server.stop(None).wait()


def test_an_expired_certificate_is_refused_over_https(authority: Authority) -> None:
    with (
        https_endpoint(*authority.issue("expired", days=(-30, -1))) as url,
        CuratorClient(url, "t", ca=authority.ca) as curator,
        pytest.raises(PreconditionError, match=WORDS),
    ):
        curator.run_logs()


def test_an_expired_certificate_is_refused_over_grpc(authority: Authority) -> None:
    with (
        grpc_endpoint(*authority.issue("expired", days=(-30, -1))) as address,
        TrainerClient(address, "t", ca=authority.ca) as trainer,
        pytest.raises(PreconditionError, match=WORDS),
    ):
        trainer.list_jobs()


def test_a_ca_file_that_cannot_be_used_is_named_before_anything_is_asked(tmp_path: Path) -> None:
    for make in (
        lambda: CuratorClient("https://127.0.0.1:9", "t", ca=tmp_path / "none.pem"),
        lambda: TrainerClient("grpcs://127.0.0.1:9", "t", ca=tmp_path / "none.pem"),
    ):
        with pytest.raises(PreconditionError, match=r"^BURNISH_CA: .*none\.pem cannot be read"):
            make()
