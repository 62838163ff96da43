"""Training speed of the worker beside a plain TRL script on the same rows: `python tests/bench/trainer_throughput.py`.

Rows are functions of this machine's standard library (about 165 tokens), batch 8, SmolLM2-135M, LoRA rank 32. Both sides run
in turns, and the medians over all steps after the first are compared, since neighbours on the machine come and go.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

BASE = Path(os.environ.get("BURNISH_BASE_MODEL", ".cache/models/smollm2-135m-instruct")).resolve()
BATCH = 8
TOKENS = (110, 230)


def library_rows(count: int) -> list[dict[str, str]]:
    """Questions about standard library functions with their source as evidence; the same ones every time."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    rows = []
    for path in sorted(Path(os.__file__).parent.glob("*.py")):
        source = path.read_text(errors="replace")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                question = f"{ast.get_source_segment(source, node)}\n\nWhich file and function is this? Answer in JSON."
                answer = json.dumps({"file": path.name, "symbol": node.name})
                if TOKENS[0] < len(tokenizer(question + answer)["input_ids"]) < TOKENS[1]:
                    rows.append({"prompt": question, "completion": answer})
    return random.Random(0).sample(rows, count)


def plain_trl(rows: list[dict[str, str]], steps: int) -> list[float]:
    """Tokens a second of each step of an SFTTrainer as its documentation has it, with a CPU's settings."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class Pace(TrainerCallback):
        def __init__(self) -> None:
            self.seconds: list[float] = []
            self.tokens = [0]

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.monotonic()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.seconds.append(time.monotonic() - self.began)

        def on_log(self, _args: Any, _state: Any, _control: Any, logs: dict[str, float], **__: Any) -> None:
            if "num_tokens" in logs:
                self.tokens.append(int(logs["num_tokens"]))

    pace = Pace()
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.bfloat16),
        args=SFTConfig(
            output_dir=tempfile.mkdtemp(),
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            learning_rate=1e-4,
            bf16=True,
            use_cpu=True,
            gradient_checkpointing=False,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_list(
            [{key: [{"role": role, "content": row[key]}] for key, role in ROLES.items()} for row in rows]
        ),
        processing_class=AutoTokenizer.from_pretrained(BASE),
        peft_config=LoraConfig(r=32, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
        callbacks=[pace],
    )
    trainer.train()
    counts = [after - before for before, after in zip(pace.tokens, pace.tokens[1:], strict=False)]
    return [count / seconds for count, seconds in zip(counts, pace.seconds, strict=False)]


ROLES = {"prompt": "user", "completion": "assistant"}


def worker(rows: list[dict[str, str]], steps: int) -> list[float]:
    """Tokens a second of each step, as the worker's own events say."""
    from unit.trainer.made import assistant, job_spec, put_dataset, user

    from burnish.objectstores.memory import MemoryObjectStore
    from burnish.schemas.dataset import SftRow
    from burnish_trainer import events
    from burnish_trainer.assignment import Assignment
    from burnish_trainer.worker import make_context, train

    store, folder = MemoryObjectStore(), Path(tempfile.mkdtemp())
    dataset = put_dataset(
        store,
        [
            SftRow(
                question_id=str(number),
                source="correction",
                prompt=user(row["prompt"]),
                completion=assistant(row["completion"]),
            )
            for number, row in enumerate(rows)
        ],
    )
    optimizer = {"max_steps": steps, "batch_size": BATCH, "learning_rate": 1e-4, "evaluation_interval_steps": steps}
    spec = job_spec(dataset, lora={"rank": 32}, optimizer=optimizer)
    assignment = Assignment(job_id="job-bench", attempt=1, spec=spec, base_model=BASE, device="cpu")
    writer = events.EventWriter(folder / "events.jsonl")
    train(make_context(assignment, folder, store, writer, threading.Event()))
    said, _ = events.parse((folder / "events.jsonl").read_bytes())
    return [event.tokens_per_second for event in said if isinstance(event, events.Metrics) and event.tokens_per_second]


SIDES = {"plain TRL": plain_trl, "worker": worker}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=SIDES, help="run one side and print its tokens a second as JSON")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(SIDES[arguments.side](library_rows(10 * BATCH), arguments.steps)))
        return
    speeds: dict[str, list[float]] = {side: [] for side in SIDES}
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}
    for _ in range(arguments.rounds):
        for side in SIDES:
            command = [sys.executable, __file__, "--side", side, "--steps", str(arguments.steps)]
            answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            speeds[side] += json.loads(answer.stdout.splitlines()[-1])[1:]
    medians = {side: statistics.median(values) for side, values in speeds.items()}
    for side, median in medians.items():
        print(f"{side:10} {median:6.0f} tokens/s (median of {len(speeds[side])} steps)")
    print(f"ratio      {medians['worker'] / medians['plain TRL']:6.2f}")


if __name__ == "__main__":
    main()
