"""Clients of the three services of one stack, opened together for the demo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from burnish.errors import PreconditionError
from burnish_client import Adapters, CuratorClient, InferenceClient, TrainerClient
from burnish_client.config.endpoints import FIELDS, ClientSettings
from burnish_client.config.env_file import EnvFile
from burnish_client.evaluation.request import Endpoint
from burnish_client.stack.state import StackState


def settings_of_embedded(state: StackState) -> ClientSettings:
    """Addresses of exactly this stack, whatever BURNISH_* variables the environment has."""
    given: dict[str, Any] = {name: getattr(state, name) for name in FIELDS.values()}
    if not all(given.values()):
        raise PreconditionError("the running stack lacks a part: `burnish down`, then run this again")
    return ClientSettings(**given | {"token": state.token, "ca": state.ca})


def settings_of_compose(stack: EnvFile) -> ClientSettings:
    """Raises PreconditionError if neither the file nor the environment has a token."""
    if not stack.token:
        raise PreconditionError(
            "no compose stack to talk to: BURNISH_TOKEN is neither in the environment nor in this folder's .env. Run this in the "
            "folder of docker-compose.yml, after `make secrets` and `docker compose up --wait`"
        )
    given: dict[str, Any] = {FIELDS[service]: address for service, address in stack.addresses.items()}
    return ClientSettings(**given | {"token": stack.token, "ca": stack.ca})


@dataclass(frozen=True)
class Services:
    """Clients of the same stack. adapters: the registry; endpoint: the inference service as the eval client takes it; base_model: the name it serves."""

    curator: CuratorClient
    trainer: TrainerClient
    inference: InferenceClient
    adapters: Adapters
    endpoint: Endpoint
    base_model: str


@contextmanager
def open_services(settings: ClientSettings) -> Iterator[Services]:
    """Clients of one stack, each of which has answered. Raises UnavailableError that names a service that does not."""
    with ExitStack() as opened:
        curator = opened.enter_context(CuratorClient.from_settings(settings))
        trainer = opened.enter_context(TrainerClient.from_settings(settings))
        inference = opened.enter_context(InferenceClient.from_settings(settings))
        adapters = opened.enter_context(Adapters.from_settings(settings))
        for client in (curator, trainer, inference):
            client.check_access()
        endpoint = Endpoint.from_settings(settings)
        yield Services(curator, trainer, inference, adapters, endpoint, inference.base_model())
