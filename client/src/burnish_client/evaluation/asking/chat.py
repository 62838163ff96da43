"""One chat completion from an OpenAI-compatible endpoint, retried until it answers or finally fails."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from burnish.digests import canonical_json, sha256_hex
from burnish.errors import BurnishError, DeviceLentError, InvalidInputError, PreconditionError, UnavailableError
from burnish.schemas.base import Message
from burnish_client.evaluation.asking.pace import (
    LOCAL_START,
    START,
    Pace,
    backoff_seconds,
    rate_limit_seconds,
    retry_after_seconds,
)
from burnish_client.evaluation.request import Endpoint
from burnish_client.sdk import errors as wire
from burnish_client.sdk.transport import tls, tracing

TIMEOUT_COSTS_ATTEMPTS = 4  # a timeout is long: of 8 attempts it leaves one more
MOST_FAILURES_IN_A_ROW = 5
LONGEST_RETRY_AFTER_SECONDS = 600.0
LEAST_LOGPROB = -9999.0  # in the place of minus infinity, which JSON does not have
BUSY_STATUSES = frozenset({429, 503})  # everyone waits
RETRIED_STATUSES = frozenset({408, 425, 500, 502, 504})  # this question waits
# This request is wrong. Any other 4xx would be the same for every question.
REFUSING_STATUSES = frozenset({400, 413, 422})
OUT_OF_QUOTA = "insufficient_quota"  # a 429 that no waiting cures
REFUSED_PARAMETER = re.compile(
    r"un(?:supported|recogni[sz]ed|known|expected)|not (?:supported|permitted|allowed|recogni[sz]ed)|extra (?:inputs|fields)|additional propert",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Reply:
    """text and what came with it; or error, a sentence, if this question finally failed."""

    text: str | None = None
    error: str | None = None
    finish_reason: str | None = None
    latency_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_logprobs: dict[str, float] | None = None


class Unanswered(Exception):
    """A request failed in a way that another attempt may mend. The text says how.

    delay_seconds: before that attempt; None: as `backoff_seconds` says. attempts_spent: of the endpoint's.
    unreachable: nothing answered at all.
    """

    def __init__(
        self,
        failure: str,
        delay_seconds: float | None = None,
        *,
        attempts_spent: int = 1,
        unreachable: bool = False,
    ) -> None:
        super().__init__(failure)
        self.delay_seconds, self.attempts_spent, self.unreachable = delay_seconds, attempts_spent, unreachable


def attempts(endpoint: Endpoint) -> AsyncRetrying:
    """Makes a request that raises Unanswered again, until the endpoint's attempts are spent; then raises the last one."""
    spent = 0

    def wait_seconds(state: RetryCallState) -> float:
        delay = _unanswered(state).delay_seconds
        return backoff_seconds(spent, endpoint.first_delay_seconds) if delay is None else delay

    def is_spent(state: RetryCallState) -> bool:
        nonlocal spent
        spent += _unanswered(state).attempts_spent
        return spent >= endpoint.attempts

    return AsyncRetrying(retry=retry_if_exception_type(Unanswered), wait=wait_seconds, stop=is_spent, reraise=True)


def _unanswered(state: RetryCallState) -> Unanswered:
    assert state.outcome is not None
    failure = state.outcome.exception()
    assert isinstance(failure, Unanswered)
    return failure


