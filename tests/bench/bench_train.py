"""Training speed beside two plain TRL scripts: `make bench-train`. Writes the table of docs/training-speed.md.

plain: what people write first (a text field, TRL's own defaults). tuned: stock TRL by someone who knows it (prompt and
completion, loss on the completion, bf16 weights, no gradient checkpointing). worker: the trainer's worker. All in bf16 where
the processor multiplies it, else in fp32: TRL's own default of bf16 would be emulated there, many times slower. Each runs in a process
of its own, in turns; same rows, seed, model, LoRA, learning rate and batch. A round is one pass over the rows; tokens are those of
the rows, no padding, counted alike for all. Once each trains to the end and keeps its adapter every other step; one function takes
the validation loss of all of them. DPO runs twice in each round;
bench_queue.py tells the queue's own time. Exit 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

REPOSITORY = Path(__file__).resolve().parents[2]
BASE = Path(os.environ.get("BURNISH_BASE_MODEL", REPOSITORY / ".cache/models/smollm2-135m-instruct")).resolve()
DOCUMENT = REPOSITORY / "docs/training-speed.md"
BEGIN, END = "<!-- make bench-train writes this -->", "<!-- to here -->"
BATCH, RANK, LEARNING_RATE, SEED = 8, 32, 5e-4, 0
SHORTEST, LONGEST = 32, 640  # tokens of a row
KEPT_EVERY = 2  # steps
CONTENDERS = ("plain", "tuned", "worker")
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ROLES = {"prompt": "user", "completion": "assistant"}
Record = dict[str, Any]


def library_rows(count: int) -> list[dict[str, str]]:
    """Questions about standard library functions with their source as evidence; the same ones every time."""
    tokenizer = _tokenizer()
    functions = []
    for path in sorted(Path(os.__file__).parent.glob("*.py")):
        source = path.read_text(errors="replace")
        functions += [(path, source, node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    chosen: list[dict[str, str]] = []
    for path, source, node in random.Random(SEED).sample(functions, len(functions)):
        if len(chosen) == count:
            break
        question = f"{ast.get_source_segment(source, node)}\n\nWhich file and function is this? Answer in JSON."
        row = {"prompt": question, "completion": json.dumps({"file": path.name, "symbol": node.name})}
        if SHORTEST <= len(tokenizer(row["prompt"] + row["completion"])["input_ids"]) <= LONGEST:
            chosen.append(row)
    return chosen


def row_tokens(rows: list[dict[str, str]]) -> list[tuple[int, int]]:
    """(all tokens, those with loss) of each row, by the model's chat template."""
    return [(len(example.ids), example.trained_tokens) for example in _encoded(rows)]


def _encoded(rows: list[dict[str, str]]) -> list[Any]:
    from unit.trainer.made import assistant, encode, user

    tokenizer = _tokenizer()
    return [encode(tokenizer, user(row["prompt"]), assistant(row["completion"])) for row in rows]


def _tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(BASE)


