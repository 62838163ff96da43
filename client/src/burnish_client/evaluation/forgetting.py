"""Forgetting: base and adapter on the probe set that Burnish ships, and the cross-entropy of plain text under both.

Called by the comparison, apart from the user's benchmark: it never decides, a clear loss becomes a warning. Texts are
scored by the log-probabilities of a prompt, asked by `echo` with no new token. `/v1/completions` of vLLM gives them for
the base and for adapters; most hosted endpoints do not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from burnish.digests import sha256_hex
from burnish.errors import IncompatibleAdapterError, InvalidInputError, UnavailableError
from burnish.jsonl import AppendLog
from burnish.probe import (
    MAX_TOKENS,
    ProbeText,
    TextScore,
    compare_texts,
    probe_questions,
    probe_texts,
    probe_version,
)
from burnish.schemas.base import Frozen
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.evaluation import Forgetting, ProbeCategory
from burnish.statistics import holm
from burnish.verdict import Pair, compare, name_some, pair
from burnish_client.evaluation.asking.answers import FSYNC_EVERY_SECONDS, Answer, AnswerCache
from burnish_client.evaluation.asking.ask import ProgressCallback, Side, ask_sides
from burnish_client.evaluation.asking.chat import Unanswered, attempts, excerpt, http_client, lent_seconds
from burnish_client.evaluation.asking.pace import retry_after_seconds
from burnish_client.evaluation.grade import eval_rows
from burnish_client.evaluation.request import Endpoint, Sampling
from burnish_client.sdk import errors as wire

CLEAR_LEVEL = 0.05  # of the two-sided test; over categories after Holm
NOTABLE_NATS = 0.05  # about 5 % more perplexity: less than this is the usual price of any training
BASE_ANSWERS, CANDIDATE_ANSWERS = "probe-base.jsonl", "probe-candidate.jsonl"
BASE_TEXTS, CANDIDATE_TEXTS = "probe-texts-base.jsonl", "probe-texts-candidate.jsonl"
RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
UNSUPPORTED_STATUSES = frozenset({400, 404, 405, 422, 501})
LONGEST_PAUSE_SECONDS = 60.0
MOST_AT_ONCE = 4  # a prompt's log-probabilities are heavy on memory: a row of the vocabulary for each token


async def measure_forgetting(
    endpoint: Endpoint,
    base_model: str,
    candidate_model: str,
    out: Path,
    *,
    candidate_endpoint: Endpoint | None = None,
    digests: tuple[str | None, str | None] = (None, None),
    cache: AnswerCache | None = None,
    concurrency: int = 16,
    questions: Sequence[BenchmarkQuestion] | None = None,
    progress: ProgressCallback | None = None,
) -> Forgetting:
    """Ask both models the probe set, greedily, and score the plain texts under both.

    out: a folder; its answer logs (`probe-base.jsonl`, `probe-candidate.jsonl`, lines of Answer) and text scores
    (`probe-texts-base.jsonl`, `probe-texts-candidate.jsonl`) let a killed run go on and ask nothing twice.
    candidate_endpoint: of the candidate, if it is served elsewhere. digests: what pins the answers of base and candidate, if known
    (see Side); then cache, in which runs share answers, is asked first. The texts are scored anew.
    questions: instead of the shipped ones. progress: of the questions; the texts take a few seconds more.
    p-values are two-sided exact McNemar, those of categories corrected by Holm. An endpoint that gives no
    log-probabilities of a prompt leaves the cross-entropy None, and `cross_entropy_missing` says why. Raises as
    `ask_sides` does, and InvalidInputError if one side has not a single graded answer.
    """
    asked = list(probe_questions()) if questions is None else list(questions)
    theirs = candidate_endpoint or endpoint
    sides = [
        Side(endpoint, base_model, out / BASE_ANSWERS, digest=digests[0]),
        Side(theirs, candidate_model, out / CANDIDATE_ANSWERS, digest=digests[1]),
    ]
    sampling = Sampling(max_tokens=MAX_TOKENS, temperature=0.0)
    answers = await ask_sides(sides, asked, sampling=sampling, concurrency=concurrency, progress=progress, cache=cache)
    base_rows, candidate_rows = (eval_rows(asked, given, None) for given in answers)
    pairing = pair(base_rows, candidate_rows)
    probe = Forgetting(
        probe=compare(pairing.pairs),
        categories=compare_categories(pairing.pairs),
        lost=[p.question_id for p in pairing.pairs if p.base_passed and not p.candidate_passed],
        probe_version=probe_version(),
        ungraded=len(pairing.unpaired),
    )
    logs = (out / BASE_TEXTS, out / CANDIDATE_TEXTS)
    text_sides = [replace(side, out=log) for side, log in zip(sides, logs, strict=True)]
    return await _with_cross_entropy(probe, text_sides, concurrency)


def compare_categories(pairs: Sequence[Pair]) -> list[ProbeCategory]:
    """One comparison a category, by name, with p-values corrected by Holm over the categories."""
    names = sorted({p.slice for p in pairs})
    comparisons = [compare([p for p in pairs if p.slice == name]) for name in names]
    adjusted = holm([c.p_value if c.p_value is not None else 1.0 for c in comparisons])
    return [
        ProbeCategory(category=name, **(comparison.model_dump() | {"p_value": p}))
        for name, comparison, p in zip(names, comparisons, adjusted, strict=True)
    ]


def forgetting_sentence(forgetting: Forgetting) -> str | None:
    """The warning that a clear loss deserves, or None.

    Clear: the probe as a whole, or a category after Holm, is worse at the 5 % level; or the whole 95 % interval of the
    cross-entropy's rise lies above NOTABLE_NATS.
    """
    findings = []
    probe = forgetting.probe
    if _clearly_worse(probe.delta, probe.p_value):
        findings.append(
            f"it answers {probe.lost} of {probe.n} probe questions no more and {probe.gained} newly "
            f"({_percent(probe.base)} → {_percent(probe.candidate)})"
        )
    findings += [
        f"{c.category} fell from {_percent(c.base)} to {_percent(c.candidate)} of {c.n}"
        for c in forgetting.categories
        if _clearly_worse(c.delta, c.p_value)
    ]
    if forgetting.delta_low is not None and forgetting.delta_low > NOTABLE_NATS:
        findings.append(
            f"plain text surprises it more, by {forgetting.delta_cross_entropy:.2f} nats a token "
            f"(95 % interval {forgetting.delta_low:.2f} to {forgetting.delta_high:.2f})"
        )
    if not findings:
        return None
    lost = f" Probe questions lost: {name_some(forgetting.lost)}." if forgetting.lost else ""
    return f"Signs of forgetting: {'; '.join(findings)}.{lost}"


def probe_answers(out: Path) -> list[Answer]:
    """The probe set's answers that `measure_forgetting` left in the folder, for their cost."""
    files = (out / BASE_ANSWERS, out / CANDIDATE_ANSWERS)
    return [Answer.model_validate_json(line) for file in files for line in file.read_bytes().splitlines()]


