"""What a name means."""

from __future__ import annotations

import pytest

from burnish.errors import InvalidInputError
from burnish.registry.references import check_alias, parse_reference


@pytest.mark.parametrize(
    ("text", "name", "selector", "kind"),
    [
        ("fix", "fix", "production", "alias"),
        ("fix@production", "fix", "production", "alias"),
        ("fix@latest", "fix", "latest", "latest"),
        ("fix@0123456789abcdef", "fix", "0123456789abcdef", "version"),
        ("fix@staging", "fix", "staging", "alias"),
        ("fix@0123", "fix", "0123", "alias"),
    ],
)
def test_a_reference_is_a_name_and_a_selector(text: str, name: str, selector: str, kind: str) -> None:
    found = parse_reference(text)
    assert found is not None
    assert (found.name, found.selector) == (name, selector)
    assert (found.is_alias, found.is_version) == (kind == "alias", kind == "version")


@pytest.mark.parametrize("text", ["", "@x", "fix@", "fix@a@b", "../x", "fix@../x", "Fix", "fix\n", "fix@x\n", "a/b"])
def test_what_no_adapter_can_be_called_is_no_reference(text: str) -> None:
    assert parse_reference(text) is None


@pytest.mark.parametrize("alias", ["latest", "0123456789abcdef", "", "a/b", "A"])
def test_an_alias_is_never_taken_for_a_version(alias: str) -> None:
    with pytest.raises(InvalidInputError, match="alias"):
        check_alias(alias)
    assert check_alias("staging") == "staging"