def stock_trl(contender: str, rows: list[dict[str, str]], steps: int, keep_in: Path | None) -> list[float]:
    """Seconds of each step of TRL's SFTTrainer. keep_in: save the adapter there every other step."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from burnish_trainer.worker import torch_device

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.seconds: list[float] = []

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.monotonic()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.seconds.append(time.monotonic() - self.began)

    tokenizer = _tokenizer()
    chats = [{key: [{"role": role, "content": row[key]}] for key, role in ROLES.items()} for row in rows]
    precision = torch_device.dtype(torch_device.present("auto"))
    saving = {"save_strategy": "steps", "save_steps": KEPT_EVERY} if keep_in else {"save_strategy": "no"}
    common = {
        "output_dir": str(keep_in or tempfile.mkdtemp()),
        "max_steps": steps,
        "per_device_train_batch_size": BATCH,
        "learning_rate": LEARNING_RATE,
        "seed": SEED,
        "report_to": "none",
        "disable_tqdm": True,
        "bf16": precision == "bfloat16",
        "use_cpu": not torch.cuda.is_available(),  # TRL's own bf16 refuses a CPU without it
        **saving,
    }
    model: Any
    if contender == "plain":
        texts = [tokenizer.apply_chat_template(chat["prompt"] + chat["completion"], tokenize=False) for chat in chats]
        model, data, arguments = str(BASE), [{"text": text} for text in texts], SFTConfig(**common)
    else:
        model, data = AutoModelForCausalLM.from_pretrained(BASE, dtype=getattr(torch, precision)), chats
        arguments = SFTConfig(**common, gradient_checkpointing=False)
    clock = Clock()
    SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=RANK, lora_alpha=RANK, target_modules=PROJECTIONS, task_type="CAUSAL_LM"),
        callbacks=[clock],
    ).train()
    return clock.seconds


def worker(rows: list[dict[str, str]], steps: int, keep_in: Path | None) -> list[float]:
    """Seconds of each step of an SFT job, as its own events say."""
    from burnish.layout import checkpoint
    from burnish.objectstores.memory import MemoryObjectStore
    from burnish.schemas.dataset import SftRow

    store = MemoryObjectStore()
    job_rows = [SftRow(**_common_fields(number, row), completion=_answer(row)) for number, row in enumerate(rows)]
    interval = KEPT_EVERY if keep_in else steps
    tokens = [count for count, _ in row_tokens(rows)]
    metrics = _run_job(store, job_rows, "sft", steps, interval, "job-bench")
    if keep_in:
        for step in range(KEPT_EVERY, steps + 1, KEPT_EVERY):
            folder = keep_in / f"checkpoint-{step}"
            folder.mkdir(parents=True)
            for name in ("adapter_config.json", "adapter_model.safetensors"):
                (folder / name).write_bytes(store.get(checkpoint("job-bench", step, name)))
    order = _order(tokens, steps, interval)
    return [order.step_tokens(event.step) / event.tokens_per_second for event in metrics]


def _order(tokens: list[int], steps: int, interval: int) -> Any:
    from burnish.schemas.training.hyperparameters import OptimizerSpec
    from burnish_trainer.data.batches import make_schedule

    fields = {
        "learning_rate": LEARNING_RATE,
        "max_steps": steps,
        "batch_size": BATCH,
        "evaluation_interval_steps": interval,
    }
    return make_schedule(tokens, [1] * len(tokens), OptimizerSpec.model_validate(fields), SEED)


def _common_fields(number: int, row: dict[str, str]) -> dict[str, Any]:
    from unit.trainer.made import user

    return {"question_id": str(number), "source": "correction", "prompt": user(row["prompt"])}


def _answer(row: dict[str, str]) -> Any:
    from unit.trainer.made import assistant

    return assistant(row["completion"])


def _run_job(store: Any, rows: list[Any], method: str, steps: int, interval: int, job_id: str) -> list[Any]:
    """The step metrics of a job run by the worker's own code. RuntimeError where it failed."""
    from unit.trainer.made import job_spec, put_dataset

    from burnish.telemetry.tracing import Tracing
    from burnish_trainer.executors import events
    from burnish_trainer.executors.assignment import Assignment
    from burnish_trainer.worker.main import attempt, make_context, train

    optimizer = {
        "max_steps": steps,
        "batch_size": BATCH,
        "learning_rate": LEARNING_RATE,
        "evaluation_interval_steps": interval,
        "warmup_share": 0,  # as TRL has it
    }
    spec = job_spec(put_dataset(store, rows), method, lora={"rank": RANK}, optimizer=optimizer, seed=SEED)
    assignment = Assignment(job_id=job_id, attempt=1, spec=spec, base_model=BASE, device="auto")
    folder = Path(tempfile.mkdtemp())
    writer = events.EventWriter(folder / "events.jsonl")
    final = attempt(lambda: train(make_context(assignment, folder, store, writer, threading.Event())), Tracing("bench"))
    if not isinstance(final, events.Succeeded):
        raise RuntimeError(f"the job ended in {final}")
    said, _ = events.parse((folder / "events.jsonl").read_bytes())
    return [event for event in said if isinstance(event, events.Metrics) and event.tokens_per_second]


