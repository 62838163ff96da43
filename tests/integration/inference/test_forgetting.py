"""Forgetting through the real server: cross-entropy as transformers has it, the probe, and lm-evaluation-harness on both."""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path

import pytest
from adapter_making import CONFIG, WEIGHTS, make_manifest, publish
from inference_server import InferenceServer

from burnish.grading import grade
from burnish.probe import probe_questions, probe_texts, write_lm_eval_tasks
from burnish.schemas.evaluation import Forgetting
from burnish.schemas.models import BaseModelRecord, read_record
from burnish_client.evaluation.asking.ask import Side
from burnish_client.evaluation.forgetting import (
    BASE_ANSWERS,
    CANDIDATE_TEXTS,
    forgetting_sentence,
    measure_forgetting,
    score_texts,
)
from burnish_client.evaluation.request import Endpoint

pytestmark = [pytest.mark.vllm, pytest.mark.model]

REPOSITORY = Path(__file__).resolve().parents[3]
ADAPTER, RANK = "forgetful", 8
LATEST = f"{ADAPTER}@latest"
QUESTIONS_STEP, TEXTS_STEP = 12, 4
FEW_QUESTIONS, FEW_TEXTS = probe_questions()[::QUESTIONS_STEP], probe_texts()[::TEXTS_STEP]
NATS_A_TOKEN = 0.001  # fp32 on both sides; bf16 would need about 0.02


def nats(model, tokenizer, text: str, prefix: list[int]) -> tuple[int, float]:
    """transformers' own loss, times the tokens that it is the mean of."""
    import torch

    ids = torch.tensor([prefix + tokenizer(text)["input_ids"]])
    with torch.no_grad():
        loss = model(input_ids=ids, labels=ids).loss
    return ids.shape[1] - 1, float(loss) * (ids.shape[1] - 1)


@pytest.fixture(scope="module")
def reference(
    server: InferenceServer, bucket, base_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list]:
    """Token counts and nats of the texts by transformers: base, adapter (published here), base after its first token id."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_model_dir)
    model = AutoModelForCausalLM.from_pretrained(base_model_dir, dtype=torch.float32)
    found = {
        "base": [nats(model, tokenizer, text.text, []) for text in FEW_TEXTS],
        "prefixed": [nats(model, tokenizer, text.text, [tokenizer.bos_token_id]) for text in FEW_TEXTS],
    }
    torch.manual_seed(0)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    tuned = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=targets))
    for path, weight in tuned.named_parameters():
        if "lora_B" in path:
            torch.nn.init.normal_(weight, std=0.2)
    folder = tmp_path_factory.mktemp("adapter")
    tuned.save_pretrained(folder)
    files = {path: (folder / path).read_bytes() for path in (CONFIG, WEIGHTS)}
    publish(bucket, make_manifest(ADAPTER, files, read_record(base_model_dir), RANK), files)
    found["adapter"] = [nats(tuned, tokenizer, text.text, []) for text in FEW_TEXTS]
    return found


@pytest.fixture(scope="module")
def record(base_model_dir: Path) -> BaseModelRecord:
    return read_record(base_model_dir)


@pytest.fixture(scope="module")
def endpoint(server: InferenceServer, reference) -> Endpoint:
    return Endpoint(str(server.http.base_url), server.token)


async def test_cross_entropy_equals_that_of_transformers_for_base_and_adapter(
    endpoint: Endpoint, record: BaseModelRecord, reference, tmp_path: Path
) -> None:
    sides = [Side(endpoint, record.name, tmp_path / "base"), Side(endpoint, LATEST, tmp_path / "adapter")]
    found = await score_texts(sides, FEW_TEXTS)
    for side, scores in zip(("base", "adapter"), found, strict=True):
        assert [score.tokens for score in scores] == [tokens for tokens, _ in reference[side]]
        for score, (tokens, expected) in zip(scores, reference[side], strict=True):
            assert score.nats / tokens == pytest.approx(expected / tokens, abs=NATS_A_TOKEN)
    assert sum(n for _, n in reference["adapter"]) > 1.03 * sum(n for _, n in reference["base"])


@pytest.fixture(scope="module")
async def measured(
    endpoint: Endpoint, record: BaseModelRecord, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Forgetting, Path]:
    """Base against the adapter of noise, and the folder that the asking left."""
    out = tmp_path_factory.mktemp("forgetting")
    return await measure_forgetting(endpoint, record.name, LATEST, out, questions=FEW_QUESTIONS), out


async def test_an_adapter_of_noise_is_seen_to_forget(measured, endpoint: Endpoint, record: BaseModelRecord) -> None:
    found, out = measured
    print(found.model_dump_json())
    assert found.probe.n == len(FEW_QUESTIONS)
    assert found.probe.base is not None
    assert 0.1 < found.probe.base < 0.9
    assert found.texts == len(probe_texts())
    assert found.delta_low is not None
    assert found.delta_low > 0.05
    assert "nats a token" in str(forgetting_sentence(found))
    logs = {name: (out / name).read_bytes() for name in (BASE_ANSWERS, CANDIDATE_TEXTS)}
    assert await measure_forgetting(endpoint, record.name, LATEST, out, questions=FEW_QUESTIONS) == found
    assert {name: (out / name).read_bytes() for name in logs} == logs


@pytest.fixture(scope="module")
def lm_eval() -> Path:
    """The interpreter that has lm-evaluation-harness: an environment of its own, see docs/lm-eval.md."""
    python = Path(os.environ.get("BURNISH_LM_EVAL_PYTHON", REPOSITORY / ".cache/lm-eval/bin/python"))
    if not python.exists():
        pytest.skip(f"no Python with lm_eval at {python}: `make lm-eval` makes it")
    return python


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported tasks, with few of their rows."""
    folder = tmp_path_factory.mktemp("tasks")
    write_lm_eval_tasks(folder)
    for name, every in (("burnish_probe", QUESTIONS_STEP), ("burnish_texts", TEXTS_STEP)):
        path = folder / f"{name}.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[::every]))
    return folder


