"""What the documents point at exists: `file:name` references, paths, links and decision records."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from burnish.service.settings import S3Settings, TlsSettings, TokenSettings
from burnish_client.cli import app as cli
from burnish_trainer.settings import TrainerSettings

REPO = Path(__file__).parents[3]
REFERENCE = re.compile(r"`((?:core|services|client)/[\w/.]+\.py):(\w+)`")
LINK = re.compile(r"\]\((?!http|#)([^)#]+)(?:#[^)]*)?\)")
FOLDER = re.compile(r"`((?:core|services|client|tests|examples|docs|scripts|protos)/[\w./-]*)`")
FILE_OR_FOLDER = re.compile(r"`(\w+(?:\.py|/))`")
COMMAND = re.compile(r"(?:^ *|`|\$ |&& )burnish ([a-z][^`\n#|;]*)", re.MULTILINE)
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] + [
    str(page.relative_to(REPO)) for page in sorted((REPO / "docs").glob("*.md"))
]
README_WORDS = 900


def test_the_life_of_a_failure_names_code_that_exists() -> None:
    references = REFERENCE.findall((REPO / "ARCHITECTURE.md").read_text())
    assert len(references) >= 10
    for file, name in references:
        source = (REPO / file).read_text()
        assert re.search(rf"^(?:async )?(?:def|class) {name}\b", source, re.MULTILINE), f"{file}:{name}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_paths_lead_somewhere(document: str) -> None:
    text = (REPO / document).read_text()
    missing = [target for target in LINK.findall(text) if not (REPO / document).parent.joinpath(target).exists()]
    missing += [target for target in FOLDER.findall(text) if not (REPO / target).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_and_options_exist(document: str) -> None:
    for line in COMMAND.findall((REPO / document).read_text()):
        command, words = _burnish(), line.split()
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert not _needs_a_command(command) or not words or words[0] == "…", f"burnish {line}: no such command"
        meant = command.commands.values() if words[:1] == ["…"] and _needs_a_command(command) else [command]
        options = {option for each in meant for option in _options(each)}
        assert set(re.findall(r"(?<!\S)--[a-z][a-z-]+", line)) <= options | {"--help"}, f"burnish {line}"


def test_the_readme_is_short() -> None:
    assert len((REPO / "README.md").read_text().split()) <= README_WORDS


@pytest.mark.parametrize("part", ["trainer", "client", "core"])
def test_the_table_of_a_part_names_what_exists(part: str) -> None:
    """The head names the package; the first cell of a row what lies in it, the second what lies in the row's folder."""
    section = (
        (REPO / "ARCHITECTURE.md").read_text().partition(f"## Inside {'' if part == 'core' else 'the '}{part}\n")[2]
    )
    section = section.partition("\n## ")[0]
    package = REPO / re.findall(r"^\| in `(.+?)`", section, re.MULTILINE)[0]
    named = []
    for first, second in re.findall(r"^\| (`.+?) \| (.+) \|$", section, re.MULTILINE):
        names = re.findall(FILE_OR_FOLDER, first)
        named += [package / name for name in names]
        named += [package / names[0] / name for name in re.findall(FILE_OR_FOLDER, second)]
    assert len(named) > 6
    assert [path for path in named if not path.exists()] == []
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    assert folders <= {path.name for path in named}, "a folder that the table leaves out"


def test_the_training_page_has_every_setting_of_the_trainer_with_its_default() -> None:
    text = (REPO / "docs/training.md").read_text()
    for name, field in TrainerSettings.model_fields.items():
        if name not in ("host", "port"):
            default = f"`{field.default}`" if str(field.default) and not field.is_required() else ""
            row = rf"\| `BURNISH_TRAINER_{name.upper()}` \| {re.escape(default)}"
            assert re.search(row, text), name


@cache
def _burnish() -> Any:
    return typer.main.get_command(cli.app)


def _needs_a_command(group: Any) -> bool:
    return hasattr(group, "commands") and "run" not in group.commands


def _options(command: Any) -> set[str]:
    """Of a command; of a group, those of its default, if it has one."""
    parameters = getattr(command, "commands", {}).get("run", command).params
    return {option for parameter in parameters for option in (*parameter.opts, *parameter.secondary_opts)}


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