def dpo_twice(rows: list[dict[str, str]], steps: int) -> list[float]:
    """Seconds of the same DPO job run twice, from the worker's start to its end, over one object store."""
    from burnish.objectstores.memory import MemoryObjectStore
    from burnish.schemas.dataset import DpoRow

    wrong = [{**row, "completion": "It is hard to say which function this is."} for row in rows]
    pairs = [
        DpoRow(**_common_fields(number, row), chosen=_answer(row), rejected=_answer(bad))
        for number, (row, bad) in enumerate(zip(rows, wrong, strict=True))
    ]
    store, seconds = MemoryObjectStore(), []
    for number in range(
        3
    ):  # the first one of the process also imports what the others need: its dataset is another one
        began = time.monotonic()
        _run_job(
            store, pairs[:-1] if number == 0 else pairs, "dpo", 1 if number == 0 else steps, steps, f"job-dpo-{number}"
        )
        seconds.append(time.monotonic() - began)
    return seconds[1:]


def validation_losses(folders: list[Path], rows: list[dict[str, str]]) -> list[float]:
    """Mean loss over the completions' tokens of each adapter, in fp32, a row at a time."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    losses = []
    for folder in folders:
        base = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
        model = PeftModel.from_pretrained(base, folder).eval()
        total = tokens = 0.0
        with torch.inference_mode():
            for example in _encoded(rows):
                output = model(input_ids=torch.tensor([example.ids]), labels=torch.tensor([example.labels]))
                total += output.loss.item() * example.trained_tokens
                tokens += example.trained_tokens
        losses.append(total / tokens)
    return losses


def matrix_product_peak() -> float:
    """The most FLOP/s of this machine's matrix products in the precision that is trained in, over sizes that the model has."""
    import torch

    from burnish_trainer.worker import torch_device

    dtype = getattr(torch, torch_device.dtype(torch_device.present("auto")))
    rates = []
    for rows, width, out in ((4096, 4096, 4096), (1320, 576, 1536), (1320, 1536, 576), (2640, 576, 1536)):
        one, other = torch.randn(rows, width).to(dtype), torch.randn(width, out).to(dtype)
        for _ in range(12):
            began = time.perf_counter()
            one @ other
            rates.append(2 * rows * width * out / (time.perf_counter() - began))
    return max(rates)


def pass_flops(counts: list[tuple[int, int]]) -> float:
    """FLOPs that one pass needs: two a weight and token forward, two backward, and two more for LoRA's own gradients;
    the head at positions with loss alone; attention over the lower triangle."""
    config = json.loads((BASE / "config.json").read_bytes())
    width, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    key_width = width * config["num_key_value_heads"] // config["num_attention_heads"]
    shapes = [(width, width)] * 2 + [(width, key_width)] * 2 + [(width, inner)] * 3
    base = layers * sum(one * other for one, other in shapes)
    lora = layers * sum(RANK * (one + other) for one, other in shapes)
    head = config["vocab_size"] * width
    return sum(
        tokens * (4 * base + 6 * lora) + trained * 4 * head + layers * 6 * tokens * tokens * width
        for tokens, trained in counts
    )


def queue_seconds() -> float:
    """Accepted → first step, loading apart, with a spare worker waiting: the median that bench_queue.py tells."""
    command = [sys.executable, str(Path(__file__).with_name("bench_queue.py"))]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "tests")}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    found = re.search(r"^spare worker waiting: ([0-9.]+) s", said, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"bench_queue.py said no median: {said}")
    return float(found[1])


