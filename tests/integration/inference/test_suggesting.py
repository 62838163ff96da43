"""`burnish review suggest` with a real language model: the stack's own base model by name, its answers graded and kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from inference_server import InferenceServer
from runlog_making import jsonl, run
from whole_stack import WholeStack

pytestmark = [pytest.mark.model, pytest.mark.vllm]
CAPITALS = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid"}


def test_the_stacks_own_model_suggests(whole_stack: WholeStack, server: InferenceServer, tmp_path: Path) -> None:
    lines = [
        run(
            f"capital-{country}",
            question=f"What is the capital of {country}?",
            expected_answer=capital,
            failure_label="no-capital",
        )
        for country, capital in CAPITALS.items()
    ]
    file = tmp_path / "capitals-to-suggest.jsonl"
    file.write_bytes(jsonl(lines))
    imported = whole_stack.burnish("runs", "import", str(file))
    assert imported.returncode == 0, imported.stderr
    base = server.http.get("/v1/models").json()["data"]
    model = next(one["id"] for one in base if one.get("parent") is None)
    command = [
        "review",
        "suggest",
        "capitals-to-suggest",
        "--model",
        model,
        "--grader",
        "contains",
        "--max-tokens",
        "48",
    ]
    done = whole_stack.json(*command)
    assert done["kept"] + len(done["problems"]) == 3
    assert done["grades"]["passed"] >= 1, done
    assert done["completion_tokens"] > 0
    assert done["teacher"]["host"] == f"127.0.0.1:{server.port}"
    again = whole_stack.json(*command)
    assert again["asked"] == len(done["problems"])