async def _with_cross_entropy(probe: Forgetting, sides: Sequence[Side], concurrency: int) -> Forgetting:
    try:
        base, candidate = await score_texts(sides, probe_texts(), concurrency=concurrency)
        found = compare_texts(base, candidate)
    except (NoPromptLogprobs, InvalidInputError) as missing:
        return probe.model_copy(update={"cross_entropy_missing": f"No cross-entropy: {missing}."})
    return probe.model_copy(
        update={
            "texts": found.texts,
            "tokens": found.tokens,
            "base_cross_entropy": found.base,
            "candidate_cross_entropy": found.candidate,
            "delta_cross_entropy": found.delta,
            "delta_low": found.low,
            "delta_high": found.high,
        }
    )


def _clearly_worse(delta: float | None, p_value: float | None) -> bool:
    return delta is not None and p_value is not None and delta < 0 and p_value < CLEAR_LEVEL


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{100 * share:.0f} %"


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

    Sides are interleaved text by text. Each score is in its side's log `out` (JSONL, appended) as it comes; what is
    there is not asked again. Raises NoPromptLogprobs, UnavailableError if an endpoint does not answer, and what
    concerns every request: wrong token, unknown model, an adapter that does not fit.
    """
    async with AsyncExitStack() as stack:
        logs = [stack.enter_context(AppendLog(s.out, sync_every_seconds=FSYNC_EVERY_SECONDS)) for s in sides]
        logged = [log.parsed(ScoredText.model_validate_json, "a text score") for log in logs]
        known = [{(scored.model, scored.text_digest): scored for scored in scores} for scores in logged]
        places = asyncio.Semaphore(min(concurrency, MOST_AT_ONCE))
        clients = {
            endpoint: await stack.enter_async_context(http_client(endpoint))
            for endpoint in dict.fromkeys(side.endpoint for side in sides)
        }

        async def score(index: int, text: ProbeText) -> TextScore:
            side, digest = sides[index], sha256_hex(text.text.encode())
            scored = known[index].get((side.model, digest))
            if scored is None:
                async with places:
                    tokens, nats = await _ask(clients[side.endpoint], side.endpoint, side.model, text.text)
                scored = ScoredText(model=side.model, text_digest=digest, tokens=tokens, nats=nats)
                logs[index].append(scored.model_dump_json().encode())
            return TextScore(text.text_id, scored.tokens, scored.nats)

        try:
            async with asyncio.TaskGroup() as group:
                rows = [[group.create_task(score(index, text)) for index in range(len(sides))] for text in texts]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [[row[index].result() for row in rows] for index in range(len(sides))]


async def _ask(client: httpx.AsyncClient, endpoint: Endpoint, model: str, text: str) -> tuple[int, float]:
    """(predicted tokens, their nats)."""
    body = {"model": model, "prompt": text, "max_tokens": 0, "echo": True, "logprobs": 0, "temperature": 0}
    try:
        response: httpx.Response = await attempts(endpoint)(_post, client, body)
    except Unanswered as failed:
        raise UnavailableError(
            f"endpoint {endpoint.base_url} gives no log-probabilities of a text, last: {failed}. The scores so far are "
            "kept: run the same command again"
        ) from failed
    return _read_answer(response, endpoint)


async def _post(client: httpx.AsyncClient, body: dict[str, Any]) -> httpx.Response:
    try:
        response = await client.post("/completions", json=body)
    except httpx.TransportError as error:
        raise Unanswered(f"{type(error).__name__} {error}".strip()) from error
    if (seconds := lent_seconds(response)) is not None:
        raise Unanswered(excerpt(response), seconds, attempts_spent=0)
    if response.status_code in RETRIED_STATUSES:
        pause = retry_after_seconds(response.headers.get("retry-after"))
        raise Unanswered(excerpt(response), min(LONGEST_PAUSE_SECONDS, pause) if pause else None)
    return response


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
    """The first token has nothing before it, so its value is null. If it is not, the values are not those of a prompt."""
    if len(logprobs) < 2 or logprobs[0] is not None or prompt_tokens not in (None, len(logprobs)):
        raise NoPromptLogprobs("the endpoint answered with log-probabilities of new tokens, not of the prompt")
    predicted = [float(value) for value in logprobs[1:] if value is not None]
    if len(predicted) + 1 != len(logprobs):
        raise NoPromptLogprobs("the endpoint left out log-probabilities of some tokens of the prompt")
    return len(predicted), -sum(predicted)
