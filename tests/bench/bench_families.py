"""Six model families at tiny random size through the whole loop; writes the table of docs/models.md.

    PYTHONPATH=tests .venv/bin/python tests/bench/bench_families.py [--only qwen-3 phi-4] [--no-write]

Each is made here (tests/families), recorded, checked by preflight, trained by SFT, QLoRA and DPO, checked as an adapter, and served by
the real inference service before vLLM on the CPU, in fp32. Parity: the largest difference of a token's log-probability between
vLLM and transformers with PEFT, over whole training rows. An SFT adapter that has learnt its rows by heart must then say them
through the chat endpoint and stop by itself, which shows that the chat template, the end token and the adapter agree.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import torch
from families.models import BY_NAME, Family, make
from inference_server import InferenceServer, started
from integration.trainer.training.runs import Run, Runner
from peft import PeftModel
from transformers import AutoModelForCausalLM
from unit.trainer.made import dpo_rows, job_spec, put_dataset, sft_rows

from burnish.objectstores.s3 import S3ObjectStore
from burnish.schemas.base import VersionRef
from burnish.testing.seaweed import Seaweed, running_seaweed
from burnish_trainer.artifacts import adapters
from burnish_trainer.data.rows import record_of
from burnish_trainer.data.tokens import Example, encode_records
from burnish_trainer.executors.events import Succeeded
from burnish_trainer.preflight.base_model import BaseModel, load_base_model
from burnish_trainer.preflight.examine import check

DOCS = Path(__file__).resolve().parents[2] / "docs" / "models.md"
START, END = "<!-- families -->", "<!-- /families -->"
ROWS = 8
BY_HEART = {"max_steps": 60, "evaluation_interval_steps": 60, "batch_size": 8, "learning_rate": 1e-2}
A_FEW = {"max_steps": 6, "evaluation_interval_steps": 6, "batch_size": 4, "learning_rate": 1e-2}
COLUMNS = ("preflight", "base", "SFT", "QLoRA", "DPO", "said by heart")
PARITY = 2e-3  # nats; fp32 against fp32, over whole rows
JOBS: Mapping[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "SFT": ("sft", BY_HEART, {}),
    "QLoRA": ("sft", A_FEW, {"quantization": "nf4"}),
    "DPO": ("dpo", A_FEW, {}),
}


@dataclass
class Result:
    """cells: column -> what was found."""

    family: Family
    cells: dict[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return not any("✗" in cell for cell in self.cells.values())


def measure(family: Family, folder: Path, seaweed: Seaweed) -> Result:
    base_folder, result = folder / "base", Result(family)
    make(family, base_folder)
    base = load_base_model(base_folder)
    store = seaweed.store(family.name)
    store.ensure_bucket()
    result.cells["preflight"] = preflight(base, store)
    runs = train(base, folder, store, result)
    settings = {
        "BURNISH_INFERENCE_BASE_MODEL": str(base_folder),
        "BURNISH_INFERENCE_DTYPE": "float32",
        "BURNISH_INFERENCE_MAX_MODEL_LEN": "512",
        "BURNISH_INFERENCE_DEVICE": "cpu",
        "BURNISH_S3_ENDPOINT": seaweed.endpoint,
        "BURNISH_S3_ACCESS_KEY": seaweed.access_key,
        "BURNISH_S3_SECRET_KEY": seaweed.secret_key,
        "BURNISH_S3_BUCKET": family.name,
    }
    with started(folder, settings) as server:
        wait_ready(server)
        examples = rows_of(base)
        model: Any = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
        result.cells["base"] = parity(server, family.name, model, examples)
        for column, run in runs.items():
            name = f"{run.spec.adapter_name}@{run.version}"
            local = adapters.fetch(store, reference(run), folder / "adapters" / run.version)
            tuned = PeftModel.from_pretrained(model, str(local))
            result.cells[column] += ", " + parity(server, name, tuned, examples)
            model = tuned.unload()
        result.cells["said by heart"] = said(server, runs["SFT"])
    return result


def preflight(base: BaseModel, store: S3ObjectStore) -> str:
    found = []
    for method, rows in (("sft", sft_rows(60)), ("dpo", dpo_rows(60))):
        spec = job_spec(put_dataset(store, rows, name=method), method, lora={"target_modules": base.projections})
        found += [one.code for one in check(spec, base, store).findings if one.severity == "refusal"]
    return f"✗ {', '.join(found)}" if found else "✓"


def reference(run: Run) -> VersionRef:
    final = run.events[-1]
    assert isinstance(final, Succeeded), final
    return final.adapter


def train(base: BaseModel, folder: Path, store: S3ObjectStore, result: Result) -> dict[str, Run]:
    runs = {}
    for column, (method, optimizer, changes) in JOBS.items():
        runner = Runner(base.folder, lambda column=column: folder / column, dtype="float32")
        run = getattr(runner, method)(
            rows=ROWS, validation=[], store=store, optimizer=optimizer | {"warmup_share": 0.0},
            lora={"target_modules": base.projections}, adapter_name=column.lower(), **changes,
        )  # fmt: skip
        losses = run.series("train_loss")
        first, last = losses[min(losses)], losses[max(losses)]
        result.cells[column] = f"{'✓' if last < first else '✗'} {first:.2f} → {last:.2f}"
        runs[column] = run
    return runs


def rows_of(base: BaseModel) -> list[Example]:
    records = [record_of(row) for row in sft_rows(ROWS)]
    return [row.examples[0] for row in encode_records(base.tokenizer, records, 512)]


def parity(server: InferenceServer, model_name: str, model: Any, examples: Sequence[Example]) -> str:
    """The largest difference of a token's log-probability, in nats."""
    largest = 0.0
    for example in examples:
        body = {"model": model_name, "prompt": list(example.ids), "max_tokens": 0, "echo": True, "logprobs": 0}
        answer = server.http.post("/v1/completions", json=body)
        if answer.status_code != httpx.codes.OK:
            return f"✗ {answer.status_code} {answer.text[:200]}"
        served = torch.tensor(answer.json()["choices"][0]["logprobs"]["token_logprobs"][1:])
        ids = torch.tensor([example.ids])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, :-1].float()
        here = logits.log_softmax(-1).gather(1, ids[0, 1:, None]).squeeze(1)
        largest = max(largest, (served - here).abs().max().item())
    return f"{'✓' if largest < PARITY else '✗'} {largest:.1e}"


