"""`from burnish_client import …`: what docs/sdk.md uses is there, and nothing is loaded before it is asked for."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
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


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("scipy", "pyarrow", "sqlalchemy", "optuna", "huggingface_hub"):
            raise ModuleNotFoundError(name + " is blocked", name=name)
sys.meta_path.insert(0, Block())
"""


def without_the_extras(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCKED + code, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_every_public_name_imports_without_the_extras() -> None:
    done = without_the_extras(
        "import burnish_client\nfor name in burnish_client.__all__: getattr(burnish_client, name)"
    )
    assert done.returncode == 0, done.stderr


def test_the_help_of_every_command_needs_no_extra() -> None:
    code = """
import typer
from burnish_client.cli import app
def show(command, words):
    assert app.run([*words, "--help"]) == 0, words
    for name, inner in getattr(command, "commands", {}).items():
        show(inner, [*words, name])
show(typer.main.get_command(app.app), [])
loaded = {"jinja2", "grpc", "numpy"} & set(sys.modules)
assert not loaded, loaded
"""
    done = without_the_extras(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["eval", "plan", "--rest", "100", "--targeted", "20"], "burnish-client[evaluation]"),
        (["train", "sweep", "show", "any"], "burnish-client[sweep]"),
        (["model", "add", "org/name"], "burnish-client[models]"),
    ],
)
def test_what_needs_an_extra_names_it(words: list[str], extra: str) -> None:
    done = without_the_extras("from burnish_client.cli import app\nsys.exit(app.run())", *words)
    assert done.returncode == 1
    assert f"pip install '{extra}'" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_evaluation_says_what_it_lacks_before_it_asks(tmp_path: Path) -> None:
    code = """
import asyncio, pathlib
from burnish_client import Endpoint, EvalInputs, EvalRequest, evaluate
request = EvalRequest(benchmark="b/1", endpoint=Endpoint("http://127.0.0.1:1"), base_model="base", candidate_model="tuned")
asyncio.run(evaluate(request, EvalInputs(()), out=pathlib.Path(sys.argv[1])))
"""
    done = without_the_extras(code, str(tmp_path / "out"))
    assert "pip install 'burnish-client[evaluation]'" in done.stderr.splitlines()[-1]


def test_the_packages_do_not_ask_for_what_the_extras_have() -> None:
    for package in ("core", "client"):
        project = tomllib.loads((REPO / package / "pyproject.toml").read_text())["project"]
        names = {re.split(r"[\[>=<]", need)[0] for need in project["dependencies"]}
        assert not names & {"scipy", "pyarrow", "sqlalchemy", "optuna", "huggingface_hub"}, package


def test_importing_the_package_loads_neither_grpc_nor_scipy() -> None:
    code = "import sys, burnish_client; print([m for m in ('grpc', 'scipy', 'pyarrow', 'typer') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
