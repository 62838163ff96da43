"""Scores texts through an OpenAI-compatible endpoint: log-probabilities of a prompt, asked by `echo` with no new token.

Called by the forgetting measure. `/v1/completions` of vLLM gives them for the base and for adapters; most hosted
endpoints do not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from pydantic import ValidationError

from burnish.digests import sha256_hex
from burnish.errors import CorruptDataError, IncompatibleAdapterError, UnavailableError
from burnish.probe import ProbeText, TextScore
from burnish.schemas.base import Frozen
from burnish_client.evaluation.asking import Side
from burnish_client.evaluation.chat import Endpoint
from burnish_client.evaluation.pace import backoff_seconds, retry_after_seconds
from burnish_client.sdk import errors as wire

RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
UNSUPPORTED_STATUSES = frozenset({400, 404, 405, 422, 501})
LONGEST_PAUSE_SECONDS = 60.0
MOST_AT_ONCE = 4  # a prompt's log-probabilities are heavy on memory: a row of the vocabulary a token


class NoPromptLogprobs(Exception):
    """The endpoint gives no log-probabilities of a prompt; the text says how that showed."""


class ScoredText(Frozen):
    """A line of the log: what one model made of one text. nats: sum over `tokens` predicted tokens."""

    model: str
    text_digest: str
    tokens: int
    nats: float


async def score_texts(
    sides: Sequence[Side], texts: Sequence[ProbeText], *, concurrency: int = MOST_AT_ONCE
) -> list[list[TextScore]]:
    """Score every text under each side's model; one list a side, in order of texts.

    Sides are interleaved text by text. Each score is in its side's log `out` (JSONL, appended) as it comes; what stands
    there is not asked again. Raises NoPromptLogprobs, UnavailableError where an endpoint does not answer, and what
    concerns every request: wrong token, unknown model, an adapter that does not fit.
    """
    known = [_read(side.out) for side in sides]
    places = asyncio.Semaphore(min(concurrency, MOST_AT_ONCE))
    clients = {endpoint: endpoint.client() for endpoint in dict.fromkeys(side.endpoint for side in sides)}

    async def score(index: int, text: ProbeText) -> TextScore:
        side, digest = sides[index], sha256_hex(text.text.encode())
        scored = known[index].get((side.model, digest))
        if scored is None:
            async with places:
                tokens, nats = await _ask(clients[side.endpoint], side.endpoint, side.model, text.text)
            scored = ScoredText(model=side.model, text_digest=digest, tokens=tokens, nats=nats)
            _append(side.out, scored)
        return TextScore(text.text_id, scored.tokens, scored.nats)

    try:
        async with asyncio.TaskGroup() as group:
            rows = [[group.create_task(score(index, text)) for index in range(len(sides))] for text in texts]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    finally:
        for client in clients.values():
            await client.aclose()
    return [[row[index].result() for row in rows] for index in range(len(sides))]


async def _ask(client: httpx.AsyncClient, endpoint: Endpoint, model: str, text: str) -> tuple[int, float]:
    """(predicted tokens, their nats)."""
    body = {"model": model, "prompt": text, "max_tokens": 0, "echo": True, "logprobs": 0, "temperature": 0}
    last = "not asked"
    for attempt in range(endpoint.attempts):
        pause = backoff_seconds(attempt, endpoint.first_delay_seconds)
        try:
            response = await client.post("/completions", json=body)
        except httpx.TransportError as error:
            last = f"{type(error).__name__} {error}".strip()
        else:
            if response.status_code not in RETRIED_STATUSES:
                return _read_answer(response, endpoint)
            last = f"HTTP {response.status_code} {response.text[:200]}".strip()
            pause = min(LONGEST_PAUSE_SECONDS, retry_after_seconds(response.headers.get("retry-after")) or pause)
        if attempt + 1 < endpoint.attempts:
            await asyncio.sleep(pause)
    raise UnavailableError(
        f"endpoint {endpoint.base_url} gives no log-probabilities of a text, last: {last}. The scores so far are kept: "
        "run the same command again"
    )


def _read_answer(response: httpx.Response, endpoint: Endpoint) -> tuple[int, float]:
    if response.is_error:
        error = wire.from_http(response, f"endpoint {endpoint.base_url}")
        if response.status_code in UNSUPPORTED_STATUSES and not isinstance(error, IncompatibleAdapterError):
            raise NoPromptLogprobs(
                f"the endpoint refused to give log-probabilities of a prompt (HTTP {response.status_code}: {error.message[:200]})"
            )
        raise error
    try:
        body = response.json()
        return _sum_up(body["choices"][0]["logprobs"]["token_logprobs"], (body.get("usage") or {}).get("prompt_tokens"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise NoPromptLogprobs("the endpoint's answer holds no log-probabilities of the prompt") from error


def _sum_up(logprobs: list[float | None], prompt_tokens: Any) -> tuple[int, float]:
    """The first token has nothing before it, so its value is null; where it is not, these are not a prompt's."""
    if len(logprobs) < 2 or logprobs[0] is not None or prompt_tokens not in (None, len(logprobs)):
        raise NoPromptLogprobs("the endpoint answered with log-probabilities of new tokens, not of the prompt")
    predicted = [float(value) for value in logprobs[1:] if value is not None]
    if len(predicted) + 1 != len(logprobs):
        raise NoPromptLogprobs("the endpoint left out log-probabilities of some tokens of the prompt")
    return len(predicted), -sum(predicted)


def _read(log: Path) -> dict[tuple[str, str], ScoredText]:
    """The whole lines; a last one cut short by a crash is asked again."""
    if not log.is_file():
        return {}
    found = {}
    content = log.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            scored = ScoredText.model_validate_json(line)
        except ValidationError as error:
            raise CorruptDataError(f"{log} line {number}: not a text score: {error.errors()[0]['msg']}") from error
        found[scored.model, scored.text_digest] = scored
    if len(whole) < len(content):
        with log.open("r+b") as handle:
            handle.truncate(len(whole))
    return found


def _append(log: Path, scored: ScoredText) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as handle:
        handle.write(scored.model_dump_json().encode() + b"\n")
