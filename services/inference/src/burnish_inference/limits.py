"""Bounds on what one request may ask of the engine, so that no caller waits long for another's. Called before vLLM sees a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from burnish.errors import InvalidInputError
from burnish_inference.constraints import check_constraints

CHAT, TEXT = COMPLETIONS = ("/v1/chat/completions", "/v1/completions")
DEFAULT_LENGTH = 16  # vLLM's own, of a completion
BYTES_PER_TOKEN = 3  # of JSON text; English has about 4, other scripts fewer
TRANSFER = "kv_transfer_params"  # between vLLM's own servers; vLLM 0.32 fails on one that came this way


@dataclass(frozen=True)
class Limits:
    """max_choices: most answers of one request, `n` times its prompts. default_max_tokens: of a chat that states no length.

    max_constraint_bytes, allow_grammars: of what constrains an answer (constraints.py). max_model_len: tokens of a prompt
    and its answer together, which vLLM keeps to.
    """

    max_choices: int = 32
    default_max_tokens: int = 1024
    max_constraint_bytes: int = 16 * 1024
    allow_grammars: bool = False
    max_model_len: int = 2048

    def apply(self, path: str, payload: dict[str, Any]) -> None:
        """InvalidInputError if the request asks for more than that; a chat without a length gets the default one.

        A completion without a length has vLLM's own default, 16 tokens.
        """
        n = 1 if payload.get("n") is None else payload["n"]
        if type(n) is not int or n < 1:
            raise InvalidInputError(f"`n` must be a whole number from 1 to {self.max_choices}; it is {n!r}", field="n")
        prompts = prompt_count(payload.get("prompt"))
        if n * prompts > self.max_choices:
            asked = f"`n` is {n}" if prompts == 1 else f"`n` is {n} and `prompt` has {prompts} prompts"
            raise InvalidInputError(
                f"{asked}, and one request may have at most {self.max_choices} answers "
                "(BURNISH_INFERENCE_MAX_CHOICES): send several requests",
                field="n" if n > 1 else "prompt",
            )
        if isinstance(extra := payload.get("vllm_xargs"), dict) and TRANSFER in extra:
            raise InvalidInputError(
                f"`vllm_xargs` has {TRANSFER}, and engines hand over no caches here", field="vllm_xargs"
            )
        check_constraints(payload, self.max_constraint_bytes, self.allow_grammars)
        if path == CHAT and payload.get("max_tokens") is None and payload.get("max_completion_tokens") is None:
            payload["max_completion_tokens"] = self.default_max_tokens

    def tokens(self, payload: dict[str, Any]) -> int:
        """About how many tokens a request that passed `apply` may take in the engine: its prompts, and all its answers at their longest."""
        prompt = payload.get("prompt", payload.get("messages"))
        prompts = prompt_count(payload.get("prompt"))
        length = payload.get("max_completion_tokens", payload.get("max_tokens"))
        longest = length if type(length) is int and length >= 0 else DEFAULT_LENGTH
        answers = (payload.get("n") or 1) * prompts
        return min(prompt_tokens(prompt), prompts * self.max_model_len) + answers * min(longest, self.max_model_len)


STANDARD = Limits()


def prompt_count(prompt: Any) -> int:
    """A text or a list of token ids is one prompt; any other list has one an item."""
    return len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1


def prompt_tokens(prompt: Any) -> int:
    """Token ids are counted, text is estimated by its length."""
    if isinstance(prompt, list) and prompt and all(isinstance(item, int) for item in prompt):
        return len(prompt)
    return len(orjson.dumps(prompt)) // BYTES_PER_TOKEN
