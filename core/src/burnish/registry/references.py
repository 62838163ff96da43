"""How an adapter is named: `name`, `name@latest`, `name@<version>` or `name@<alias>`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from burnish import layout
from burnish.errors import InvalidInputError
from burnish.layout import PRODUCTION

LATEST = "latest"
VERSION = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Reference:
    """selector: a version, LATEST, or an alias. A bare name has the selector PRODUCTION."""

    name: str
    selector: str

    @property
    def is_version(self) -> bool:
        return VERSION.fullmatch(self.selector) is not None

    @property
    def is_alias(self) -> bool:
        return self.selector != LATEST and not self.is_version


def parse_reference(text: str) -> Reference | None:
    """None if no adapter can have this name, so that it never becomes part of a key or a path."""
    name, at, selector = text.partition("@")
    found = Reference(name, selector if at else PRODUCTION)
    return found if layout.NAME.match(found.name) and layout.NAME.match(found.selector) else None


def check_alias(alias: str) -> str:
    """Return the alias, or raise InvalidInputError: a name that is neither `latest` nor like a version."""
    layout.check_name(alias, "alias")
    if not Reference("", alias).is_alias:
        raise InvalidInputError(
            f"alias {alias!r}: `latest` and 16 hexadecimal characters mean versions; choose another", field="alias"
        )
    return alias