def run_task(task: Record, sizes: Sizes) -> Record:
    """One measurement, in this process."""
    rows = library_rows(sizes.train + sizes.validation)
    train, held = rows[: sizes.train], rows[sizes.train :]
    contender = task["contender"]
    if task["kind"] == "peak":
        return {"flops_per_second": matrix_product_peak()}
    if task["kind"] == "queue":
        return {"queue_seconds": queue_seconds()}
    if task["kind"] == "dpo":
        return {"seconds": dpo_twice(train[: sizes.pairs], sizes.dpo_steps)}
    steps = len(train) // BATCH * (sizes.passes if task["kind"] == "curve" else 1)
    keep_in = Path(tempfile.mkdtemp()) / "kept" if task["kind"] == "curve" else None
    seconds = worker(train, steps, keep_in) if contender == "worker" else stock_trl(contender, train, steps, keep_in)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = {"seconds": seconds, "peak_memory_bytes": peak}
    if keep_in:
        kept = list(range(KEPT_EVERY, steps + 1, KEPT_EVERY))
        found["losses"] = dict(
            zip(kept, validation_losses([keep_in / f"checkpoint-{step}" for step in kept], held), strict=True)
        )
    return found


class Sizes:
    """How much is measured."""

    def __init__(self, quick: bool) -> None:
        self.train, self.validation, self.passes = (16, 4, 1) if quick else (48, 24, 2)
        self.pairs, self.dpo_steps = (8, 1) if quick else (24, 3)


def tasks(rounds: int) -> list[Record]:
    """In turns, so that a neighbour's load falls on all of them."""
    each = [
        [{"kind": "round", "contender": name, "round": number} for name in CONTENDERS]
        + [{"kind": "dpo", "contender": "worker", "round": number}, {"kind": "peak", "contender": "", "round": number}]
        for number in range(rounds)
    ]
    once = [{"kind": "curve", "contender": name, "round": 0} for name in CONTENDERS]
    return [*(task for turn in each for task in turn), *once, {"kind": "queue", "contender": "worker", "round": 0}]


def measure(all_tasks: list[Record], results: Path, quick: bool, limit_seconds: float) -> list[Record]:
    """Do what is not in the results yet, each in a process of its own, until the limit."""
    records = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    done = [{key: record[key] for key in ("kind", "contender", "round")} for record in records]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false"}
    began = time.monotonic()
    for task in all_tasks:
        if task in done or time.monotonic() - began > limit_seconds:
            continue
        command = [sys.executable, __file__, "--task", json.dumps(task), *(["--quick"] if quick else [])]
        answer = subprocess.run(command, env=environment, capture_output=True, text=True)
        if answer.returncode:
            raise SystemExit(f"{task} failed:\n{answer.stderr[-4000:]}")
        record = {**task, **json.loads(answer.stdout.splitlines()[-1])}
        with results.open("a") as file:
            file.write(json.dumps(record) + "\n")
        records.append(record)
        seconds = record.get("seconds", [])
        print(f"{task['kind']:6} {task['contender']:7} {sum(seconds):7.1f} s", flush=True)
    return records


def steps_to(target: float, losses: dict[str, float]) -> int | None:
    """The first kept step at or below the target."""
    return min((int(step) for step, loss in losses.items() if loss <= target), default=None)


