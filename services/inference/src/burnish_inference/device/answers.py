"""Does a model answer as before? Greedy answers with their log-probabilities, recorded before vLLM sleeps and compared after.

Sleep of level 1 brought adapters back that no longer applied, and a base that answered otherwise, without an error (vllm#53888,
vLLM 0.27.1). Both times the model is asked alone, so the arithmetic is the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
import orjson

from burnish.errors import UnavailableError
from burnish_inference.engine.canary import PROMPT

MAX_TOKENS = 16
TOLERANCE = 0.05  # nats; rounding that depends on the order of a sum
TIMEOUT = aiohttp.ClientTimeout(total=120)


@dataclass(frozen=True)
class Answer:
    tokens: tuple[str, ...]
    log_probabilities: tuple[float, ...]

    def equals(self, other: Answer) -> bool:
        """The same tokens with the same log-probabilities, within TOLERANCE."""
        return self.tokens == other.tokens and all(
            math.isclose(mine, its, abs_tol=TOLERANCE)
            for mine, its in zip(self.log_probabilities, other.log_probabilities, strict=True)
        )


async def ask(session: aiohttp.ClientSession, address: str, model: str) -> Answer:
    """UnavailableError if vLLM gives no such answer."""
    body = {
        "model": model,
        "prompt": PROMPT,
        "max_tokens": MAX_TOKENS,
        "temperature": 0,
        "seed": 0,
        "logprobs": 0,
        "ignore_eos": True,
    }
    try:
        async with session.post(f"{address}/v1/completions", json=body, timeout=TIMEOUT) as response:
            content = await response.read()
        if response.status != HTTPStatus.OK:
            raise UnavailableError(f"{model}: vLLM answered {response.status} {content[:300].decode(errors='replace')}")
        found = orjson.loads(content)["choices"][0]["logprobs"]
        return Answer(tuple(found["tokens"]), tuple(float(value) for value in found["token_logprobs"]))
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UnavailableError(f"{model}: vLLM does not answer: {error!r}") from error
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise UnavailableError(f"{model}: vLLM's answer has no log-probabilities: {error!r}") from error
