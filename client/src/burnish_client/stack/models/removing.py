"""Removes a base model unless something rests on it. Called by `burnish model rm`."""

from __future__ import annotations

from pathlib import Path

from burnish.errors import HeldError, PreconditionError
from burnish_client.sdk.inference import InferenceClient
from burnish_client.stack import control
from burnish_client.stack.models.shelf import Removed, Shelf, ShelvedModel
from burnish_client.stack.settings import StackSettings
from burnish_client.stack.state import StackState

SHOWN = 5


def remove(name: str, settings: StackSettings, *, unchecked: bool = False) -> Removed:
    """What was removed. HeldError if the stack runs on it or adapters were trained on it; PreconditionError if that cannot be seen
    since the stack is down, unless unchecked."""
    shelf = Shelf(settings.home, settings.base_model)
    if name in shelf.gone():
        return shelf.remove(name)
    model = shelf.named(name)
    state = control.status(settings.home.resolve())
    runs = state is not None and state.phase == "running"
    if state is not None and runs:
        if state.base_model == name:
            raise HeldError(
                f"base model {name} is the one that the stack runs on: `burnish down`, then `burnish up --model OTHER`"
            )
        _check_unused(model, state)
    elif not unchecked:
        raise PreconditionError(
            f"the stack is down, so nobody can say what rests on base model {name}: `burnish up`, or remove it with --unchecked"
        )
    return shelf.remove(name)


def _check_unused(model: ShelvedModel, state: StackState) -> None:
    if state.inference_url is None:
        raise PreconditionError(
            "the stack runs without inference, which lists the adapters: `burnish up`, or use --unchecked"
        )
    with InferenceClient(state.inference_url, state.token, ca=Path(state.ca) if state.ca else None) as client:
        adapters = client.adapters()
    held = [f"{one.name}@{one.version}" for one in adapters if one.base_model.digest == model.record.digest]
    held += [f"unreadable {one.key}" for one in adapters.broken]
    if held:
        more = f" and {len(held) - SHOWN} more" if len(held) > SHOWN else ""
        raise HeldError(
            f"base model {model.name}: of {len(held)} adapter{'s' if len(held) > 1 else ''} ({', '.join(held[:SHOWN])}{more}): "
            "`burnish adapters rm` them first"
        )
