"""A canary prompt: does a model of the running vLLM still compute numbers?

Weights that overflow, or a cache that holds what they left, make vLLM answer 200 with an empty or a meaningless text, of every
model until it is started again. The log-probability of the answer's token shows it: it is no number then.
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson

PROMPT = "The capital of France is"
NO_NUMBER = b"not JSON compliant"


async def is_sane(session: aiohttp.ClientSession, url: str, model: str, timeout_seconds: float) -> bool | None:
    """True if the token that follows has a finite log-probability, False if not, None if there was no answer to judge by.

    vLLM 0.32 answers 400 instead of a log-probability that is no number, since JSON has none such.
    """
    body = {"model": model, "prompt": PROMPT, "max_tokens": 1, "temperature": 0, "logprobs": 0}
    try:
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        async with session.post(f"{url}/v1/completions", json=body, timeout=timeout) as answer:
            content = await answer.read()
    except (aiohttp.ClientError, TimeoutError):
        return None
    if answer.status == HTTPStatus.OK:
        return is_finite(content)
    return False if NO_NUMBER in content else None


def is_finite(content: bytes) -> bool:
    """Whether a completion's body has a number as its first token's log-probability."""
    try:
        value: Any = orjson.loads(content)["choices"][0]["logprobs"]["token_logprobs"][0]
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        return False
    return isinstance(value, float | int) and math.isfinite(value)
