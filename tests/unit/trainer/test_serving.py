"""The trainer's calls of the inference service, over a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from burnish.errors import UnavailableError
from burnish.schemas.device import DeviceStatus, LeaseAnswer, LeaseRequest
from burnish_trainer.serving import HttpServing, lent_devices

STATUS = DeviceStatus(sharing="sleep", devices=["GPU-1"], phase="asleep", holder="job/1", is_granted=True)
ANSWER = LeaseAnswer(needed=True, granted=True, device=STATUS)
ASK = LeaseRequest(holder="job/1", devices=["GPU-1"], size_bytes=5, ttl_seconds=60)


class Server(ThreadingHTTPServer):
    """Answers every call with one text, and remembers the calls."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls: list[tuple[str, str, str | None, bytes]] = []
        self.status, self.text = 200, ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.calls.append((self.command, self.path, self.headers["Authorization"], body))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.text.encode())

    do_POST = do_DELETE = do_GET

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_each_call_has_its_path_and_the_token(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # a proxy is not asked for a service of ours
    serving = HttpServing(server.url + "/", "secret")
    server.text = ANSWER.model_dump_json()
    assert serving.ask(ASK) == ANSWER
    server.text = STATUS.model_dump_json()
    assert serving.status() == STATUS
    assert lent_devices(serving) == ["GPU-1"]
    serving.give_back("job/1")
    assert [(method, path) for method, path, _, _ in server.calls] == [
        ("POST", "/v1/device/lease"),
        ("GET", "/v1/device"),
        ("GET", "/v1/device"),
        ("DELETE", "/v1/device/lease/job%2F1"),
    ]
    assert {token for _, _, token, _ in server.calls} == {"Bearer secret"}
    assert LeaseRequest.model_validate_json(server.calls[0][3]) == ASK


def test_devices_that_are_shared_otherwise_are_not_lent(server: Server) -> None:
    server.text = STATUS.model_copy(update={"sharing": "share"}).model_dump_json()
    assert lent_devices(HttpServing(server.url, "secret")) == []


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (401, '{"error": {"message": "send the token"}}', "answers 401: send the token"),
        (404, "nothing here", "answers 404: nothing here"),
        (200, "{}", "another answer than this version expects"),
        (200, "no JSON", "another answer than this version expects"),
    ],
)
def test_any_other_answer_says_what_to_do(server: Server, status: int, text: str, said: str) -> None:
    server.status, server.text = status, text
    with pytest.raises(UnavailableError, match=said) as caught:
        HttpServing(server.url, "secret").status()
    assert "BURNISH_TRAINER_INFERENCE_URL" in caught.value.message


def test_nobody_there_is_unavailable(server: Server) -> None:
    serving = HttpServing(server.url.replace(str(server.server_port), "9"), "secret", seconds=2)
    with pytest.raises(UnavailableError, match="does not answer"):
        serving.ask(ASK)
