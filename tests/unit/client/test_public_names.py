"""`from burnish_client import …`: what docs/sdk.md uses is there, and nothing is loaded before it is asked for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import burnish_client

REPO = Path(__file__).parents[3]


@pytest.mark.parametrize("name", burnish_client.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(burnish_client, name).__name__ == name


def test_the_page_uses_public_names_only() -> None:
    page = (REPO / "docs/sdk.md").read_text()
    used = {
        n.strip()
        for names in re.findall(r"^from burnish_client import (.+)$", page, re.MULTILINE)
        for n in names.split(",")
    }
    assert used <= set(burnish_client.__all__)
    assert not re.search(r"^from (burnish_client\.|burnish )", page, re.MULTILINE)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = burnish_client.Nothing


def test_importing_the_package_loads_neither_grpc_nor_scipy() -> None:
    code = "import sys, burnish_client; print([m for m in ('grpc', 'scipy', 'pyarrow', 'typer') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
