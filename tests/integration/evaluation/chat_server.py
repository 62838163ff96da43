"""A small OpenAI-compatible server on a real socket, with the manners of a bad one: used by the eval client's tests."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from burnish.schemas.benchmark import BenchmarkQuestion
from burnish_client.evaluation.asking.answers import Answer
from burnish_client.evaluation.asking.ask import Side, ask_sides
from burnish_client.evaluation.request import Endpoint, Sampling


@dataclass
class ChatServer:
    """Answers what `say` says, `<model>: <last message>` by default; knobs below make it refuse, stall or lie. `served` counts what it answered."""

    token: str | None = None
    refuse_first: int = 0  # this many requests get `refusal_status` with `refusal_headers`
    refusal_status: int = 429
    refusal_headers: dict[str, str] = field(default_factory=dict)
    most_in_flight: int | None = None  # more than this at once: 429
    refusal_code: str = "rate_limit"
    refused_parameters: dict[str, str] = field(default_factory=dict)  # parameter -> message of the 400 it gets
    headers: dict[str, str] = field(default_factory=dict)  # of every answer
    usage: bool = True
    finish_reason: str = "stop"
    delay_seconds: float = 0.0
    say: Callable[[str, str], str] = lambda model, prompt: f"{model}: {prompt}"
    top_logprobs: dict[str, float] | None = None  # of the first token, for those who ask
    url: str = ""
    served: Counter[tuple[str, str, Any]] = field(default_factory=Counter)
    order: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0
    refused: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0

    def app(self) -> FastAPI:
        app = FastAPI()
        app.post("/v1/chat/completions")(self.complete)
        return app

    async def complete(self, request: Request) -> Response:
        self.requests += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            return await self._answer(request)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: Request) -> Response:
        body = await request.json()
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return _error(401, "UNAUTHENTICATED", "bad token")
        if self.requests <= self.refuse_first or (self.most_in_flight and self.in_flight > self.most_in_flight):
            self.refused += 1
            error = {"message": "slow down", "code": self.refusal_code}
            return JSONResponse({"error": error}, self.refusal_status, self.refusal_headers)
        for parameter, message in self.refused_parameters.items():
            if parameter in body:
                return _error(400, "invalid_request_error", message)
        await asyncio.sleep(self.delay_seconds)
        prompt = body["messages"][-1]["content"]
        if body["model"] == "unknown":
            return _error(404, "not_found", "there is no model unknown")
        if prompt == "too long":
            return _error(400, "invalid_input", "the prompt has 9999 tokens, 2048 are allowed")
        if prompt == "context":
            return _error(400, "context_length_exceeded", "maximum context length is 8 tokens")
        if prompt == "broken":
            return _error(500, "internal", "a defect")
        if prompt == "malformed":
            return JSONResponse({"choices": []})
        self.served[body["model"], prompt, body.get("seed")] += 1
        self.order.append((body["model"], prompt))
        self.bodies.append(body)
        message = {"role": "assistant", "content": self.say(body["model"], prompt)}
        usage = {"prompt_tokens": 7, "completion_tokens": 3} if self.usage else None
        choice: dict[str, Any] = {"message": message, "finish_reason": self.finish_reason}
        if body.get("logprobs") and self.top_logprobs is not None:
            top = [{"token": token, "logprob": logprob} for token, logprob in self.top_logprobs.items()]
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        reply = {"model": body["model"], "choices": [choice], "usage": usage}
        return Response(
            json.dumps(reply), headers=self.headers, media_type="application/json"
        )  # ASCII, as some send it


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": "error", "param": None, "code": code}}, status)


@contextmanager
def serving(server: ChatServer, port: int = 0) -> Iterator[ChatServer]:
    """The server, answering on loopback in a thread of its own while the context lasts."""
    config = uvicorn.Config(server.app(), host="127.0.0.1", port=port, log_level="error", lifespan="off", ws="none")
    runner = uvicorn.Server(config)
    thread = threading.Thread(target=runner.run)
    thread.start()
    deadline = time.monotonic() + 10
    while not runner.started and time.monotonic() < deadline:
        time.sleep(0.005)
    try:
        server.url = f"http://127.0.0.1:{runner.servers[0].sockets[0].getsockname()[1]}"
        yield server
    finally:
        runner.should_exit = True
        thread.join(timeout=10)


async def ask(
    endpoint: Endpoint,
    model: str,
    questions: Sequence[BenchmarkQuestion],
    *,
    out: Path,
    samples: int = 1,
    digest: str | None = None,
    max_tokens: int = 256,
    temperature: float = 0.0,
    seed: int = 0,
    **how: Any,
) -> list[Answer]:
    """Ask one model as `ask_sides` asks several."""
    side = Side(endpoint, model, out, samples, digest=digest)
    sampling = Sampling(max_tokens=max_tokens, temperature=temperature, seed=seed)
    (answers,) = await ask_sides([side], questions, sampling=sampling, **how)
    return answers
