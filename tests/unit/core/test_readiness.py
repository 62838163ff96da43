"""The images' health check: 200 is ready, everything else is said."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from certificate_making import Authority

from burnish.service.readiness import question


class Service(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(b"the engine is starting")

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_200_is_ready(port: int) -> None:
    assert question(port, {"http_proxy": "http://127.0.0.1:1"}) is None


def test_another_answer_and_none_are_told(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Service, "status", 503)
    assert "answered 503: the engine is starting" in str(question(port, {}))
    assert "does not answer" in str(question(1, {}))


def test_a_service_with_a_certificate_is_asked_by_tls_under_whatever_name(port: int, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("elsewhere", names=("gpu.example",))
    environment = {"BURNISH_TLS_CERTIFICATE": str(certificate)}
    assert "does not answer" in str(question(port, environment)), "it speaks no TLS"
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        assert question(server.server_port, environment) is None
        another = authority.issue("another")[0]
        assert "does not answer" in str(question(server.server_port, {"BURNISH_TLS_CERTIFICATE": str(another)}))
        server.shutdown()
        thread.join()


def test_a_certificate_that_is_not_there_is_named() -> None:
    assert "BURNISH_TLS_CERTIFICATE: /nowhere.pem" in str(question(1, {"BURNISH_TLS_CERTIFICATE": "/nowhere.pem"}))
