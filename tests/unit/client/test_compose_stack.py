"""Where `--target compose` finds the doors: .env, the variables above it, and an error that says what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from burnish.errors import PreconditionError
from burnish_client.compose_stack import ComposeStack


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BURNISH_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    path.write_text(
        "BURNISH_TOKEN=from-the-file\nBURNISH_BIND=0.0.0.0\nBURNISH_CURATOR_PORT=1701\nBURNISH_S3_SECRET_KEY=x\n"
    )
    return path


def test_addresses_follow_the_published_ports(env_file: Path) -> None:
    stack = ComposeStack.read(env_file)
    assert (stack.curator, stack.trainer) == ("http://127.0.0.1:1701", "127.0.0.1:8702")
    assert stack.token.get_secret_value() == "from-the-file"


def test_variables_and_explicit_addresses_win(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURNISH_TOKEN", "from-the-shell")
    monkeypatch.setenv("BURNISH_INFERENCE_URL", "https://gpu.example:8703")
    stack = ComposeStack.read(env_file)
    assert stack.token.get_secret_value() == "from-the-shell"
    assert stack.inference == "https://gpu.example:8703"


def test_without_a_token_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match=r"BURNISH_TOKEN.*make secrets"):
        ComposeStack.read(tmp_path / ".env")
