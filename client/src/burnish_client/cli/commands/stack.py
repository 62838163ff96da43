"""`burnish up`, `status`, `down`: the embedded stack. `status` also shows services elsewhere."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from burnish_client.cli.views import console, stack_text
from burnish_client.cli.views.console import JsonFlag

DEVICE_SECONDS = 5.0

if TYPE_CHECKING:
    from burnish.schemas.device import DeviceStatus
    from burnish_client.config.endpoints import ClientSettings
    from burnish_client.sdk.transport.reachability import ServiceAccess
    from burnish_protos.trainer.v1.trainer_pb2 import TuningJob


class OptionalPart(StrEnum):
    """Parts that `up` can leave out."""

    CURATOR = "curator"
    TRAINER = "trainer"
    INFERENCE = "inference"


def up(
    without: Annotated[
        list[OptionalPart] | None,
        typer.Option(help="Leave this part out; repeat for more. Without inference no language model is loaded."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Base model, as `burnish model ls` has it; default: that of the last start.",
            show_default=False,
        ),
    ] = None,
    new_secrets: Annotated[
        bool, typer.Option("--new-secrets", help="Make a new token and new S3 keys instead of those kept.")
    ] = False,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay attached; Ctrl-C ends the stack.")] = False,
    json: JsonFlag = False,
) -> None:
    """Start object store, curator, trainer and inference on this machine.

    Their state is kept in BURNISH_HOME (.burnish). A second `up` finds the first.
    """
    from burnish_client.stack.control import Launch, interruptible

    try:
        launching = Launch(without=[part.value for part in without or ()], new_secrets=new_secrets, model=model)
        with interruptible(), launching as launch:
            state = stack_text.wait_healthy(launch, console.err())
            if json:
                console.print_json(state.public())
            else:
                console.out().print(stack_text.parts_table(state))
                console.out().print(
                    f"[bold green]The stack is up.[/] State in {launch.home}; `burnish status` shows it, `burnish down` ends it."
                    if launch.is_owner
                    else f"[bold green]The stack was up already[/] (pid {state.supervisor.pid}, state in {launch.home}).",
                    soft_wrap=True,
                )
            if launch.is_owner and foreground:
                console.note("[dim]attached: Ctrl-C ends the stack[/]")
                code = launch.wait_ended()
                console.note("the stack has ended")
                raise typer.Exit(code)
            launch.detach()
    except KeyboardInterrupt:
        console.note("[yellow]interrupted:[/] everything that was started has been ended")
        raise typer.Exit(130) from None


def status(json: JsonFlag = False) -> None:
    """Show what runs, and where the addresses come from.

    Exit code 0 if everything that was started runs and every service used elsewhere accepts the token, else 1.
    """
    from burnish_client.cli.views.training import job_text
    from burnish_client.config.endpoints import FIELDS, ClientSettings
    from burnish_client.sdk.trainer import to_dict
    from burnish_client.stack import control

    settings = ClientSettings()
    home = settings.home.resolve()
    state = control.status(home)
    sources = {service: title for service in FIELDS if (title := settings.source_title(service)) is not None}
    elsewhere = _check_elsewhere(settings)
    is_used = not elsewhere or any(settings.source(service) == "stack" for service in sources)
    answers: set[str] = {one.service for one in elsewhere if one.state == "accepted"}
    answers |= {part.name for part in state.parts if part.state in ("healthy", "unready")} if state else set()
    device = _read_device(settings) if "inference" in answers else None
    hosted = _read_hosted(settings) if "trainer" in answers else []
    is_healthy = state is not None and state.phase == "running" and all(part.state == "healthy" for part in state.parts)
    if json:
        shown = state.public() if state else {"phase": "stopped", "parts": []}
        reached = [one.to_dict() for one in elsewhere]
        shown_device = device.model_dump(mode="json") if device else None
        at_providers = [to_dict(job) for job in hosted]
        console.print_json(
            shown | {"sources": sources, "services": reached, "device": shown_device, "at_providers": at_providers}
        )
    else:
        if state is not None and (is_used or state.phase != "stopped"):
            stack_text.show_stack(state, home)
        elif is_used:
            console.note(f"no stack has been started in {home}: burnish up")
        for source in dict.fromkeys(sources.values()):
            services = [service for service, title in sources.items() if title == source]
            named = "addresses" if len(services) == len(sources) else ", ".join(services)
            console.out().print(f"[dim]{named}: from[/] {source}", soft_wrap=True)
        if elsewhere:
            stack_text.show_access(elsewhere)
        if device is not None and device.holder is not None:
            console.note(stack_text.device_line(device))
        for job in hosted:
            console.note(f"[bold yellow]{escape(job_text.at_provider(job))}[/]")
    raise typer.Exit(0 if (is_healthy or not is_used) and all(one.state == "accepted" for one in elsewhere) else 1)


def _check_elsewhere(settings: ClientSettings) -> list[ServiceAccess]:
    """Of the services that no embedded stack named. Without a token none is asked."""
    from burnish_client.config.endpoints import FIELDS
    from burnish_client.sdk.transport.reachability import check_services

    addresses = {
        service: settings.address(service) for service in FIELDS if settings.source(service) in ("variable", "login")
    }
    return check_services(addresses, settings.secret_token(), settings.ca) if addresses else []


def _read_device(settings: ClientSettings) -> DeviceStatus | None:
    """Who has the inference service's device; None if it does not say."""
    from burnish.errors import BurnishError
    from burnish_client.sdk.inference import InferenceClient

    try:
        with InferenceClient(
            settings.address("inference"), settings.secret_token(), ca=settings.ca, timeout_seconds=DEVICE_SECONDS
        ) as client:
            return client.device()
    except BurnishError:
        return None  # whether it answers is said above


def _read_hosted(settings: ClientSettings) -> list[TuningJob]:
    """The jobs that a provider may be charging for; none if the trainer does not say."""
    from burnish.errors import BurnishError
    from burnish_client.sdk.trainer import TrainerClient

    try:
        with TrainerClient.from_settings(settings) as trainer:
            return trainer.list_jobs(at_provider=True)
    except BurnishError:
        return []  # whether it answers is said above


def down(json: JsonFlag = False) -> None:
    """End the stack with all its processes.

    Data, ports and token are kept for the next `up`.
    """
    from burnish_client.stack import control
    from burnish_client.stack.settings import StackSettings

    home = StackSettings().home.resolve()
    with console.working("ending the stack"):
        ended = control.down(home)
    if json:
        return console.print_json({"ended": ended})
    console.out().print(f"the stack in {home} has ended" if ended else f"no stack runs in {home}", soft_wrap=True)
