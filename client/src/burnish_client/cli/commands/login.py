"""`burnish login`, `logout` and `token`: which services the commands of this user talk to, kept with their token in one file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from burnish_client.cli.options.common import Options, grouped, option
from burnish_client.cli.views import console, stack_text
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish_client.config.endpoints import Service


class LoginOptions(Options):
    """The services, and where their token comes from."""

    curator: str | None = option(None, "Its URL, http(s)://host:port.", metavar="URL")
    trainer: str | None = option(None, "host:port, or grpcs://host:port for TLS.", metavar="ADDRESS")
    inference: str | None = option(None, "Its URL, http(s)://host:port.", metavar="URL")
    ca: Path | None = option(None, "PEM file of the authority that signed their certificates.")
    env_file: Path | None = option(None, "Take addresses, token and CA from the compose stack's .env.")
    token_file: Path | None = option(None, "Read the token from this file.")
    token: str | None = option(None, "Only `-`: read the token from stdin.", metavar="-")
    check: bool = option(True, "Ask each service before anything is kept.", names=["--check/--no-check"])
    json: JsonFlag = False


@grouped
def login(options: LoginOptions) -> None:
    """Keep the addresses and the token of services elsewhere, for every command.

    The token is asked for without showing it. Nothing is kept unless each service given answers and accepts it.
    Variables win over the login, and so does a stack of `burnish up` in its folder.
    """
    from burnish_client.config import login_file
    from burnish_client.config.endpoints import FIELDS
    from burnish_client.config.env_file import read_env_file
    from burnish_client.sdk.transport.reachability import check_services

    from_file = read_env_file(options.env_file) if options.env_file else None
    addresses = _addresses(from_file.addresses if from_file else {}, options)
    ca = options.ca or (from_file.ca if from_file else None)
    secret = _read_token(options, from_file.token if from_file else None)
    record = login_file.Login.model_validate(
        {FIELDS[service]: address for service, address in addresses.items()}
        | {"token": secret, "ca": str(ca.absolute()) if ca else None}
    )
    checked = []
    if options.check:
        with console.working("asking each service"):
            checked = check_services(addresses, secret, ca)
        if not options.json:
            stack_text.show_access(checked)
    accepted = all(one.state == "accepted" for one in checked)
    if accepted:
        login_file.write(record)
    if options.json:
        file = str(login_file.path())
        console.print_json({"kept": accepted, "file": file, "services": [one.to_dict() for one in checked]})
    if not accepted:
        console.note("[bold red]not logged in:[/] nothing was kept")
        raise typer.Exit(1)
    if not options.json:
        console.out().print(f"[bold green]logged in[/]; kept in {login_file.path()}", soft_wrap=True)
    _warn(addresses)


def logout(json: JsonFlag = False) -> None:
    """Forget the addresses and the token that `burnish login` kept."""
    from burnish_client.config import login_file

    removed = login_file.remove()
    if json:
        return console.print_json({"removed": removed, "file": str(login_file.path())})
    text = f"logged out: {login_file.path()} is removed" if removed else f"nobody is logged in ({login_file.path()})"
    console.out().print(text, soft_wrap=True)


def token() -> None:
    """Print the token that the commands here send, and nothing else: for curl and other programs.

    It comes from BURNISH_TOKEN, else the stack of `burnish up` in this folder, else `burnish login`.
    """
    from burnish_client.config.endpoints import ClientSettings

    console.write_output([f"{ClientSettings().secret_token()}\n".encode()], None)


def _addresses(from_file: dict[Service, str], options: LoginOptions) -> dict[Service, str]:
    """Options win over the file. Every address is checked before a service is asked."""
    from burnish_client.config.endpoints import FIELDS
    from burnish_client.sdk.transport.grpc_channel import GrpcAddress

    given = {service: getattr(options, service) for service in FIELDS}
    found = from_file | {service: address.rstrip("/") for service, address in given.items() if address}
    if not found:
        raise typer.BadParameter(
            "give --curator, --trainer and --inference (those that you use), or --env-file", param_hint="--curator"
        )
    for service, address in found.items():
        if service == "trainer":
            GrpcAddress.parse(address)
        elif urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
            raise typer.BadParameter(f"{address!r} is no http(s)://host:port", param_hint=f"--{service}")
    return found


def _read_token(options: LoginOptions, from_env_file: str | None) -> str:
    file = options.token_file
    if options.token not in (None, "-"):
        raise typer.BadParameter(
            "a token among the arguments stays in the shell's history: leave it out to be asked, or give --token - or --token-file",
            param_hint="--token",
        )
    if options.token == "-":
        text = sys.stdin.read()
    elif file is not None:
        if not file.is_file():
            raise typer.BadParameter(f"{file}: no such file", param_hint="--token-file")
        text = file.read_text()
    elif from_env_file is not None:
        text = from_env_file
    elif sys.stdin.isatty():
        text = str(typer.prompt("Token", hide_input=True, err=True))
    else:
        raise typer.BadParameter("stdin is no terminal to ask on: give --token - or --token-file", param_hint="--token")
    if not text.strip():
        raise typer.BadParameter("the token is empty", param_hint="--token")
    return text.strip()


def _warn(addresses: dict[Service, str]) -> None:
    """Say what might surprise: a token sent without encryption, something that wins over the login."""
    from burnish_client.config.endpoints import VARIABLES, ClientSettings, find_endpoint_file
    from burnish_client.sdk.transport.http import LOOPBACK

    for service, address in addresses.items():
        parts = urlsplit(address if "://" in address else f"grpc://{address}")
        if parts.scheme in ("http", "grpc") and parts.hostname not in LOOPBACK:
            console.note(
                f"[yellow]{service}:[/] the token goes to {address} unencrypted: give the service a certificate"
            )
    for variable in (VARIABLES[service] for service in addresses):
        if os.environ.get(variable):
            console.note(f"[yellow]{variable} is set and wins over the login[/]")
    file = find_endpoint_file(ClientSettings().home)
    if file.kind == "stack":
        console.note(f"[yellow]in this folder {file.title} comes first:[/] `burnish down` ends it")
