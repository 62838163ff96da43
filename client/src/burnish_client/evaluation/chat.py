"""One chat completion from an OpenAI-compatible endpoint, retried until it answers or finally fails."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import httpx

from burnish.digests import canonical_json, sha256_hex
from burnish.errors import BurnishError, InvalidInputError, PreconditionError, UnavailableError
from burnish.grading import request_parameters
from burnish.schemas.base import Message
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish_client.config.endpoints import ClientSettings
from burnish_client.evaluation.pace import (
    LOCAL_START,
    START,
    Pace,
    backoff_seconds,
    rate_limit_seconds,
    retry_after_seconds,
)
from burnish_client.sdk import errors as wire
from burnish_client.sdk import tls, tracing
from burnish_client.sdk.http import LOOPBACK

TIMEOUT_COSTS_ATTEMPTS = 4  # a timeout is long: of 8 attempts it leaves one more
MOST_FAILURES_IN_A_ROW = 5
LONGEST_RETRY_AFTER_SECONDS = 600.0
LEAST_LOGPROB = -9999.0  # stands for minus infinity, which JSON does not have
BUSY_STATUSES = frozenset({429, 503})  # everyone waits
RETRIED_STATUSES = frozenset({408, 425, 500, 502, 504})  # this question waits
REFUSING_STATUSES = frozenset(
    {400, 413, 422}
)  # this request is wrong; any other 4xx would be the same for every question
OUT_OF_QUOTA = "insufficient_quota"  # a 429 that no waiting cures
REFUSED_PARAMETER = re.compile(
    r"un(?:supported|recogni[sz]ed|known|expected)|not (?:supported|permitted|allowed|recogni[sz]ed)|extra (?:inputs|fields)|additional propert",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible server, and how patient to be with it.

    url: with or without the trailing /v1. ca: PEM file of the authority that it is trusted by, None: the system's. token: None sends no Authorization header. timeout_seconds: of one request.
    attempts: most requests for one answer; the delay between them starts at first_delay_seconds and doubles up to 30 s.
    without: request parameters that it does not take (`seed`, `temperature`, …) and that are therefore not sent: its answers
    are then what it makes of that. max_tokens_name: what it calls `max_tokens`. `parameters` is what is sent.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    timeout_seconds: float = 300.0
    attempts: int = 8
    first_delay_seconds: float = 0.5
    without: frozenset[str] = frozenset()
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    ca: Path | None = None

    @classmethod
    def from_settings(cls, settings: ClientSettings) -> Self:
        """The stack's own inference front."""
        return cls(settings.address("inference"), settings.secret_token(), ca=settings.ca)

    def client(self, limits: httpx.Limits | None = None) -> httpx.AsyncClient:
        """An HTTP client of this endpoint; a local one is never asked through a proxy of the environment."""
        return httpx.AsyncClient(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {self.token}"} if self.token else {},
            timeout=httpx.Timeout(self.timeout_seconds, connect=10.0, pool=None),
            limits=limits or httpx.Limits(),
            verify=tls.verification(self.url, self.ca),
            event_hooks={"request": [tracing.mark_async]},
            trust_env=not self.is_local,
        )

    @property
    def is_local(self) -> bool:
        return urlsplit(self.base_url).hostname in LOOPBACK

    @property
    def base_url(self) -> str:
        return self.url.rstrip("/").removesuffix("/v1") + "/v1"

    def parameters(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Of the wanted request parameters, those that this endpoint takes, under its names."""
        names = {"max_tokens": self.max_tokens_name}
        return {names.get(name, name): value for name, value in wanted.items() if name not in self.without}


@dataclass(frozen=True)
class Sampling:
    """Parameters of every request. Sample i is asked with seed + i; seed None sends none.

    extra goes into the request body as it is (response_format, structured_outputs, …).
    """

    max_tokens: int = 256
    temperature: float = 0.0
    seed: int | None = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    def body(self, sample: int, max_tokens: int | None = None) -> dict[str, Any]:
        """Request parameters of one sample; max_tokens overrides (a question's own budget)."""
        seed = {} if self.seed is None else {"seed": self.seed + sample}
        return {"max_tokens": max_tokens or self.max_tokens, "temperature": self.temperature, **seed, **self.extra}

    def of(self, question: BenchmarkQuestion, sample: int) -> dict[str, Any]:
        """Request parameters of one sample of a question: its own budget, and what its grader needs (log-probabilities)."""
        return {**self.body(sample, question.max_tokens), **request_parameters(question.grader)}


@dataclass(frozen=True)
class Reply:
    """text and what came with it; or error, a sentence, where this question finally failed."""

    text: str | None = None
    error: str | None = None
    finish_reason: str | None = None
    latency_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_logprobs: dict[str, float] | None = None


@dataclass(frozen=True)
class _Retry:
    """A failure worth another attempt, after a delay of this question's own. unreachable: nothing answered at all."""

    failure: str
    delay_seconds: float
    attempts_spent: int = 1
    unreachable: bool = False


class ChatClient:
    """Asks one endpoint at an adaptive pace. An async context manager.

    Connection errors, timeouts, 408, 425, 429 and 5xx are tried `attempts` times with back-off; 429, 503 and their
    Retry-After (or x-ratelimit-*) hold up every question, the others their own only. A question that still fails gets a
    Reply with `error`. Raises what concerns every question: wrong token, no quota, unknown model, a parameter that the
    endpoint does not take, an adapter that does not fit, an endpoint that cannot be reached, five failed in a row.
    """

    def __init__(self, endpoint: Endpoint, concurrency: int) -> None:
        self.endpoint = endpoint
        self.pace = Pace(concurrency, endpoint.timeout_seconds, start=LOCAL_START if endpoint.is_local else START)
        self._answered = self._failed_in_a_row = 0
        self._http = endpoint.client(httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency))

    async def __aenter__(self) -> ChatClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._http.aclose()

    async def complete(self, model: str, messages: list[Message], parameters: Mapping[str, Any]) -> Reply:
        body = {"model": model, "messages": [message.model_dump() for message in messages], **parameters}
        answered_before = self._answered
        spent, retry = 0, _Retry("not asked", 0.0)
        while spent < self.endpoint.attempts:
            await asyncio.sleep(retry.delay_seconds)
            async with self.pace.turn() as sent_at:
                outcome = await self._once(body, spent, sent_at)
            if isinstance(outcome, Reply):
                self._failed_in_a_row = 0
                return outcome
            retry = outcome
            spent += retry.attempts_spent
        self._failed_in_a_row += 1
        unreachable = retry.unreachable and self._answered == answered_before
        if unreachable or self._failed_in_a_row >= MOST_FAILURES_IN_A_ROW:
            raise UnavailableError(
                f"endpoint {self.endpoint.base_url} gives no answers, last: {retry.failure}. Those so far are kept: "
                "run the same command again when it does"
            )
        return Reply(error=f"given up after several attempts: {retry.failure}")

    async def _once(self, body: dict[str, Any], attempt: int, sent_at: float) -> Reply | _Retry:
        own_delay_seconds = backoff_seconds(attempt, self.endpoint.first_delay_seconds)
        try:
            response = await self._http.post("/chat/completions", json=body)
        except httpx.ReadTimeout:
            self.pace.pushed_back(0.0, sent_at)
            late = f"no answer within {self.endpoint.timeout_seconds:g} s"
            return _Retry(late, own_delay_seconds, attempts_spent=TIMEOUT_COSTS_ATTEMPTS)
        except httpx.TransportError as error:
            self.pace.pushed_back(0.0, sent_at)
            await self._check_tls(error)
            return _Retry(f"{type(error).__name__} {error}".strip(), own_delay_seconds, unreachable=True)
        if response.status_code in BUSY_STATUSES:
            self.pace.pushed_back(self._pause_seconds(response, own_delay_seconds), sent_at)
            return _Retry(_excerpt(response), 0.0)
        if response.status_code in RETRIED_STATUSES:
            return _Retry(_excerpt(response), own_delay_seconds)
        if response.is_error:
            return self._refusal(response, body)
        return self._accepted(response, seconds=time.monotonic() - sent_at)

    async def _check_tls(self, error: httpx.TransportError) -> None:
        """Raise, while the endpoint has never answered, where TLS is what keeps us from it: that is so for every question."""
        if self._answered == 0:
            fault = await asyncio.to_thread(tls.find_fault, self.endpoint.base_url, self.endpoint.ca)
            if fault is not None:
                raise fault from error

    def _accepted(self, response: httpx.Response, seconds: float) -> Reply:
        reply = _reply(response, latency_ms=seconds * 1000)
        self._answered += 1
        self.pace.answered(seconds, reply.completion_tokens or 1)
        spent_for = rate_limit_seconds(response.headers)
        if spent_for is not None:
            self.pace.pause(min(spent_for, LONGEST_RETRY_AFTER_SECONDS))
        return reply

    def _pause_seconds(self, response: httpx.Response, otherwise: float) -> float:
        if OUT_OF_QUOTA in response.text:
            raise PreconditionError(
                f"endpoint {self.endpoint.base_url} has no quota left for this token ({_excerpt(response)}): "
                "run the same command again when it has; the answers so far are kept"
            )
        asked = retry_after_seconds(response.headers.get("retry-after"))
        if asked is None:
            asked = rate_limit_seconds(response.headers)
        if asked is not None and asked > LONGEST_RETRY_AFTER_SECONDS:
            raise UnavailableError(
                f"endpoint {self.endpoint.base_url} asks to wait {asked:.0f} s (HTTP {response.status_code}): "
                "run the same command later; the answers so far are kept"
            )
        return otherwise if asked is None else asked

    def _refusal(self, response: httpx.Response, body: Mapping[str, Any]) -> Reply:
        """A 4xx that another attempt would not change: about this question only (a Reply), or about all (raised)."""
        error: BurnishError = wire.from_http(response, f"endpoint {self.endpoint.base_url}")
        if response.status_code not in REFUSING_STATUSES or not _is_of_the_request(error):
            raise error
        refused = _refused_parameter(response, body)
        if refused is not None:
            raise InvalidInputError(
                f"endpoint {self.endpoint.base_url} does not take the parameter {refused!r} (HTTP "
                f"{response.status_code}: {error.message}): {_remedy(refused, error.message)}",
                field=refused,
            )
        return Reply(error=f"HTTP {response.status_code}: {error.message}")


def _is_of_the_request(error: BurnishError) -> bool:
    """An invalid request, ours or (the base class: a reason that is none of ours) a foreign endpoint's."""
    return isinstance(error, InvalidInputError) or type(error) is BurnishError


def _refused_parameter(response: httpx.Response, body: Mapping[str, Any]) -> str | None:
    """The request parameter that a 4xx says is not taken at all; None where it is about a value or about the prompt."""
    if not REFUSED_PARAMETER.search(response.text):
        return None
    sent = [name for name in body if name not in ("model", "messages")]
    return next((name for name in sent if re.search(rf"\b{re.escape(name)}\b", response.text)), None)


def _remedy(parameter: str, message: str) -> str:
    if parameter == "max_tokens" and "max_completion_tokens" in message:
        return "say so with --max-tokens-name max_completion_tokens (Endpoint.max_tokens_name)"
    return f"leave it out with --without {parameter} (Endpoint.without)"


def _excerpt(response: httpx.Response) -> str:
    return f"HTTP {response.status_code} {response.text[:200]}".strip()


def _reply(response: httpx.Response, latency_ms: float) -> Reply:
    try:
        body = response.json()
        choice = body["choices"][0]
        text = (
            (choice["message"]["content"] or "").encode(errors="replace").decode()
        )  # half a surrogate pair is no text
        usage = body.get("usage") or {}
        return Reply(
            text=text,
            finish_reason=choice.get("finish_reason"),
            latency_ms=round(latency_ms, 3),
            prompt_tokens=usage.get("prompt_tokens"),
            completion_tokens=usage.get("completion_tokens"),
            first_token_logprobs=_first_token_logprobs(choice),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        return Reply(
            error=f"the answer is not a chat completion ({type(error).__name__} {error}): {response.text[:200]}"
        )


def _first_token_logprobs(choice: Mapping[str, Any]) -> dict[str, float] | None:
    """Text of a token -> log-probability of standing first; tokens of the same text are added up. None where none are given."""
    content = (choice.get("logprobs") or {}).get("content") or []
    if not content or not content[0].get("top_logprobs"):
        return None
    found: dict[str, float] = {}
    for candidate in content[0]["top_logprobs"]:
        token = str(candidate["token"]).encode(errors="replace").decode()
        value = max(float(candidate["logprob"]), LEAST_LOGPROB)
        found[token] = _log_of_sum(found[token], value) if token in found else value
    return found


def _log_of_sum(a: float, b: float) -> float:
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))


def prompt_digest(messages: list[Message]) -> str:
    """Exact digest of a prompt (unlike burnish.digests.prompt_key, which folds case and space)."""
    return sha256_hex(canonical_json([message.model_dump() for message in messages]))


def sampling_digest(parameters: Mapping[str, Any]) -> str:
    return sha256_hex(canonical_json(dict(parameters)))[:16]