def said(server: InferenceServer, run: Run) -> str:
    """How many of the rows that were learnt the adapter answers word for word, and stops behind them."""
    right = 0
    for row in sft_rows(ROWS):
        messages = [message.model_dump() for message in row.prompt]
        name = f"{run.spec.adapter_name}@{run.version}"
        body = {"model": name, "messages": messages, "max_tokens": 60, "temperature": 0}
        answer = server.http.post("/v1/chat/completions", json=body)
        answer.raise_for_status()
        choice = answer.json()["choices"][0]
        content = choice["message"]["content"] or ""
        right += content.strip().endswith(row.completion[0].content) and choice["finish_reason"] == "stop"
    return f"{'✓' if right == ROWS else '✗'} {right} of {ROWS}"


def wait_ready(server: InferenceServer, limit_seconds: float = 900) -> None:
    deadline = time.monotonic() + limit_seconds
    while not server.is_ready():
        if server.has_ended() or time.monotonic() > deadline:
            raise SystemExit(f"the inference service is not ready:\n{server.log.read_text()[-3000:]}")
        time.sleep(0.5)


def table(results: Sequence[Result]) -> str:
    lines = [["family", *COLUMNS], ["---"] * (len(COLUMNS) + 1)]
    lines += [
        [f"{one.family.name} (`{one.family.architecture}`)", *(one.cells[column] for column in COLUMNS)]
        for one in results
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(text: str) -> None:
    before, _, rest = DOCS.read_text().partition(START)
    DOCS.write_text(f"{before}{START}\n{text}\n{END}{rest.partition(END)[2]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(BY_NAME), default=list(BY_NAME), help="these families")
    parser.add_argument("--no-write", action="store_true", help="leave docs/models.md as it is")
    given = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    results = []
    with tempfile.TemporaryDirectory(prefix="burnish-families-") as name, running_seaweed(Path(name)) as seaweed:
        for family in (BY_NAME[one] for one in given.only):
            folder = Path(name) / family.name
            folder.mkdir()
            began = time.monotonic()
            results.append(measure(family, folder, seaweed))
            print(f"{family.name}: {results[-1].cells} in {time.monotonic() - began:.0f} s", flush=True)
    text = table(results)
    print(text)
    if not given.no_write:
        write(text)
    if not all(one.passed for one in results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
