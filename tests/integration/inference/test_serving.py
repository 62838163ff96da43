"""The inference service before a real vLLM with SmolLM2 in fp32: tests in order, the last ones kill its processes."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from adapter_making import CONFIG, WEIGHTS, make_manifest, publish
from safetensors.numpy import load, save
from whole_stack import WholeStack

from burnish import layout
from burnish.errors import UnavailableError
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.models import BaseModelRecord, read_record

pytestmark = [pytest.mark.vllm, pytest.mark.model]

PROMPTS = [
    "The capital of France is",
    "def fibonacci(n):\n    ",
    "A short list of fruits:\n1. Apple\n2.",
    "Once upon a time, in a small village by the sea,",
]
NEW_TOKENS = 16
RANK = 8


@dataclass
class Reference:
    """Greedy continuations by Hugging Face and PEFT in fp32, and the adapters they were made with. Key "" is the base."""

    texts: dict[str, list[str]]
    files: dict[str, dict[str, bytes]]


@pytest.fixture(scope="module")
def reference(server, base_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_model_dir)
    model = AutoModelForCausalLM.from_pretrained(base_model_dir, dtype=torch.float32)

    def continuations(chosen) -> list[str]:
        texts = []
        for prompt in PROMPTS:
            tokens = tokenizer(prompt, return_tensors="pt")
            with torch.no_grad():
                output = chosen.generate(**tokens, max_new_tokens=NEW_TOKENS, do_sample=False)
            texts.append(tokenizer.decode(output[0, tokens["input_ids"].shape[1] :], skip_special_tokens=True))
        return texts

    reference = Reference({"": continuations(model)}, {})
    for number, name in enumerate(("one", "two")):
        torch.manual_seed(number)
        targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        tuned = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=targets))
        for path, weight in tuned.named_parameters():
            if "lora_B" in path:
                torch.nn.init.normal_(weight, std=0.02)
        folder = tmp_path_factory.mktemp("adapter") / name
        tuned.save_pretrained(folder)
        reference.files[name] = {path: (folder / path).read_bytes() for path in (CONFIG, WEIGHTS)}
        assert isinstance(tuned, PeftModel)
        reference.texts[name] = continuations(tuned)
        model = tuned.unload()
        shutil.rmtree(folder)
    assert len({tuple(texts) for texts in reference.texts.values()}) == 3, (
        "the adapters change nothing: the test could not fail"
    )
    return reference


@pytest.fixture(scope="module")
def record(base_model_dir: Path) -> BaseModelRecord:
    return read_record(base_model_dir)


@pytest.fixture(scope="module")
def adapters(reference, record, bucket) -> dict[str, AdapterManifest]:
    return {
        name: publish(bucket, make_manifest(name, files, record, RANK), files)
        for name, files in reference.files.items()
    }


def complete(server, model: str, prompt: str, **parameters):
    body = {"model": model, "prompt": prompt, "max_tokens": NEW_TOKENS, "temperature": 0, **parameters}
    return server.http.post("/v1/completions", json=body)


def answers(server, models: list[str]) -> dict[str, list[str]]:
    """Every prompt to every model, all at once, so that their rows share batches."""
    with ThreadPoolExecutor(len(models) * len(PROMPTS)) as pool:
        pending = {
            (model, number): pool.submit(complete, server, model, prompt)
            for number, prompt in enumerate(PROMPTS)
            for model in models
        }
    return {
        model: [pending[model, number].result().json()["choices"][0]["text"] for number in range(len(PROMPTS))]
        for model in models
    }


def test_the_base_answers_a_chat(server, record):
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    body = {"model": record.name, "messages": messages, "temperature": 0, "max_tokens": 16}
    response = server.http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    assert "Paris" in response.json()["choices"][0]["message"]["content"]


def test_a_mixed_batch_equals_hugging_face_and_peft(server, reference, adapters, record):
    """Twice: the second time both slots are taken, which is where vLLM's own CPU arithmetic goes wrong for the base."""
    models = {"": record.name, "one": "one@latest", "two": f"two@{adapters['two'].version}"}
    expected = {models[key]: texts for key, texts in reference.texts.items()}
    answers(server, list(models.values()))
    assert answers(server, list(models.values())) == expected