def report(records: list[Record], sizes: Sizes, rounds: int) -> tuple[str, list[str]]:
    """The table, and the bars that were missed."""
    counts = row_tokens(library_rows(sizes.train + sizes.validation)[: sizes.train])
    tokens, steps = sum(count for count, _ in counts), sizes.train // BATCH

    def of(kind: str, contender: str, value: Callable[[Record], float]) -> float:
        return statistics.median(
            value(record) for record in records if (record["kind"], record["contender"]) == (kind, contender)
        )

    peak = of("peak", "", lambda record: record["flops_per_second"])
    curves = {record["contender"]: record["losses"] for record in records if record["kind"] == "curve"}
    target = list(curves["plain"].values())[-1]
    rows, rate, reach = [], {}, {}
    for name in CONTENDERS:
        seconds = of("round", name, lambda record: sum(record["seconds"]))
        memory = of("round", name, lambda record: record["peak_memory_bytes"])
        needed = steps_to(target, curves[name])
        rate[name] = tokens / seconds
        reach[name] = needed * seconds / steps if needed else float("inf")
        share = pass_flops(counts) / seconds / peak
        last = list(curves[name].values())[-1]
        rows.append(
            f"| {name} | {rate[name]:.0f} | {rate[name] / rate['plain']:.2f} | {reach[name]:.0f} ({needed} steps) | {last:.3f} "
            f"| {memory / 2**30:.2f} | {share:.1%} |"
        )
    second = of("dpo", "worker", lambda record: record["seconds"][1] / record["seconds"][0])
    queue = of("queue", "worker", lambda record: record["queue_seconds"])
    bars = {
        f"tokens a second: {rate['worker'] / rate['plain']:.2f} × plain (bar 2.0)": rate["worker"]
        >= 2.0 * rate["plain"],
        f"tokens a second: {rate['worker'] / rate['tuned']:.2f} × tuned (bar 1.3)": rate["worker"]
        >= 1.3 * rate["tuned"],
        f"time to plain's final validation loss: {reach['worker'] / reach['plain']:.2f} × plain (bar 0.5)": reach[
            "worker"
        ]
        <= 0.5 * reach["plain"],
        f"second DPO run: {second:.2f} × the first (bar 0.75)": second <= 0.75,
        f"accepted to first step, loading apart, a spare worker waiting: {queue:.2f} s (bar 1)": queue < 1,
    }
    lengths = sorted(count for count, _ in counts)
    tenths = statistics.quantiles(lengths, n=10)
    text = [
        f"Medians of {rounds} rounds. {len(counts)} rows of {lengths[0]} to {lengths[-1]} tokens: mean {tokens / len(counts):.0f}, "
        f"tenth {tenths[0]:.0f}, median {tenths[4]:.0f}, nine tenths {tenths[8]:.0f}; "
        f"{sum(trained for _, trained in counts) / tokens:.0%} of the tokens carry loss. Batch {BATCH}, LoRA rank {RANK}, "
        f"learning rate {LEARNING_RATE}; {steps * sizes.passes} steps to the end. Target: plain's last validation loss, {target:.3f}.",
        "",
        "| | tokens/s | × plain | seconds to the target | last validation loss | peak memory, GiB | of the matrix-product peak |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
        *(f"- {line}: {'met' if met else '**missed**'}" for line, met in bars.items()),
        f"- matrix products on this machine: {peak / 1e9:.0f} GFLOP/s at best",
    ]
    return "\n".join(text), [line for line, met in bars.items() if not met]


def write_table(text: str) -> None:
    document = DOCUMENT.read_text()
    before, rest = document.split(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few rows; shows that it runs, and writes no document")
    parser.add_argument("--resume", type=Path, help="results file to add to; what it holds is not measured again")
    parser.add_argument(
        "--limit-seconds", type=float, default=float("inf"), help="begin no measurement after that long"
    )
    parser.add_argument("--task", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = Sizes(arguments.quick)
    if arguments.task:
        print("\n" + json.dumps(run_task(arguments.task, sizes)))
        return 0
    results = arguments.resume or Path(tempfile.mkdtemp()) / "results.jsonl"
    every = tasks(arguments.rounds)
    records = measure(every, results, arguments.quick, arguments.limit_seconds)
    if len(records) < len(every):
        print(f"{len(records)} of {len(every)} measured: go on with --resume {results}")
        return 0
    text, missed = report(records, sizes, arguments.rounds)
    print(text)
    if arguments.quick:
        return 0
    write_table(text)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