def run_lm_eval(
    python: Path, token: str, tasks: Path, out: Path, task: str, model: str, model_args: str, *more: str
) -> dict:
    """The results of one task."""
    command = [str(python), "-m", "lm_eval", "run", "--include_path", str(tasks), "--tasks", task, "--model", model]
    command += ["--model_args", model_args, "--output_path", str(out), "--log_samples", *more]
    own = {"OPENAI_API_KEY": token, "HF_HUB_OFFLINE": "1", "HF_HOME": str(out / "cache"), "no_proxy": "127.0.0.1"}
    done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    (results,) = out.rglob("results_*.json")
    return json.loads(results.read_text())["results"][task]


def test_lm_eval_gives_the_probe_our_own_score(
    measured, endpoint: Endpoint, record: BaseModelRecord, lm_eval: Path, tasks: Path, tmp_path: Path
) -> None:
    found, asked = measured
    args = f"model={record.name},base_url={endpoint.base_url}/chat/completions,num_concurrent=8,eos_string=<|im_end|>"
    results = run_lm_eval(
        lm_eval,
        endpoint.token,
        tasks,
        tmp_path,
        "burnish_probe",
        "local-chat-completions",
        args,
        "--apply_chat_template",
    )
    samples = [json.loads(line) for line in next(tmp_path.rglob("samples_*.jsonl")).read_text().splitlines()]
    theirs = {sample["doc"]["question_id"]: (sample["resps"][0][0], sample["pass_rate"]) for sample in samples}
    assert theirs.keys() == {question.question_id for question in FEW_QUESTIONS}
    for question in FEW_QUESTIONS:
        text, passed = theirs[question.question_id]
        assert bool(passed) == grade(question.grader, text, question.expected_answer).passed
    ours = [json.loads(line) for line in (asked / BASE_ANSWERS).read_text().splitlines()]
    differing = [answer for answer in ours if answer["text"].strip() != theirs[answer["question_id"]][0].strip()]
    print(f"{len(differing)} of {len(ours)} greedy answers differ by batching")
    assert len(differing) <= 2
    assert results["pass_rate,none"] == pytest.approx(found.probe.base, abs=len(differing) / len(ours) + 1e-9)
    if not differing:
        assert {c.category: c.base for c in found.categories} == pytest.approx(
            {c.category: results[f"{c.category},none"] for c in found.categories}
        )


def test_lm_eval_gives_the_texts_the_perplexity_that_transformers_gives(
    endpoint: Endpoint,
    record: BaseModelRecord,
    reference,
    base_model_dir: Path,
    lm_eval: Path,
    tasks: Path,
    tmp_path: Path,
) -> None:
    """lm_eval puts the beginning-of-text token before a text and so predicts its first token too; we do not."""
    args = f"model={record.name},base_url={endpoint.base_url}/completions,tokenizer_backend=huggingface,tokenizer={base_model_dir}"
    results = run_lm_eval(lm_eval, endpoint.token, tasks, tmp_path, "burnish_texts", "local-completions", args)
    size = sum(len(text.text.encode()) for text in FEW_TEXTS)
    expected = sum(value for _, value in reference["prefixed"]) / size / math.log(2)
    assert results["bits_per_byte,none"] == pytest.approx(expected, rel=0.001)
