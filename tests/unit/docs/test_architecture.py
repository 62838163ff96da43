"""What the documents point at exists: `file:name` references, paths, links and decision records."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from burnish_client import cli
from burnish_trainer.settings import S3Settings, TlsSettings, TokenSettings, TrainerSettings

REPO = Path(__file__).parents[3]
REFERENCE = re.compile(r"`((?:core|services|client)/[\w/.]+\.py):(\w+)`")
LINK = re.compile(r"\]\((?!http|#)([^)#]+)(?:#[^)]*)?\)")
FOLDER = re.compile(r"`((?:core|services|client|tests|examples|docs|scripts|protos)/[\w./-]*)`")
FILE_OR_FOLDER = re.compile(r"`(\w+(?:\.py|/))`")
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]


def test_the_life_of_a_failure_names_code_that_exists() -> None:
    references = REFERENCE.findall((REPO / "ARCHITECTURE.md").read_text())
    assert len(references) >= 10
    for file, name in references:
        source = (REPO / file).read_text()
        assert re.search(rf"^(?:async )?(?:def|class) {name}\b", source, re.MULTILINE), f"{file}:{name}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_paths_lead_somewhere(document: str) -> None:
    text = (REPO / document).read_text()
    for target in LINK.findall(text) + FOLDER.findall(text):
        assert (REPO / target).exists(), f"{document}: {target}"


def test_the_trainer_section_names_files_that_exist() -> None:
    """The first cell of a row names what lies in the package, the second what lies in that folder."""
    table = (REPO / "ARCHITECTURE.md").read_text().partition("## Inside the trainer")[2]
    room = REPO / "services/trainer/src/burnish_trainer"
    named = []
    for first, second in re.findall(r"^\| (`.+?) \| (.+) \|$", table, re.MULTILINE):
        names = re.findall(FILE_OR_FOLDER, first)
        named += [room / name for name in names]
        named += [room / names[0] / name for name in re.findall(FILE_OR_FOLDER, second)]
    assert len(named) > 10
    assert [path for path in named if not path.exists()] == []


def test_the_training_page_is_true() -> None:
    """Its links lead somewhere, its commands and options exist, every setting of the trainer stands there with its default."""
    text = (REPO / "docs/training.md").read_text()
    for target in LINK.findall(text):
        assert (REPO / "docs" / target).exists(), target
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    for group, name, rest in re.findall(r"burnish (train|jobs) (\w+)([^`\n#]*)", text):
        options = {option for parameter in _parameters(commands[group].commands[name]) for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options | {"--help"}, f"burnish {group} {name} {rest}"
    for name, field in TrainerSettings.model_fields.items():
        if name not in ("host", "port"):
            default = f"`{field.default}`" if str(field.default) and not field.is_required() else ""
            row = rf"\| `BURNISH_TRAINER_{name.upper()}` \| {re.escape(default)}"
            assert re.search(row, text), name


def _parameters(command: Any) -> list[Any]:
    """Of a command; of a group, those of its default."""
    return list(command.commands["run"].params if hasattr(command, "commands") else command.params)


@pytest.mark.parametrize("settings", [TrainerSettings, S3Settings, TokenSettings, TlsSettings])
def test_every_setting_of_the_trainer_stands_in_the_architecture(settings: Any) -> None:
    text = (REPO / "ARCHITECTURE.md").read_text()
    for name, field in settings.model_fields.items():
        assert field.description
        variable = f"{settings.model_config['env_prefix']}{name}".upper()
        assert variable in text or f"`_{name.upper()}`" in text, variable


def test_decision_records_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in (REPO / "docs/adr").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
