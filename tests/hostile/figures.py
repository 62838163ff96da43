"""What a round shows: figures, each with the bar that it must keep, and examples of what missed one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

EXAMPLES = 20


@dataclass(frozen=True)
class Figure:
    """at_most, at_least: None if there is no such bar. examples: of what was counted, for whoever has to mend it."""

    part: str
    name: str
    value: float
    at_most: float | None = None
    unit: str = ""
    examples: Sequence[str] = field(default=(), repr=False)
    at_least: float | None = None

    @property
    def is_missed(self) -> bool:
        too_much = self.at_most is not None and not self.value <= self.at_most
        return too_much or (self.at_least is not None and not self.value >= self.at_least)

    @property
    def bar(self) -> str:
        bars = (("<=", self.at_most), (">=", self.at_least))
        return ", ".join(f"{sign} {value:g}" for sign, value in bars if value is not None)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"examples": list(self.examples)[:EXAMPLES], "missed": self.is_missed}


def counted(part: str, name: str, found: Sequence[str], at_most: float | None = 0) -> Figure:
    return Figure(part, name, len(found), at_most, examples=found)


def table(figures: Sequence[Figure]) -> str:
    """One line a figure: part, name, value, bar; then examples of what missed its bar."""
    lines = [f"{'part':<7} {'figure':<48} {'value':>12} {'bar':>9}"]
    for each in figures:
        value = f"{each.value:,.4g}" if isinstance(each.value, float) else f"{each.value:,}"
        missed = "  MISSED" if each.is_missed else ""
        lines.append(f"{each.part:<7} {each.name:<48} {value + ' ' + each.unit:>12} {each.bar:>9}{missed}")
    for each in figures:
        if each.is_missed:
            lines += [f"\n{each.part}: {each.name}:", *(f"  {example[:600]}" for example in each.examples[:EXAMPLES])]
    return "\n".join(lines)