def test_a_streamed_answer_equals_the_whole_one(server, reference, adapters):
    body = {"model": "one@latest", "prompt": PROMPTS[0], "max_tokens": NEW_TOKENS, "temperature": 0, "stream": True}
    with server.http.stream("POST", "/v1/completions", json=body) as response:
        assert response.headers["x-burnish-adapter-version"] == adapters["one"].version
        events = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert events[-1] == "[DONE]"
    assert "".join(orjson.loads(event)["choices"][0]["text"] for event in events[:-1]) == reference.texts["one"][0]


def wait_for_more(answers: list[Any], how_many: int = 3) -> None:
    """Until that many answers more have come, from an engine that still answers."""
    wanted, deadline = len(answers) + how_many, time.monotonic() + 30
    while len(answers) < wanted:
        assert time.monotonic() < deadline, "the base has stopped answering"
        time.sleep(0.05)


def test_a_new_adapter_is_served_within_5_s_of_its_manifest_and_the_base_never_fails(server, reference, record, bucket):
    arrays = load(reference.files["one"][WEIGHTS])
    files = reference.files["one"] | {
        WEIGHTS: save({name: -array if "lora_B" in name else array for name, array in arrays.items()})
    }
    stop, statuses = threading.Event(), []

    def keep_asking() -> None:
        while not stop.is_set():
            statuses.append(complete(server, record.name, PROMPTS[1], max_tokens=8).status_code)

    with ThreadPoolExecutor(3) as pool:
        askers = [pool.submit(keep_asking) for _ in range(3)]
        wait_for_more(statuses)
        publish(bucket, make_manifest("three", files, record, RANK), files)
        published = time.monotonic()
        response = complete(server, "three@latest", PROMPTS[0])
        seconds = time.monotonic() - published
        complete(server, "three@latest", PROMPTS[0])
        loading_seconds = seconds - (
            time.monotonic() - published - seconds
        )  # apart from what a busy machine takes to answer
        wait_for_more(statuses)
        stop.set()
        [asker.result() for asker in askers]
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["text"] != reference.texts["one"][0]
    assert loading_seconds < 5
    assert set(statuses) == {200}
    print(f"served {seconds:.2f} s after its manifest, {len(statuses)} base requests meanwhile")


def test_a_change_of_the_production_version_reaches_callers_within_a_second_and_fails_none_of_them(
    server, reference, adapters, bucket
):
    """Changed in the bucket, as another gateway would; both adapters have answered before, so that they are only looked up."""
    one, two = adapters["one"], adapters["two"]
    assert complete(server, "one", PROMPTS[0]).status_code == 404
    body = {"version": one.version, "by": "test", "override": "a test"}
    server.http.post("/v1/aliases/one/production/promote", json=body).raise_for_status()
    assert complete(server, "one", PROMPTS[0]).json()["choices"][0]["text"] == reference.texts["one"][0]
    for entry in two.files:
        bucket.put(
            layout.adapter("one", two.version, entry.path), bucket.get(layout.adapter("two", two.version, entry.path))
        )
    bucket.put(layout.adapter("one", two.version), two.model_copy(update={"name": "one"}).model_dump_json().encode())
    assert complete(server, f"one@{two.version}", PROMPTS[0]).json()["choices"][0]["text"] == reference.texts["two"][0]
    stop, answered = threading.Event(), []

    def keep_asking() -> None:
        while not stop.is_set():
            asked = time.monotonic()
            response = complete(server, "one", PROMPTS[0], max_tokens=4)
            answered.append((asked, response.status_code, response.headers.get("x-burnish-adapter-version")))

    with ThreadPoolExecutor(3) as pool:
        askers = [pool.submit(keep_asking) for _ in range(3)]
        wait_for_more(answered)
        bucket.put(layout.alias("one"), orjson.dumps({"name": "one", "version": two.version}))
        changed = time.monotonic()
        time.sleep(3)
        wait_for_more(answered)
        stop.set()
        [asker.result() for asker in askers]
    assert {status for _, status, _ in answered} == {200}
    assert {version for _, _, version in answered} == {one.version, two.version}
    late = max(asked for asked, _, version in answered if version == one.version) - changed
    assert late < 1
    assert complete(server, "one", PROMPTS[0]).json()["choices"][0]["text"] == reference.texts["two"][0]
    bucket.delete(layout.alias("one"))
    for file in ("manifest.json", *(entry.path for entry in two.files)):
        bucket.delete(layout.adapter("one", two.version, file))
    print(f"{late:.2f} s after the change the last request got the old version; {len(answered)} requests, none failed")


