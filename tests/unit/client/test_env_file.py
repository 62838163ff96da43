"""Addresses as people write them: the trainer's three spellings, and those of the compose stack's .env."""

from __future__ import annotations

from pathlib import Path

import pytest

from burnish.errors import InvalidInputError, PreconditionError
from burnish_client.config.env_file import read_env_file, read_here
from burnish_client.demo.services import settings_of_compose
from burnish_client.sdk.transport.grpc_channel import GrpcAddress


@pytest.mark.parametrize(
    ("text", "target", "secure"),
    [
        ("127.0.0.1:8702", "127.0.0.1:8702", False),
        ("grpc://gpu.example:8702", "gpu.example:8702", False),
        ("grpcs://gpu.example:443/", "gpu.example:443", True),
        ("grpcs://[::1]:8702", "[::1]:8702", True),
    ],
)
def test_a_trainer_address(text: str, target: str, secure: bool) -> None:
    address = GrpcAddress.parse(text)
    assert (address.target, address.secure) == (target, secure)
    assert GrpcAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "gpu.example", "https://gpu.example:8702", "grpcs://gpu.example", "a:b", "x:99999"]
)
def test_what_is_no_trainer_address_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"host:port or grpc://host:port, or grpcs://host:port for TLS"):
        GrpcAddress.parse(text)


def env_file(folder: Path, text: str) -> Path:
    path = folder / ".env"
    path.write_text(text)
    return path


def test_the_compose_stack_is_on_loopback_at_its_ports(tmp_path: Path) -> None:
    found = read_env_file(env_file(tmp_path, "# made by make secrets\nBURNISH_TOKEN='abc=/+x'\nBURNISH_BIND=\n"))
    assert found.addresses == {
        "curator": "http://127.0.0.1:8701",
        "trainer": "grpc://127.0.0.1:8702",
        "inference": "http://127.0.0.1:8703",
    }
    assert (found.token, found.ca) == ("abc=/+x", None)
    assert "abc" not in repr(found)


def test_its_bind_address_ports_and_tls_are_followed(tmp_path: Path) -> None:
    text = (
        "BURNISH_BIND=10.0.0.7\nBURNISH_CURATOR_PORT=9001\nBURNISH_TLS_CERTIFICATE=/tls/c.pem\nBURNISH_CA=tls/ca.pem\n"
    )
    found = read_env_file(env_file(tmp_path, text + "BURNISH_INFERENCE_URL=https://models.example\n"))
    assert found.addresses == {
        "curator": "https://10.0.0.7:9001",
        "trainer": "grpcs://10.0.0.7:8702",
        "inference": "https://models.example",
    }
    assert found.ca == tmp_path / "tls/ca.pem"


def test_the_folder_of_certificates_that_compose_mounts_says_tls_and_has_the_authority(tmp_path: Path) -> None:
    found = read_env_file(env_file(tmp_path, "BURNISH_TLS_DIR=./tls\n"))
    assert found.addresses["trainer"] == "grpcs://127.0.0.1:8702"
    assert found.ca == tmp_path / "tls/ca.pem"


def test_every_interface_is_asked_on_loopback(tmp_path: Path) -> None:
    assert read_env_file(env_file(tmp_path, "BURNISH_BIND=0.0.0.0")).addresses["curator"] == "http://127.0.0.1:8701"
    assert read_env_file(env_file(tmp_path, "BURNISH_BIND=::1")).addresses["curator"] == "http://[::1]:8701"


def test_variables_win_over_this_folders_file(tmp_path: Path) -> None:
    """As compose itself has it; other variables than Burnish's say nothing of the stack."""
    path = env_file(tmp_path, "BURNISH_TOKEN=from-the-file\nBURNISH_CURATOR_PORT=1701\n")
    shell = {"BURNISH_TOKEN": "from-the-shell", "BURNISH_INFERENCE_URL": "https://gpu.example:8703", "BURNISH_BIND": ""}
    found = read_here(shell | {"PATH": "/bin"}, path)
    assert found.token == "from-the-shell"
    assert found.addresses["inference"] == "https://gpu.example:8703"
    assert found.addresses["curator"] == "http://127.0.0.1:1701"


def test_a_compose_stack_without_a_token_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match=r"BURNISH_TOKEN.*make secrets"):
        settings_of_compose(read_here({}, tmp_path / ".env"))


def test_a_file_that_is_not_there_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"cannot be read .*`make secrets`"):
        read_env_file(tmp_path / ".env")
