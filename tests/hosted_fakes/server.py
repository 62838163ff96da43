"""A provider on loopback, whichever: a server on a free port, the token, faults at chosen requests, and a list of what was asked.

It speaks the recorded wire to the real SDK, loses answers, and breaks when it is told to.
"""

from __future__ import annotations

import email
import email.policy
import json
import os
import re
import signal
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Protocol
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    def form(self) -> dict[str, Any]:
        """The parts of a multipart body by their names."""
        return {str(part.get_param("name", header="content-disposition")): part for part in self._parts()}

    def parts(self) -> list[bytes]:
        """The contents of a multipart body, in order."""
        return [bytes(part.get_payload(decode=True)) for part in self._parts()]

    def _parts(self) -> Iterator[Any]:
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        message: Any = email.message_from_bytes(head + self.body, policy=email.policy.HTTP)
        yield from message.iter_parts()


@dataclass(frozen=True)
class Reply:
    """body: bytes as they are, anything else as JSON."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """What goes wrong with the first `times` requests whose name matches the pattern from its start, after letting `skip` of them pass.

    when: whether the request has taken effect by then. action: reset the connection, SIGKILL the process that asks (`victim`),
    or answer `reply`. seconds: to wait before. late: the request takes effect only that many seconds after it was answered.
    """

    name: str
    when: Literal["before", "after"] = "after"
    action: Literal["reset", "kill", "reply"] = "reset"
    reply: Reply = Reply(500, {"error": {"message": "it broke"}})
    times: int = 1
    skip: int = 0
    seconds: float = 0.0
    late: float = 0.0

    def meets(self, request: Request) -> bool:
        if not re.match(self.name, request.name) or self.times <= 0:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class Answers(Protocol):
    """A fake provider. If it has `open_paths`: beginnings of paths that take no token (signed addresses)."""

    token: str

    def answer(self, request: Request) -> Reply: ...


class FakeServer:
    """Serves `answers` at an address, on a free port of loopback unless it is given, over TLS with a context. victim: asked for the pid that a kill ends, if it has not ended it itself. asked: names of all requests that came."""

    def __init__(
        self, answers: Answers, tls: ssl.SSLContext | None = None, address: tuple[str, int] = ("127.0.0.1", 0)
    ) -> None:
        self.answers = answers
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self.victim: Callable[[], int | None] = lambda: None
        self._lock = threading.Lock()
        self._late: list[threading.Timer] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                outer.handle(self)

            do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = handle_any

            def log_message(self, *arguments: Any) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128  # an evaluation opens many connections at once
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None: ...

        self._server = Server(address, Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def times(self, pattern: str) -> int:
        """How often something was asked whose name matches from its start."""
        return sum(bool(re.match(pattern, name)) for name in self.asked)

    def settle(self) -> None:
        """Wait until every late request has taken effect."""
        for late in self._late:
            late.join()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(handler.command, url.path, dict(parse_qsl(url.query)), headers, body)
        with self._lock:
            self.asked.append(request.name)
            fault = next((fault for fault in self.faults if fault.meets(request)), None)
            if fault is None:
                reply = self._answer(request)
            elif fault.when == "before":
                reply = fault.reply
                if fault.late:
                    self._late.append(threading.Timer(fault.late, self._later, [request]))
                    self._late[-1].start()
            else:
                self._answer(request)
                reply = fault.reply
        if fault is not None:
            time.sleep(fault.seconds)
            if fault.action == "kill" and (pid := self.victim()) is not None:
                os.kill(pid, signal.SIGKILL)
            if fault.action != "reply":
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                handler.connection.close()
                handler.close_connection = True
                return
        self._send(handler, reply)

    def _later(self, request: Request) -> None:
        with self._lock:
            self._answer(request)

    def _answer(self, request: Request) -> Reply:
        is_open = request.path.startswith(getattr(self.answers, "open_paths", ()))
        if not is_open and request.headers.get("authorization") != f"Bearer {self.answers.token}":
            shown = request.headers.get("authorization", "")  # as a careless server would
            message = f"Incorrect API key provided: {shown}"
            return Reply(
                401, {"error": {"message": message, "type": "invalid_request_error", "code": "invalid_api_key"}}
            )
        return self.answers.answer(request)

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        handler.send_response_only(reply.status)
        usual = {"Content-Type": "application/json", "Date": handler.date_time_string()}
        for name, value in {**usual, **reply.headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)


@contextmanager
def serving(answers: Answers, tls: ssl.SSLContext | None = None) -> Iterator[FakeServer]:
    server = FakeServer(answers, tls)
    try:
        yield server
    finally:
        server.close()
