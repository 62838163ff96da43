"""`burnish login`, `logout`: which services the commands of this user talk to, kept with their token in one file."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish_client.config.endpoints import Door
    from burnish_client.config.login_file import Login
    from burnish_client.sdk.reachability import DoorAnswer

COLOURS = {"accepted": "green", "refused": "red", "unreachable": "yellow", "failed": "red"}
WORDS = {"refused": "refused the token", "unreachable": "cannot be reached"}


def login(
    curator: Annotated[
        str | None, typer.Option(help="Its address, http(s)://host:port.", metavar="URL", show_default=False)
    ] = None,
    trainer: Annotated[
        str | None, typer.Option(help="host:port, or grpcs://host:port for TLS.", metavar="ADDRESS", show_default=False)
    ] = None,
    inference: Annotated[
        str | None, typer.Option(help="Its address, http(s)://host:port.", metavar="URL", show_default=False)
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(help="PEM file of the authority that signed their certificates.", show_default=False),
    ] = None,
    env_file: Annotated[
        Path | None,
        typer.Option(help="Take addresses, token and CA from the compose stack's .env.", show_default=False),
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="Read the token from this file.", show_default=False)] = None,
    token: Annotated[
        str | None, typer.Option(help="Only `-`: read the token from stdin.", metavar="-", show_default=False)
    ] = None,
    check: Annotated[bool, typer.Option("--check/--no-check", help="Ask each door before anything is kept.")] = True,
    json: JsonFlag = False,
) -> None:
    """Keep addresses and token of services elsewhere, for every command.

    The token is asked for without showing it. Nothing is kept unless each door that is given answers and takes it.
    Variables win over the login, and so does a stack of `burnish up` in its folder.
    """
    from burnish_client.config import login_file
    from burnish_client.config.env_file import read_env_file
    from burnish_client.sdk.reachability import ask_doors

    from_file = read_env_file(env_file) if env_file else None
    addresses = _addresses(from_file.addresses if from_file else {}, curator, trainer, inference)
    if ca is None and from_file:
        ca = from_file.ca
    secret = _token(token, token_file, from_file.token if from_file else None)
    record = _record(addresses, secret, ca.absolute() if ca else None)
    answers = []
    if check:
        with console.working("asking each door"):
            answers = ask_doors(addresses, secret, ca)
        if not json:
            show_answers(answers)
    accepted = all(answer.state == "accepted" for answer in answers)
    if accepted:
        login_file.write(record)
    if json:
        console.print_json(
            {"kept": accepted, "file": str(login_file.path()), "doors": [asdict(one) for one in answers]}
        )
    _tell(accepted, addresses, json=json)
    if not accepted:
        raise typer.Exit(1)


def logout(json: JsonFlag = False) -> None:
    """Forget what `burnish login` kept: addresses and token."""
    from burnish_client.config import login_file

    removed = login_file.remove()
    if json:
        return console.print_json({"removed": removed, "file": str(login_file.path())})
    text = f"logged out: {login_file.path()} is gone" if removed else f"nobody is logged in ({login_file.path()})"
    console.out().print(text, soft_wrap=True)


def show_answers(answers: list[DoorAnswer]) -> None:
    """A line a door, and why for each that did not take the token."""
    shown = console.table("door", "address", "answer")
    for one in answers:
        shown.add_row(one.door, one.address, f"[{COLOURS[one.state]}]{WORDS.get(one.state, one.state)}[/]")
    console.out().print(shown)
    for one in answers:
        if one.detail:
            console.note(f"[yellow]{one.door}:[/] {console.one_line(one.detail)}")


def _addresses(
    from_file: dict[Door, str], curator: str | None, trainer: str | None, inference: str | None
) -> dict[Door, str]:
    """Options win over the file. Every address is looked at before a door is asked."""
    from burnish_client.sdk.grpc_channel import GrpcAddress

    given: dict[Door, str | None] = {"curator": curator, "trainer": trainer, "inference": inference}
    found = from_file | {door: address.rstrip("/") for door, address in given.items() if address}
    if not found:
        raise typer.BadParameter(
            "give --curator, --trainer and --inference, those that you use, or --env-file", param_hint="--curator"
        )
    for door, address in found.items():
        if door == "trainer":
            GrpcAddress.parse(address)
        elif urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
            raise typer.BadParameter(f"{address!r} is no http(s)://host:port", param_hint=f"--{door}")
    return found


def _token(option: str | None, file: Path | None, from_env_file: str | None) -> str:
    if option not in (None, "-"):
        raise typer.BadParameter(
            "a token among the arguments stays in the shell's history: leave it out to be asked, or give --token - or --token-file",
            param_hint="--token",
        )
    if option == "-":
        text = sys.stdin.read()
    elif file is not None:
        text = file.read_text() if file.is_file() else _no_file(file)
    elif from_env_file is not None:
        text = from_env_file
    elif sys.stdin.isatty():
        text = typer.prompt("Token", hide_input=True, err=True)
    else:
        raise typer.BadParameter("stdin is no terminal to ask on: give --token - or --token-file", param_hint="--token")
    if not text.strip():
        raise typer.BadParameter("the token is empty", param_hint="--token")
    return str(text).strip()


def _no_file(file: Path) -> str:
    raise typer.BadParameter(f"{file}: no such file", param_hint="--token-file")


def _record(addresses: dict[Door, str], token: str, ca: Path | None) -> Login:
    from burnish_client.config.endpoints import FIELDS
    from burnish_client.config.login_file import Login

    fields: dict[str, Any] = {FIELDS[door]: address for door, address in addresses.items()}
    return Login(**fields, token=token, ca=str(ca) if ca else None)


def _tell(accepted: bool, addresses: dict[Door, str], *, json: bool) -> None:
    """What came of it, and what might surprise: a token sent in plain, something that wins over the login."""
    from burnish_client.config import login_file
    from burnish_client.config import sources as places
    from burnish_client.config.endpoints import VARIABLES, ClientSettings
    from burnish_client.sdk.http import LOOPBACK

    if not accepted:
        return console.note("[bold red]not logged in:[/] nothing was kept")
    if not json:
        console.out().print(f"[bold green]logged in[/]; kept in {login_file.path()}", soft_wrap=True)
    for door, address in addresses.items():
        parts = urlsplit(address if "://" in address else f"grpc://{address}")
        if parts.scheme in ("http", "grpc") and parts.hostname not in LOOPBACK:
            console.note(f"[yellow]{door}:[/] the token goes to {address} unencrypted: give the service a certificate")
    for variable in (VARIABLES[door] for door in addresses):
        if os.environ.get(variable):
            console.note(f"[yellow]{variable} is set and wins over the login[/]")
    place = places.chosen(ClientSettings().home)
    if place.kind == "stack":
        console.note(f"[yellow]in this folder {place.title} comes first:[/] `burnish down` ends it")
