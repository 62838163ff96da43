"""docs/access.md is true: its five openssl commands make files that an endpoint and a strict client take, and its options exist."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import typer

from burnish.service.certificates import ServerCertificate, host_names, read_authorities
from burnish_client.cli import app as cli

PAGE = Path(__file__).parents[3] / "docs" / "access.md"


def test_the_five_commands_make_a_certificate_that_verifies(tmp_path: Path) -> None:
    block = next(text for text in re.findall(r"```\n(.*?)```", PAGE.read_text(), re.DOTALL) if "openssl req" in text)
    commands = block.strip().splitlines()
    assert len(commands) == 5
    for command in commands:
        subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True, timeout=30)
    endpoint = ServerCertificate(tmp_path / "server.pem", tmp_path / "server.key")
    assert host_names(endpoint.current().certificate) == ["localhost", "gpu.example", "127.0.0.1"]
    trusting = ssl.create_default_context(cadata=read_authorities("BURNISH_CA", tmp_path / "ca.pem").decode())
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT  # what later Pythons ask for by themselves
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer_once, args=(listener, endpoint))
        thread.start()
        with (
            socket.create_connection(listener.getsockname(), timeout=5) as plain,
            trusting.wrap_socket(plain, server_hostname="gpu.example") as connection,
        ):
            assert connection.version() == "TLSv1.3"
        thread.join()


def _answer_once(listener: socket.socket, endpoint: ServerCertificate) -> None:
    plain, _ = listener.accept()
    with plain, endpoint.ssl_context().wrap_socket(plain, server_side=True):
        pass


def test_links_lead_somewhere_and_options_exist() -> None:
    text = PAGE.read_text()
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", text):
        assert (PAGE.parent / target).exists(), target
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    for name, rest in re.findall(r"burnish (login|logout|up|down|status)([^`\n]*)", text):
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options, f"burnish {name}{rest}"
