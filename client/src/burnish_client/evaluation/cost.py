"""What it cost to ask: requests, tokens, time, and money where prices are given. Burnish has no price table of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from burnish.schemas.evaluation import Cost
from burnish_client.evaluation.answers import Answer

TOKENS_A_PRICE = 1_000_000


@dataclass(frozen=True)
class Prices:
    """Money for a million tokens, in `currency`."""

    prompt: float
    completion: float
    currency: str = "USD"


def costs(answers: Mapping[str, Sequence[Answer]], prices: Mapping[str, Prices] | Prices | None = None) -> list[Cost]:
    """One Cost a side, in order. answers: side (base, candidate, arm:<name>, …) -> its answers; prices: of all, or by side.

    Answers from a cache or a run log count as reused and cost nothing; those of an interrupted run that went on do
    count. Questions that failed count as asked, without tokens. Tokens are the endpoint's own count; money is None where
    it gave none for an answer, or no price is known: a sum that leaves something out would be taken for the whole.
    """
    by_side = dict.fromkeys(answers, prices) if isinstance(prices, Prices) else prices or {}
    return [_cost(side, given, by_side.get(side)) for side, given in answers.items()]


def _cost(side: str, answers: Sequence[Answer], prices: Prices | None) -> Cost:
    asked = [answer for answer in answers if not answer.reused]
    prompt = sum(answer.prompt_tokens or 0 for answer in asked)
    completion = sum(answer.completion_tokens or 0 for answer in asked)
    counted = all(
        answer.prompt_tokens is not None and answer.completion_tokens is not None
        for answer in asked
        if answer.error is None
    )
    money = (prompt * prices.prompt + completion * prices.completion) / TOKENS_A_PRICE if prices and counted else None
    return Cost(
        side=side,
        asked=len(asked),
        reused=len(answers) - len(asked),
        prompt_tokens=prompt,
        completion_tokens=completion,
        seconds=round(sum(answer.latency_ms or 0.0 for answer in asked) / 1000, 3),
        money=money,
        currency=prices.currency if prices else "",
    )