def http_client(endpoint: Endpoint, limits: httpx.Limits | None = None) -> httpx.AsyncClient:
    """An HTTP client of this endpoint; a local one is never asked through a proxy of the environment."""
    return httpx.AsyncClient(
        base_url=endpoint.base_url,
        headers={"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {},
        timeout=httpx.Timeout(endpoint.timeout_seconds, connect=10.0, pool=None),
        limits=limits or httpx.Limits(),
        verify=tls.verification(endpoint.url, endpoint.ca),
        event_hooks={"request": [tracing.mark_async]},
        trust_env=not endpoint.is_local,
    )


class ChatClient:
    """Asks one endpoint at an adaptive pace. An async context manager.

    While a training job has the endpoint's device (a DeviceLentError of ours) it waits, for as long as that takes.
    Connection errors, timeouts, 408, 425, 429 and 5xx are tried `attempts` times with back-off; 429, 503 and their
    Retry-After (or x-ratelimit-*) hold up every question, the others their own only. A question that still fails gets a
    Reply with `error`. Raises what concerns every question: wrong token, no quota, unknown model, a parameter that the
    endpoint does not take, an adapter that does not fit, an endpoint that cannot be reached, five failed in a row.
    """

    def __init__(self, endpoint: Endpoint, concurrency: int) -> None:
        self.endpoint = endpoint
        self.pace = Pace(concurrency, endpoint.timeout_seconds, start=LOCAL_START if endpoint.is_local else START)
        self._answered = self._failed_in_a_row = 0
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        self._http = http_client(endpoint, limits)

    async def __aenter__(self) -> ChatClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._http.aclose()

    async def complete(self, model: str, messages: list[Message], parameters: Mapping[str, Any]) -> Reply:
        body = {"model": model, "messages": [message.model_dump() for message in messages], **parameters}
        answered_before = self._answered
        try:
            async for attempt in attempts(self.endpoint):
                with attempt:
                    reply = await self._once(body, attempt.retry_state.attempt_number)
        except Unanswered as failed:
            self._failed_in_a_row += 1
            unreachable = failed.unreachable and self._answered == answered_before
            if unreachable or self._failed_in_a_row >= MOST_FAILURES_IN_A_ROW:
                raise UnavailableError(
                    f"endpoint {self.endpoint.base_url} gives no answers, last: {failed}. Those so far are kept: "
                    "run the same command again when it does"
                ) from failed
            return Reply(error=f"given up after several attempts: {failed}")
        self._failed_in_a_row = 0
        return reply

    async def _once(self, body: dict[str, Any], attempt: int) -> Reply:
        """attempt: counted from 1."""
        async with self.pace.turn() as sent_at:
            try:
                response = await self._http.post("/chat/completions", json=body)
            except httpx.ReadTimeout as error:
                self.pace.lost(sent_at)
                late = f"no answer within {self.endpoint.timeout_seconds:g} s"
                raise Unanswered(late, attempts_spent=TIMEOUT_COSTS_ATTEMPTS) from error
            except httpx.TransportError as error:
                self.pace.lost(sent_at)
                await self._check_tls(error)
                raise Unanswered(f"{type(error).__name__} {error}".strip(), unreachable=True) from error
            if (seconds := lent_seconds(response)) is not None:
                self.pace.pause(seconds)
                raise Unanswered(excerpt(response), 0.0, attempts_spent=0)
            if response.status_code in BUSY_STATUSES:
                self.pace.pushed_back(self._pause_seconds(response, attempt), sent_at)
                raise Unanswered(excerpt(response), 0.0)
            if response.status_code in RETRIED_STATUSES:
                raise Unanswered(excerpt(response))
            if response.is_error:
                return self._refusal(response, body)
            return self._accepted(response, seconds=time.monotonic() - sent_at)

    async def _check_tls(self, error: httpx.TransportError) -> None:
        """Raise if the endpoint has never answered and TLS is the reason, which is the same for every question."""
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

    def _pause_seconds(self, response: httpx.Response, attempt: int) -> float:
        if OUT_OF_QUOTA in response.text:
            raise PreconditionError(
                f"endpoint {self.endpoint.base_url} has no quota left for this token ({excerpt(response)}): "
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
        return backoff_seconds(attempt - 1, self.endpoint.first_delay_seconds) if asked is None else asked

    def _refusal(self, response: httpx.Response, body: Mapping[str, Any]) -> Reply:
        """A 4xx that another attempt would not change: about this question only (a Reply), or about all (raised)."""
        error: BurnishError = wire.from_http(response, f"endpoint {self.endpoint.base_url}")
        # Of the base class is a reason that is none of ours: a foreign endpoint's.
        invalid = isinstance(error, InvalidInputError) or type(error) is BurnishError
        if response.status_code not in REFUSING_STATUSES or not invalid:
            raise error
        refused = _refused_parameter(response, body)
        if refused is not None:
            raise InvalidInputError(
                f"endpoint {self.endpoint.base_url} does not take the parameter {refused!r} (HTTP "
                f"{response.status_code}: {error.message}): {_remedy(refused, error.message)}",
                field=refused,
            )
        return Reply(error=f"HTTP {response.status_code}: {error.message}")


def _refused_parameter(response: httpx.Response, body: Mapping[str, Any]) -> str | None:
    """The request parameter that a 4xx says is not taken at all; None if it is about a value or about the prompt."""
    if not REFUSED_PARAMETER.search(response.text):
        return None
    sent = [name for name in body if name not in ("model", "messages")]
    return next((name for name in sent if re.search(rf"\b{re.escape(name)}\b", response.text)), None)


def _remedy(parameter: str, message: str) -> str:
    if parameter == "max_tokens" and "max_completion_tokens" in message:
        return "say so with --max-tokens-name max_completion_tokens (Endpoint.max_tokens_name)"
    return f"leave it out with --without {parameter} (Endpoint.without)"


def lent_seconds(response: httpx.Response) -> float | None:
    """Seconds to wait if a training job has the endpoint's device, which is neither a failure nor a reason to ask more slowly; None if not."""
    if response.status_code != UnavailableError.code.http_status:
        return None
    if not isinstance(wire.from_http(response, ""), DeviceLentError):
        return None
    return min(retry_after_seconds(response.headers.get("retry-after")) or 1.0, LONGEST_RETRY_AFTER_SECONDS)


def excerpt(response: httpx.Response) -> str:
    return f"HTTP {response.status_code} {response.text[:200]}".strip()


def _reply(response: httpx.Response, latency_ms: float) -> Reply:
    try:
        body = response.json()
        choice = body["choices"][0]
        # Half a surrogate pair is no text.
        text = (choice["message"]["content"] or "").encode(errors="replace").decode()
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
    """Text of a token -> log-probability of standing first; tokens of the same text are added up. None if none are given."""
    content = (choice.get("logprobs") or {}).get("content") or []
    if not content or not content[0].get("top_logprobs"):
        return None
    found: dict[str, float] = {}
    for candidate in content[0]["top_logprobs"]:
        token = str(candidate["token"]).encode(errors="replace").decode()
        value = max(float(candidate["logprob"]), LEAST_LOGPROB)
        if token in found:
            less, more = sorted((found[token], value))
            value = more + math.log1p(math.exp(less - more))
        found[token] = value
    return found


def prompt_digest(messages: list[Message]) -> str:
    """Exact digest of a prompt (unlike burnish.digests.prompt_key, which folds case and space)."""
    return sha256_hex(canonical_json([message.model_dump() for message in messages]))


def sampling_digest(parameters: Mapping[str, Any]) -> str:
    return sha256_hex(canonical_json(dict(parameters)))[:16]
