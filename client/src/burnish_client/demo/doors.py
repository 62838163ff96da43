"""The three doors of a running stack, opened together for the demo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from burnish.errors import PreconditionError, UnavailableError
from burnish_client.config.env_file import EnvFile
from burnish_client.evaluation import Endpoint
from burnish_client.sdk.curator import CuratorClient
from burnish_client.sdk.inference import InferenceClient
from burnish_client.sdk.trainer import TrainerClient
from burnish_client.stack.state import StackState


@dataclass(frozen=True)
class Addresses:
    """Where the doors of one stack are, the token of all three, and the authority that signed their certificates."""

    curator: str
    trainer: str
    inference: str
    token: str = field(repr=False)
    ca: Path | None = None

    @classmethod
    def of_embedded(cls, state: StackState) -> Self:
        """Of this very stack, whatever BURNISH_* addresses the environment has."""
        if not (state.curator_url and state.trainer_address and state.inference_url):
            raise PreconditionError("the stack that runs lacks a part: `burnish down`, then run this again")
        ca = Path(state.ca) if state.ca else None
        return cls(state.curator_url, state.trainer_address, state.inference_url, state.token, ca)

    @classmethod
    def of_compose(cls, stack: EnvFile) -> Self:
        """PreconditionError where neither the file nor the environment has a token."""
        if not stack.token:
            raise PreconditionError(
                "no compose stack to talk to: BURNISH_TOKEN stands neither in the environment nor in this folder's .env; run this "
                "where docker-compose.yml stands, after `make secrets` and `docker compose up --wait`"
            )
        return cls(**stack.addresses, token=stack.token, ca=stack.ca)


@dataclass(frozen=True)
class Doors:
    """Clients of the same stack. endpoint: the inference front as the eval client wants it; base_model: the name it serves."""

    curator: CuratorClient
    trainer: TrainerClient
    inference: InferenceClient
    endpoint: Endpoint
    base_model: str


@contextmanager
def open_doors(at: Addresses) -> Iterator[Doors]:
    """Clients of one stack, each of which has answered. UnavailableError names a door that does not."""
    with ExitStack() as opened:
        curator = opened.enter_context(CuratorClient(at.curator, at.token, ca=at.ca))
        trainer = opened.enter_context(TrainerClient(at.trainer, at.token, ca=at.ca))
        inference = opened.enter_context(InferenceClient(at.inference, at.token, ca=at.ca))
        with _naming("curator", at.curator):
            curator.benchmarks()
        with _naming("trainer", at.trainer):
            trainer.list_jobs(limit=1)
        with _naming("inference", at.inference):
            base_model = inference.base_model()
        yield Doors(curator, trainer, inference, Endpoint(at.inference, at.token, ca=at.ca), base_model)


@contextmanager
def _naming(part: str, address: str) -> Iterator[None]:
    try:
        yield
    except UnavailableError as error:
        raise UnavailableError(
            f"the {part} at {address} does not answer: is the stack up? `docker compose ps` and `burnish status` show it ({error.message})"
        ) from error
