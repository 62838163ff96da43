"""How the embedded stack and the access to services read on a screen. Used by up, status, login and the demo."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish.schemas.device import DeviceStatus
    from burnish_client.sdk.transport.reachability import ServiceAccess
    from burnish_client.stack.control import Launch
    from burnish_client.stack.state import StackState

PART_COLOURS = {"healthy": "green", "starting": "cyan", "restarting": "yellow", "unready": "yellow", "failed": "red"}
PART_WORDS = {"healthy": "running", "unready": "not ready"}
ACCESS_COLOURS = {"accepted": "green", "refused": "red", "unreachable": "yellow", "failed": "red"}
ACCESS_WORDS = {"refused": "refused the token", "unreachable": "cannot be reached"}


def wait_healthy(launch: Launch, where: Console) -> StackState:
    """Wait for all parts: a live table on a terminal, elsewhere a line for each change of a part."""
    if not where.is_terminal:
        return launch.wait_healthy(_line_printer())
    starting = f"[dim]starting in {launch.home} …[/]"
    with Live(starting, console=where, refresh_per_second=8, transient=True) as live:
        return launch.wait_healthy(lambda state: live.update(parts_table(state) if state else starting))


def _line_printer() -> Callable[[StackState | None], None]:
    printed: dict[str, str] = {}

    def show(state: StackState | None) -> None:
        for part in state.parts if state else ():
            if printed.get(part.name) != part.state:
                printed[part.name] = part.state
                address = f" {part.address}" if part.state == "healthy" else ""
                console.note(f"{part.name}: {PART_WORDS.get(part.state, part.state)}{address}")

    return show


def parts_table(state: StackState) -> Table:
    """One line for each part: state, address, seconds its start took (or has taken so far), restarts."""
    shown = console.table("part", "state", "address", ">seconds", ">pid", ">restarts")
    for part in state.parts:
        seconds = part.start_seconds if part.state != "starting" else time.time() - part.since
        shown.add_row(
            part.name,
            f"[{PART_COLOURS.get(part.state, 'dim')}]{PART_WORDS.get(part.state, part.state)}[/]",
            part.address,
            "" if seconds is None else f"{seconds:.1f}",
            str(part.process.pid) if part.process else "",
            str(part.restarts) if part.restarts else "",
        )
    return shown


def show_stack(state: StackState, home: object) -> None:
    """The phase, the parts, and why a part is not healthy."""
    out = console.out()
    out.print(f"stack in {home}: [bold]{state.phase}[/], base model {state.base_model}", soft_wrap=True)
    out.print(parts_table(state))
    for part in state.parts:
        if part.reason and part.state != "healthy":
            console.note(f"[yellow]{part.name}:[/] {console.one_line(part.reason)}; log: {part.log}")
    if state.phase in ("stopped", "failed"):
        console.next_step("burnish up")


def device_line(device: DeviceStatus) -> str:
    """Which job has vLLM's device, or waits for it, and for how long."""
    if device.held_seconds is None:
        return f"[yellow]inference:[/] job {device.holder} waits for its device; vLLM is {device.phase}"
    minutes, seconds = divmod(int(device.held_seconds), 60)
    return f"[yellow]inference:[/] job {device.holder} has had its device for {minutes} min {seconds} s; vLLM is {device.phase}"


def show_access(checked: Sequence[ServiceAccess]) -> None:
    """One line for each service, the base model that is served, and why a service did not accept the token."""
    shown = console.table("service", "address", "answer")
    for one in checked:
        shown.add_row(
            one.service, one.address, f"[{ACCESS_COLOURS[one.state]}]{ACCESS_WORDS.get(one.state, one.state)}[/]"
        )
    console.out().print(shown)
    for one in checked:
        if one.base_model:
            console.out().print(f"base model {console.one_line(one.base_model)}", soft_wrap=True)
        if one.detail:
            console.note(f"[yellow]{one.service}:[/] {console.one_line(one.detail)}")
