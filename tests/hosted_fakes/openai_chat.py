"""OpenAI's tuning API and its chat completions at one address, as a provider has them: what was tuned there answers there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from hosted_fakes.openai_tuning import OpenAITuning
from hosted_fakes.server import Reply, Request

Rows = Sequence[dict[str, Any]]


class ChattingOpenAI(OpenAITuning):
    """say: the answer to a last message, from the rows that the model was tuned on; the base has none. chats: how often each model answered."""

    def __init__(self, say: Callable[[str, Rows], str], token: str = "") -> None:
        super().__init__(token)
        self.say = say
        self.chats: Counter[str] = Counter()

    def answer(self, request: Request) -> Reply:
        return self._chat(request) if request.name == "POST /v1/chat/completions" else super().answer(request)

    def _chat(self, request: Request) -> Reply:
        asked = request.json()
        model = asked["model"]
        rows = self._rows_of(model)
        if rows is None:
            return Reply(404, self.error(f"The model `{model}` does not exist", "model_not_found"))
        self.chats[model] += 1
        message = {"role": "assistant", "content": self.say(asked["messages"][-1]["content"], rows)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 12, "completion_tokens": 6, "total_tokens": 18}
        return Reply(200, {"object": "chat.completion", "model": model, "choices": [choice], "usage": usage})

    def _rows_of(self, model: str) -> Rows | None:
        """What a model was tuned on: nothing, if it is the base; None, if there is no such model."""
        if model == self.model:
            return []
        file = next((job["training_file"] for job in self.jobs.values() if job["fine_tuned_model"] == model), None)
        return None if file is None else [json.loads(line) for line in self.contents[file].splitlines()]
