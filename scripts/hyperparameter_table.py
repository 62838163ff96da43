"""Writes the table of hyperparameters in docs/training.md from their declarations. Run it when core/src/burnish/schemas/ changes."""

from __future__ import annotations

from pathlib import Path

from burnish.schemas.training.hyperparameters import Hyperparameter, value_text
from burnish.schemas.training.job import hyperparameters_of
from burnish.schemas.training.methods import METHODS

PAGE = Path(__file__).parents[1] / "docs" / "training.md"
BEGIN = "<!-- made by scripts/hyperparameter_table.py -->\n"
END = "<!-- end of what it makes -->\n"


def table() -> str:
    """Markdown: what all methods have, then what single methods have."""
    shared = hyperparameters_of("sft")
    rows = [_row(one) for part in ("lora", "optimizer", "run") for one in shared[part].values()]
    rows += [_row(one, method) for method in METHODS for one in hyperparameters_of(method)["params"].values()]
    return "\n".join(["| option | default | range | what it is |", "| --- | --- | --- | --- |", *rows]) + "\n"


def _row(one: Hyperparameter, method: str | None = None) -> str:
    default = one.default
    if one.name == "learning_rate":
        default = ", ".join(f"{name} {value_text(declared.learning_rate)}" for name, declared in METHODS.items())
    range = f"{one.bounds} {one.unit}".strip() if one.bounds else ", ".join(one.choices)
    option = f"`--{one.option.replace('_', '-')}`"
    return f"| {option}{f' ({method})' if method else ''} | {default} | {range} | {one.help} |"


def page_with_table(text: str) -> str:
    """The page with the table between its two marks."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text()))
