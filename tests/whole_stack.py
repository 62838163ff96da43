"""The one stack of a test session: every part real, vLLM included, started by `burnish up` and ended by `burnish down`.

The fixture `whole_stack` of tests/conftest.py starts it when the first test asks for it. Tests share it: each takes names of its
own for what it makes, and leaves every part healthy. Who kills a part waits until it is back.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
from hosted_fakes.openai_tuning import OpenAITuning
from hosted_fakes.server import FakeServer, serving
from hosted_fakes.together_tuning import TogetherTuning
from inference_server import InferenceServer
from integration.client.homes import Home
from otlp_receiver import Receiver, receiving

from burnish.objectstores.s3 import S3ObjectStore
from burnish_client.stack import control

# float32, in which vLLM's answers equal those of transformers; two slots, so that three adapters push one another out.
INFERENCE = {
    "BURNISH_INFERENCE_DTYPE": "float32",
    "BURNISH_INFERENCE_MAX_LORAS": "2",
    "BURNISH_INFERENCE_MAX_CPU_LORAS": "2",
}
BUCKET = "burnish"
HOSTED = {f"BURNISH_TRAINER_HOSTED_{name}_SECONDS": "0.2" for name in ("POLL", "LONGEST_POLL", "SETTLE")}
PRICE = {"provider": "openai", "model": "*", "usd_per_million_tokens": {"sft": 1.5}, "date": "2026-11-01"}
START_LIMIT_SECONDS = 900


@dataclass(frozen=True)
class WholeStack(Home):
    """A home whose four parts run. receiver: takes the spans of all of them; told_by_up: what `burnish up` printed.

    openai, together: providers that its trainer may have train; a test puts a fake of its own into one.
    """

    receiver: Receiver = field(kw_only=True)
    openai: FakeServer = field(kw_only=True)
    together: FakeServer = field(kw_only=True)
    told_by_up: str = ""

    def store(self) -> S3ObjectStore:
        """The bucket that its parts work on."""
        state = self.state()
        return S3ObjectStore(state["s3_endpoint"], state["s3_access_key"], state["s3_secret_key"], BUCKET)

    def inference(self) -> InferenceServer:
        """Its inference service as it runs now."""
        part, state = self.part("inference"), self.state()
        port = int(part["address"].rpartition(":")[2])
        return InferenceServer(psutil.Process(part["process"]["pid"]), port, Path(part["log"]), state["token"])

    def is_up(self) -> bool:
        return bool(self.state().get("phase") == "running")

    def down(self) -> None:
        """As a user ends it; nothing of it may be left."""
        ended = self.burnish("down")
        assert (ended.returncode, "has ended" in ended.stdout) == (0, True), ended.stdout + ended.stderr
        assert self.processes() == []

    def restarts(self) -> dict[str, int]:
        """How often each part had to be started again."""
        return {part["name"]: part["restarts"] for part in self.state().get("parts", ())}

    def faults(self, limit_seconds: float = 30) -> list[str]:
        """What is not as a test should leave it; a part that is late with its answer to a probe has some seconds."""
        deadline = time.monotonic() + limit_seconds
        while found := self._faults():
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        return found

    def _faults(self) -> list[str]:
        if not self.is_up():
            return [f"the stack is {self.state().get('phase')}"]
        return [f"{part['name']} is {part['state']}" for part in self.state()["parts"] if part["state"] != "healthy"]


@contextmanager
def running(folder: Path) -> Iterator[WholeStack]:
    """Up on entry, down on exit: with `burnish down`, unless a test has done that already."""
    openai, together, prices = OpenAITuning(), TogetherTuning(), folder / "prices.json"
    prices.write_text(json.dumps({"prices": [PRICE]}))
    with receiving() as receiver, serving(openai) as at_openai, serving(together) as at_together:
        stack = WholeStack(folder / "home", receiver=receiver, openai=at_openai, together=at_together)
        # Its parts take all cores, as a user's do, though tests that run side by side hold to one thread each.
        hosted = HOSTED | openai.access(at_openai.url, openai.token) | together.access(at_together.url, together.token)
        settings = (
            INFERENCE
            | hosted
            | {
                "BURNISH_TRAINER_PRICES": str(prices),
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
                "OMP_NUM_THREADS": str(os.cpu_count()),
            }
        )
        started = stack.burnish("up", timeout_seconds=START_LIMIT_SECONDS, **settings)
        try:
            assert started.returncode == 0, started.stdout + started.stderr
            yield replace(stack, told_by_up=started.stdout)
            if stack.is_up():
                stack.down()
        finally:
            control.down(stack.path)
