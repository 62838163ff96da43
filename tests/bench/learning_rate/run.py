"""One training run at one learning rate, everything else as a job has it by default, and what its adapter does."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from burnish.grading.registry import grade
from burnish.layout import adapter as adapter_key
from burnish.objectstores.memory import MemoryObjectStore
from burnish.schemas.base import Message
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import SftRow
from burnish.schemas.training.hyperparameters import OptimizerSpec, total_steps
from burnish.schemas.training.job import JobSpec
from burnish.telemetry.tracing import Tracing
from burnish_trainer.executors import events
from burnish_trainer.executors.assignment import Assignment
from burnish_trainer.worker.main import attempt, make_context, train

from .data_sets import DataSet

BATCH, ANSWER_TOKENS = 20, 48
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


@dataclass(frozen=True)
class Result:
    """Counts of questions: held-out ones that pass, with the base and with the adapter; rest questions that the base passed, and how many of those the adapter lost."""

    held_out: int
    base_passed: int
    passed: int
    rest: int
    lost: int
    first_loss: float
    last_loss: float


class Answers:
    """Greedy answers of the base, or of the base with an adapter."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.folder = folder
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()

    def load(self, adapter: Path) -> None:
        from peft import PeftModel

        self.model = PeftModel.from_pretrained(self.model, adapter).eval()

    def to(self, questions: Sequence[BenchmarkQuestion]) -> list[str]:
        import torch

        found: list[str] = []
        for start in range(0, len(questions), BATCH):
            chats = [
                [message.model_dump(include={"role", "content"}) for message in question.prompt_messages()]
                for question in questions[start : start + BATCH]
            ]
            inputs = self.tokenizer.apply_chat_template(
                chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
            )
            inputs.pop("token_type_ids", None)
            with torch.inference_mode():
                out = self.model.generate(
                    **inputs,
                    max_new_tokens=ANSWER_TOKENS,
                    do_sample=False,
                    eos_token_id=self.tokenizer.eos_token_id,
                    pad_token_id=self.tokenizer.pad_token_id,
                )
            found += self.tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return found


def measure(model: Path, made: DataSet, rate: float, seed: int, base_answers: Path) -> Result:
    """Replay rows are the base's own answers, right or wrong. base_answers: a file that keeps what the base said for the other rates."""
    answers = Answers(model)
    asked = [*made.held_out, *made.rest, *made.replayed]
    if not base_answers.exists():
        base_answers.parent.mkdir(parents=True, exist_ok=True)
        base_answers.write_bytes(orjson.dumps(answers.to(asked)))
    base = dict(zip((question.question_id for question in asked), orjson.loads(base_answers.read_bytes()), strict=True))
    held_out, rest = ([_passes(one, base[one.question_id]) for one in group] for group in (made.held_out, made.rest))
    rows = [_row(question, question.expected_answer, "correction") for question in made.corrected]
    rows += [_row(one, base[one.question_id], "anchor") for one in made.replayed if base[one.question_id].strip()]
    with tempfile.TemporaryDirectory() as folder:
        losses = _train(model, rows, rate, seed, Path(folder))
        answers.load(Path(folder) / "adapter")
    kept = [question for question, passed in zip(made.rest, rest, strict=True) if passed]
    return Result(
        held_out=len(held_out),
        base_passed=sum(held_out),
        passed=sum(map(_passes, made.held_out, answers.to(made.held_out))),
        rest=len(kept),
        lost=len(kept) - sum(map(_passes, kept, answers.to(kept))),
        first_loss=losses[0],
        last_loss=losses[-1],
    )


def _passes(question: BenchmarkQuestion, answer: str) -> bool:
    return bool(grade(question.grader, answer, question.expected_answer).passed)


def _row(question: BenchmarkQuestion, answer: str, source: Any) -> SftRow:
    completion = [Message(role="assistant", content=answer)]
    return SftRow(
        question_id=question.question_id, source=source, prompt=question.prompt_messages(), completion=completion
    )


def _train(model: Path, rows: list[SftRow], rate: float, seed: int, folder: Path) -> list[float]:
    """The training losses of its steps. RuntimeError if the job failed."""
    from unit.trainer.made import put_dataset

    store = MemoryObjectStore()
    defaults = {name: field.default for name, field in OptimizerSpec.model_fields.items() if not field.is_required()}
    rows_per_step = defaults["batch_size"] * defaults["gradient_accumulation_steps"]
    steps = total_steps(len(rows), defaults["epochs"], 0, rows_per_step)
    optimizer = {**defaults, "learning_rate": rate, "evaluation_interval_steps": -(-steps // 5)}
    spec = JobSpec.model_validate(
        {
            "dataset": put_dataset(store, rows),
            "adapter_name": "bench",
            "method": "sft",
            "params": {},
            "lora": {},
            "optimizer": optimizer,
            "seed": seed,
        }
    )
    assignment = Assignment(job_id="job-bench", attempt=1, spec=spec, base_model=model, device="auto")
    writer = events.EventWriter(folder / "events.jsonl")
    final = attempt(lambda: train(make_context(assignment, folder, store, writer, threading.Event())), Tracing("bench"))
    if not isinstance(final, events.Succeeded):
        raise RuntimeError(f"the job ended in {orjson.dumps(final.model_dump(mode='json')).decode()}")
    (folder / "adapter").mkdir()
    for name in ADAPTER_FILES:
        (folder / "adapter" / name).write_bytes(store.get(adapter_key(final.adapter.name, final.adapter.version, name)))
    said, _ = events.parse((folder / "events.jsonl").read_bytes())
    return [event.train_loss for event in said if isinstance(event, events.Metrics) and event.train_loss is not None]
