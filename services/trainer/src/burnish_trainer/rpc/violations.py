"""Everything that is wrong with a request, told at once: which field, and what it must be. Called by servicer.py and admission.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, ValidationError

from burnish.errors import InvalidInputError
from burnish.schemas.training.hyperparameters import value_text

# By pydantic's type of fault, so that its own sentences, which change from one version to the next, are no part of the contract.
WORDS = {
    "missing": "is needed and not set",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "must match {pattern}",
    "too_long": "can have at most {max_length} entries",
    "value_error": "{error}",
}


class Gathered:
    """The InvalidInputErrors of a request, which end in one that has them all."""

    def __init__(self) -> None:
        self._violations: list[tuple[str, str]] = []
        self._messages: list[str] = []
        self._metadata: dict[str, str] = {}

    @contextmanager
    def also(self, prefix: str = "") -> Iterator[None]:
        """Keep what the block refuses instead of raising it. prefix: of its fields, to be a path from the request on."""
        try:
            yield
        except InvalidInputError as error:
            own = error.violations or ((error.metadata.get("field", ""), error.message),)
            self._violations += [(f"{prefix}{field}".rstrip("."), text) for field, text in own]
            self._messages.append(error.message)
            self._metadata = self._metadata or error.metadata

    def raise_all(self) -> None:
        """InvalidInputError if anything was refused."""
        if self._violations:
            error = refusal(*dict.fromkeys(self._violations), message="; ".join(dict.fromkeys(self._messages)))
            error.metadata = self._metadata
            raise error


def refusal(*violations: tuple[str, str], message: str | None = None) -> InvalidInputError:
    """One error for all of a request's faults; it names the first field in its metadata."""
    told = message or "; ".join(f"{field}: {text}" if field else text for field, text in violations)
    error = InvalidInputError(told, field=violations[0][0])
    error.violations = violations
    return error


def violations_of(model: type[BaseModel], fields: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """(field, what is wrong with it) for all that the model refuses of the fields."""
    try:
        model.model_validate(fields)
    except ValidationError as error:
        return [(prefix + ".".join(map(str, fault["loc"])), _words(fault)) for fault in error.errors(include_url=False)]
    return []


def _words(fault: Mapping[str, Any]) -> str:
    bounds = {name: value_text(value) for name, value in fault.get("ctx", {}).items()}
    text = WORDS.get(fault["type"], "is no value of this field").format(**bounds)
    sent = fault["input"]
    is_told = fault["type"] in ("missing", "value_error") or not isinstance(sent, str | int | float)
    return text if is_told else f"{text}, not {sent!r}"
