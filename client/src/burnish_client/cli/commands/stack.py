"""`burnish up`, `status`, `down`: the embedded stack; `status` also shows services elsewhere."""

from __future__ import annotations

import time
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish_client.config.endpoints import ClientSettings, Door
    from burnish_client.sdk.reachability import DoorAnswer
    from burnish_client.stack.control import Launch
    from burnish_client.stack.state import PartStatus, StackState


class OptionalPart(StrEnum):
    """Parts that `up` can leave out."""

    CURATOR = "curator"
    TRAINER = "trainer"
    INFERENCE = "inference"


COLOURS = {"healthy": "green", "starting": "cyan", "restarting": "yellow", "unready": "yellow", "failed": "red"}
WORDS = {"healthy": "running", "unready": "not ready"}


def up(
    without: Annotated[
        list[OptionalPart] | None,
        typer.Option(
            help="Leave this part out; repeat for more. Without inference no language model is loaded.",
            show_default=False,
        ),
    ] = None,
    new_secrets: Annotated[
        bool, typer.Option("--new-secrets", help="Fresh token and S3 keys instead of those kept.")
    ] = False,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay attached; Ctrl-C ends the stack.")] = False,
    json: JsonFlag = False,
) -> None:
    """Start object store, curator, trainer and inference on this machine.

    Their state is kept under BURNISH_HOME (.burnish). A second `up` finds the first.
    """
    from burnish_client.stack.control import Launch, interruptible

    try:
        with interruptible(), Launch(without=[part.value for part in without or ()], new_secrets=new_secrets) as launch:
            _start(launch, json=json)
            if launch.is_owner and foreground:
                console.note("[dim]attached: Ctrl-C ends the stack[/]")
                code = launch.wait_ended()
                console.note("the stack has ended")
                raise typer.Exit(code)
            launch.detach()
    except KeyboardInterrupt:
        console.note("[yellow]interrupted:[/] everything that was started has been ended")
        raise typer.Exit(130) from None


def _start(launch: Launch, *, json: bool) -> None:
    """Show the parts until all are healthy, then what to do with them."""
    from rich.live import Live

    state: StackState
    terminal = console.err().is_terminal
    if terminal:
        with Live(_starting(launch.home), console=console.err(), refresh_per_second=8, transient=True) as live:
            state = launch.wait_healthy(lambda now: live.update(parts_table(now) if now else _starting(launch.home)))
    else:
        state = launch.wait_healthy(_LinePrinter())
    if json:
        return console.print_json(state.public())
    out = console.out()
    out.print(parts_table(state))
    if launch.is_owner:
        out.print(
            f"[bold green]The stack is up.[/] State in {launch.home}; `burnish status` shows it, `burnish down` ends it.",
            soft_wrap=True,
        )
    else:
        out.print(
            f"[bold green]The stack was up already[/] (pid {state.supervisor.pid}, state in {launch.home}).",
            soft_wrap=True,
        )


def _starting(home: Path) -> str:
    return f"[dim]starting in {home} …[/]"


class _LinePrinter:
    """A line a change of state, where stderr is no terminal."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def __call__(self, state: StackState | None) -> None:
        for part in state.parts if state else ():
            if self._told.get(part.name) != part.state:
                self._told[part.name] = part.state
                console.note(f"{part.name}: {_word(part)} {part.address if part.state == 'healthy' else ''}".rstrip())


def status(json: JsonFlag = False) -> None:
    """What runs where, and where the addresses come from.

    Exit code 0 where everything that was started runs and every door that is used elsewhere takes the token, else 1.
    """
    from burnish_client.cli.commands.login import show_answers
    from burnish_client.config.endpoints import ClientSettings
    from burnish_client.stack import control

    settings = ClientSettings()
    home = settings.home.resolve()
    state = control.status(home)
    sources, answers = _sources(settings), _answers_elsewhere(settings)
    is_used = "stack" in {settings.kind(door) for door in sources} or not answers
    healthy = state is not None and state.phase == "running" and all(part.state == "healthy" for part in state.parts)
    if json:
        shown = state.public() if state else {"phase": "stopped", "parts": []}
        console.print_json(shown | {"sources": sources, "doors": [asdict(answer) for answer in answers]})
    else:
        if is_used or (state is not None and state.phase != "stopped"):
            _show_stack(state, home)
        for source in dict.fromkeys(sources.values()):
            doors = ", ".join(door for door, named in sources.items() if named == source)
            console.out().print(f"[dim]{doors}: from[/] {source}", soft_wrap=True)
        if answers:
            show_answers(answers)
    raise typer.Exit(0 if (healthy or not is_used) and all(one.state == "accepted" for one in answers) else 1)


def _sources(settings: ClientSettings) -> dict[Door, str]:
    """door -> what named its address; doors that nothing names are left out."""
    from burnish_client.config.endpoints import FIELDS

    return {door: origin for door in FIELDS if (origin := settings.origin(door)) is not None}


def _answers_elsewhere(settings: ClientSettings) -> list[DoorAnswer]:
    """Of the doors that no embedded stack named; without a token none is asked."""
    from burnish_client.config.endpoints import FIELDS
    from burnish_client.sdk.reachability import ask_doors

    addresses = {door: settings.endpoint(door) for door in FIELDS if settings.kind(door) in ("variable", "login")}
    return ask_doors(addresses, settings.secret_token(), settings.ca) if addresses else []


def _show_stack(state: StackState | None, home: Path) -> None:
    if state is None:
        console.note(f"no stack has been started in {home}: burnish up")
    else:
        console.out().print(f"stack in {home}: [bold]{state.phase}[/]", soft_wrap=True)
        console.out().print(parts_table(state))
        _tell_reasons(state)
        if state.phase in ("stopped", "failed"):
            console.next_step("burnish up")


def _tell_reasons(state: StackState) -> None:
    for part in state.parts:
        if part.reason and part.state != "healthy":
            console.note(f"[yellow]{part.name}:[/] {console.one_line(part.reason)}; log: {part.log}")


def parts_table(state: StackState) -> Table:
    """One line a part: state, address, seconds its start took (or has taken so far), restarts."""
    shown = console.table("part", "state", "address", ">seconds", ">pid", ">restarts")
    for part in state.parts:
        seconds = part.start_seconds if part.state != "starting" else time.time() - part.since
        shown.add_row(
            part.name,
            f"[{COLOURS.get(part.state, 'dim')}]{_word(part)}[/]",
            part.address,
            "" if seconds is None else f"{seconds:.1f}",
            str(part.process.pid) if part.process else "",
            str(part.restarts) if part.restarts else "",
        )
    return shown


def _word(part: PartStatus) -> str:
    return WORDS.get(part.state, part.state)


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
