"""The three doors of a running stack, opened together for the demo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from burnish.errors import PreconditionError
from burnish_client.curator_client import CuratorClient
from burnish_client.evaluation import Endpoint
from burnish_client.inference_client import InferenceClient
from burnish_client.stack.state import StackState
from burnish_client.trainer_client import TrainerClient


@dataclass(frozen=True)
class Doors:
    """Clients of the same stack. endpoint: the inference front as the eval client wants it; base_model: the name it serves."""

    curator: CuratorClient
    trainer: TrainerClient
    inference: InferenceClient
    endpoint: Endpoint
    base_model: str


@contextmanager
def open_doors(state: StackState) -> Iterator[Doors]:
    """Clients of this very stack, whatever BURNISH_* addresses the environment has."""
    if not (state.curator_url and state.trainer_address and state.inference_url):
        raise PreconditionError("the stack that runs lacks a part: `burnish down`, then run this again")
    ca = Path(state.ca) if state.ca else None
    with ExitStack() as opened:
        inference = opened.enter_context(InferenceClient(state.inference_url, state.token, ca=ca))
        yield Doors(
            curator=opened.enter_context(CuratorClient(state.curator_url, state.token, ca=ca)),
            trainer=opened.enter_context(TrainerClient(state.trainer_address, state.token, ca=ca)),
            inference=inference,
            endpoint=Endpoint(state.inference_url, state.token, ca=ca),
            base_model=inference.base_model(),
        )
