"""Callers that never stop asking, and somebody who looks who has the card: what they must not see is in `wrong`."""

from __future__ import annotations

import threading
from collections import Counter
from types import TracebackType

import httpx

from lending.stack import HEADERS, Lending, Service

PAUSE_SECONDS = 0.25


class Traffic:
    """outcomes: what callers got. wrong: what none may get, and each time at which a worker and vLLM had the card."""

    def __init__(self, lending: Lending) -> None:
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._lending = lending
        self._ended = threading.Event()
        work = [lambda: self._ask_on(stream=False), lambda: self._ask_on(stream=True), self._look_on]
        self._threads = [threading.Thread(target=one) for one in work]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _look_on(self) -> None:
        while not self._ended.wait(PAUSE_SECONDS):
            if self._is_held_twice() and self._is_held_twice():  # a file and a process list are not one moment
                self.wrong.append("a worker trains while vLLM has the card")

    def _is_held_twice(self) -> bool:
        return bool(self._lending.trainer.worker_pids()) and self._lending.service.card.is_taken()

    def _ask_on(self, stream: bool) -> None:
        service = self._lending.service
        with httpx.Client(base_url=service.url, headers=HEADERS, timeout=60, trust_env=False) as http:
            while not self._ended.wait(PAUSE_SECONDS):
                self._ask(service, http, stream)

    def _ask(self, service: Service, http: httpx.Client, stream: bool) -> None:
        body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
        lived = service.is_meant_to_live
        try:
            response = http.post("/v1/chat/completions", json=body)
        except httpx.TransportError as error:
            self.outcomes["no answer, the service was dead"] += 1
            if lived and service.is_meant_to_live:
                self.wrong.append(f"no answer of a living service: {error!r}")
            return
        text, status = response.text, response.status_code
        if status == httpx.codes.OK and (text.endswith("data: [DONE]\n\n") if stream else '"hello"' in text):
            self.outcomes["answered"] += 1
        elif status == httpx.codes.OK and stream and '"error"' in text:
            self.outcomes["stream ended by an error event"] += 1
        elif status == httpx.codes.SERVICE_UNAVAILABLE and "retry-after" in response.headers:
            self.outcomes[f"503 {response.json()['error']['reason']}"] += 1
        else:
            self.wrong.append(f"{status} {dict(response.headers)}: {text[:300]}")