def test_more_adapters_than_slots_still_answer_rightly(server, reference, adapters, record):
    """`three` has pushed one of them out of vLLM's memory: it is read again from its folder."""
    models = {"": record.name, "one": "one@latest", "two": "two@latest"}
    assert answers(server, list(models.values())) == {models[key]: texts for key, texts in reference.texts.items()}


def test_broken_adapters_are_4xx_and_the_engine_lives(server, reference, record, bucket):
    good = reference.files["one"]
    half = save(
        {name: array for name, array in load(good[WEIGHTS]).items() if "layers.7." not in name or "lora_A" in name}
    )
    wider = save(
        {name: array.repeat(2, axis=1) if "lora_A" in name else array for name, array in load(good[WEIGHTS]).items()}
    )
    broken = {
        "half": good | {WEIGHTS: half},
        "wider": good | {WEIGHTS: wider},
        "dora": good | {CONFIG: good[CONFIG].replace(b'"use_dora": false', b'"use_dora": true')},
        "cut": good | {WEIGHTS: good[WEIGHTS][:-100]},
        "pickle": good | {"adapter_model.bin": b"\x80\x04."},
    }
    for name, files in broken.items():
        publish(bucket, make_manifest(name, files, record, RANK), files)
        response = complete(server, f"{name}@latest", PROMPTS[0])
        assert response.status_code == 400, f"{name}: {response.text}"
        assert response.json()["error"]["code"] == "incompatible_adapter"
    assert complete(server, "../one", PROMPTS[0]).status_code == 404
    assert complete(server, record.name, PROMPTS[0]).json()["choices"][0]["text"] == reference.texts[""][0]


def test_vllms_own_refusals_pass_as_4xx(server, record):
    response = complete(server, record.name, PROMPTS[0], max_tokens=10**6)
    error = response.json()["error"]
    assert response.status_code == 400
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_input")
    assert "2048" in error["message"]
    error = complete(server, record.name, "word " * 3000).json()["error"]
    assert (error["code"], error["reason"]) == ("context_length_exceeded", "INVALID_INPUT")


def test_vllm_listens_on_no_port_and_on_a_socket_for_this_user_alone(server):
    ports = [c for p in engine_processes(server) for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert {connection.laddr.ip for connection in ports} <= {"127.0.0.1"}
    own = next(
        p for p in engine_processes(server) if p.cmdline()[1:3] == ["-m", "burnish_inference.engine.vllm_server"]
    )
    assert [connection for connection in ports if connection in own.net_connections("tcp")] == []
    sockets = Path(own.environ()["VLLM_RPC_BASE_PATH"])
    assert sockets.stat().st_mode & 0o777 == 0o700
    assert (sockets / "http").is_socket()


def engine_processes(server) -> list[psutil.Process]:
    """The guard and everything below it."""
    return psutil.Process(server.process.pid).children(recursive=True)


def test_a_killed_engine_core_is_503_and_then_back_with_its_adapters(server, reference, adapters, record):
    core = next(process for process in engine_processes(server) if "EngineCore" in "".join(process.cmdline()))
    core.kill()
    killed, refused, unexpected = time.monotonic(), 0, []
    while time.monotonic() - killed < 10:
        response = complete(server, record.name, PROMPTS[0], max_tokens=1)
        if response.status_code == 503:
            assert int(response.headers["retry-after"]) > 0
            assert response.json()["error"]["code"] == UnavailableError("").reason.lower()
            refused += 1
        else:
            unexpected.append(response.text)
        time.sleep(0.2)
    assert refused > 10
    assert unexpected == []
    server.wait_ready()
    print(f"back {time.monotonic() - killed:.1f} s after its engine core was killed")
    models = {"": record.name, "one": "one@latest", "two": f"two@{adapters['two'].version}"}
    assert answers(server, list(models.values())) == {models[key]: texts for key, texts in reference.texts.items()}


@pytest.mark.ends_the_stack
def test_a_killed_server_leaves_no_vllm_behind_and_down_ends_the_rest(server, whole_stack: WholeStack):
    left = engine_processes(server)
    assert len(left) >= 3
    server.process.kill()
    server.process.wait(timeout=15)
    _, alive = psutil.wait_procs(left, timeout=15)
    assert alive == []
    whole_stack.down()
