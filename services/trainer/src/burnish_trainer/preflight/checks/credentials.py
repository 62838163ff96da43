"""Secrets in the rows' text: detect-secrets' plugins, in this process, tuned to text that holds code, hashes and ids.

What a plugin knows by its form (ghp_…, AKIA…, a PEM block with a body) counts as it is. A value that is only *called* a
secret counts if it is long, random and no placeholder. Bare high-entropy strings do not: digests, uuids and base64
data are all over clean rows. The secret itself is never put into a finding.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import BasePlugin, RegexBasedDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.keyword import (
    CONFIG_DENYLIST_REGEX_TO_GROUP,
    QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP,
    KeywordDetector,
)

from burnish.schemas.tuning import Finding
from burnish_trainer.data.rows import Record
from burnish_trainer.preflight.registry import finding

LONGEST_LINE = 4000  # characters scanned at one time: some plugins' patterns are slow on longer ones
LEAST_CHARACTERS = 16
LEAST_ENTROPY_BITS = 3.3  # a character; random lower-case hex has 4 in the limit, English words about 3 at this length
CANDIDATE = re.compile(r"[A-Za-z0-9_+/=-]{16,}|://[^\s/]+@|(?i:pass|pwd|secret|key)")  # lines worth a plugin's while
PRIVATE_KEY = re.compile(
    r"BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\n)*(?:[\w-]+: .*?(?:\s|\\n)+)*[A-Za-z0-9+/]{40}"
)
PLACEHOLDER = re.compile(
    r"example|placeholder|your[-_ ]?|dummy|change.?me|x{4}|redacted|\*{3}|\.{3}|[<>{}$()\[\]]", re.I
)
WORDS = frozenset({"password", "passwd", "pass", "pwd", "secret", "token", "user", "username", "port"})


class FurtherTokenDetector(RegexBasedDetector):
    """Forms that detect-secrets 1.5 does not know yet."""

    secret_type = "API key"
    denylist = [
        re.compile(r"sk-(?:proj|ant|svcacct|or)-[A-Za-z0-9_-]{24,}"),
        re.compile(r"sk-[A-Za-z0-9]{48}(?!\w)"),
        re.compile(r"github_pat_[A-Za-z0-9_]{50,}"),
        re.compile(r"(?<!\w)hf_[A-Za-z0-9]{34}(?!\w)"),
        re.compile(r"AIza[0-9A-Za-z_-]{35}(?![\w-])"),
    ]


# Passwords in URLs and private keys have rules of their own below; the other two match text that is no secret.
LEFT_OUT = {"Basic Auth Credentials", "Private Key", "Cloudant Credentials", "Public IP (ipv4)"}
PLUGINS: Mapping[str, type[BasePlugin]] = get_mapping_from_secret_type_to_class()
KNOWN_FORMS: tuple[RegexBasedDetector, ...] = (
    FurtherTokenDetector(),
    *(plugin() for kind, plugin in PLUGINS.items() if issubclass(plugin, RegexBasedDetector) and kind not in LEFT_OUT),
)
BASIC_AUTH = BasicAuthDetector()
KEYWORD = KeywordDetector()


def check_secrets(records: Sequence[Record]) -> Iterable[Finding]:
    seen: dict[str, frozenset[str]] = {}
    found: dict[str, frozenset[str]] = {}
    for record in records:
        if kinds := frozenset().union(*(_kinds(message.content, seen) for message in record.messages)):
            found[record.question_id] = kinds
    if found:
        counts = Counter(kind for kinds in found.values() for kind in kinds)
        named = ", ".join(f"{kind} in {number}" for kind, number in sorted(counts.items()))
        yield finding(
            "secret-in-text",
            f"{len(found)} rows hold what looks like a secret ({named}): a trained model can be made to recite it. Revoke "
            "it if it is real, and replace it in the rows",
            found,
        )


def secrets_in(text: str) -> frozenset[str]:
    """Kinds of secrets in a text, by detect-secrets' names."""
    return _kinds(text, {})


def _kinds(text: str, seen: dict[str, frozenset[str]]) -> frozenset[str]:
    """seen: what earlier lines had; system prompts and templates are the same in every row."""
    found = {"Private Key"} if "PRIVATE KEY" in text and PRIVATE_KEY.search(text) else set()
    for line in text.splitlines():
        if CANDIDATE.search(line):
            if line not in seen:
                seen[line] = frozenset(kind for piece in _pieces(line) for kind in _line_kinds(piece))
            found |= seen[line]
    return frozenset(found)


def _pieces(line: str) -> Iterator[str]:
    """Overlapping, so that no secret is cut in two."""
    for start in range(0, max(1, len(line)), LONGEST_LINE):
        yield line[max(0, start - 200) : start + LONGEST_LINE]


def _line_kinds(line: str) -> Iterator[str]:
    for plugin in KNOWN_FORMS:
        if any(plugin.analyze_string(line)) and any(
            _has_digit(hit.group()) and not PLACEHOLDER.search(hit.group())
            for pattern in plugin.denylist  # analyze_string gives a pattern's groups, which may be its prefix alone
            for hit in pattern.finditer(line)
        ):
            yield plugin.secret_type
    if any(len(hit) >= 6 and _is_password(hit) for hit in BASIC_AUTH.analyze_string(line)):
        yield BASIC_AUTH.secret_type
    for patterns in (QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP, CONFIG_DENYLIST_REGEX_TO_GROUP):
        if any(_is_random(hit.split(",")[0].strip("'\"` ;")) for hit in KEYWORD.analyze_string(line, patterns)):
            yield KEYWORD.secret_type


def _is_password(text: str) -> bool:
    return text.lower() not in WORDS and not PLACEHOLDER.search(text)


def _is_random(text: str) -> bool:
    return (
        len(text) >= LEAST_CHARACTERS
        and not any(character.isspace() for character in text)
        and _has_digit(text)
        and any(character.isalpha() for character in text)
        and not PLACEHOLDER.search(text)
        and _entropy_bits(text) >= LEAST_ENTROPY_BITS
    )


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)


def _entropy_bits(text: str) -> float:
    """Of one character, by the text's own frequencies (Shannon)."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
