"""Secrets in text: detect-secrets' plugins, in this process, tuned to text that holds code, hashes and ids.

Used by the gates of a dataset and by preflight, so that what passes the one passes the other. What a plugin knows by its form (ghp_…, AKIA…, a
PEM block with a body) counts as it is. A value that is only *called* a secret counts if it is long, random and no placeholder. Bare high-entropy
strings do not: digests, uuids and base64 data are all over clean rows. The secret itself is never put into a finding.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

LONGEST_LINE = 4000  # characters scanned at one time: some plugins' patterns are slow on longer ones
LEAST_CHARACTERS = 16
LEAST_ENTROPY_BITS = 3.3  # a character; random lower-case hex has 4 in the limit, English words about 3 at this length
LONG_WORD = re.compile(r"[A-Za-z0-9_+/=-]{16,}")
# What the keyword plugin asks for at the least; its own patterns take half a millisecond a line.
CALLED_SECRET = re.compile(
    r"(?:pass|pwd|secret|key|contrase)[^\s:=\"'(]{0,40}[\s\"')\]]{0,8}[:=\"'(<>!,]", re.IGNORECASE
)
CANDIDATE = re.compile(r"[A-Za-z0-9_+/=-]{16,}|://[^\s/]+@|(?i:pass|pwd|secret|key)")  # lines worth a plugin's while
PRIVATE_KEY = re.compile(
    r"BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\n)*(?:[\w-]+: .*?(?:\s|\\n)+)*[A-Za-z0-9+/]{40}"
)
PLACEHOLDER = re.compile(
    r"example|placeholder|your[-_ ]?|dummy|change.?me|x{4}|redacted|\*{3}|\.{3}|[<>{}$()\[\]]", re.I
)
WORDS = frozenset({"password", "passwd", "pass", "pwd", "secret", "token", "user", "username", "port"})
PEM_BLOCK = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END[A-Z0-9 ]*(?:-----)?|\Z)", re.DOTALL)
PEM_KIND = "Private Key"
# Forms that detect-secrets 1.5 does not know yet.
FURTHER_TOKENS = (
    r"sk-(?:proj|ant|svcacct|or)-[A-Za-z0-9_-]{24,}",
    r"sk-[A-Za-z0-9]{48}(?!\w)",
    r"github_pat_[A-Za-z0-9_]{50,}",
    r"(?<!\w)hf_[A-Za-z0-9]{34}(?!\w)",
    r"AIza[0-9A-Za-z_-]{35}(?![\w-])",
)
# Passwords in URLs and private keys have rules of their own below; the other two match text that is no secret.
LEFT_OUT = {"Basic Auth Credentials", "Private Key", "Cloudant Credentials", "Public IP (ipv4)"}


@dataclass(frozen=True)
class Secret:
    kind: str
    value: str


class SecretScanner:
    """Remembers what each line had: system prompts and templates are the same in every row."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Secret, ...]] = {}

    def find(self, text: str) -> list[Secret]:
        """Every secret of a text; kinds by detect-secrets' names."""
        found = []
        if "PRIVATE KEY" in text and PRIVATE_KEY.search(text):
            found = [Secret(PEM_KIND, block) for block in PEM_BLOCK.findall(text)]
        for line in text.splitlines():
            if CANDIDATE.search(line):
                if line not in self._seen:
                    self._seen[line] = tuple(secret for piece in _pieces(line) for secret in _of_line(piece))
                found += self._seen[line]
        return found

    def kinds(self, text: str) -> frozenset[str]:
        return frozenset(secret.kind for secret in self.find(text))

    def masked(self, text: str) -> str:
        for secret in sorted(self.find(text), key=lambda secret: -len(secret.value)):
            text = text.replace(secret.value, "[SECRET]")
        return text


@dataclass(frozen=True)
class _Detectors:
    known_forms: tuple[tuple[Any, tuple[re.Pattern[str], ...]], ...]
    basic_auth: Any
    keyword: Any
    keyword_patterns: tuple[Any, ...]


@cache
def _detectors() -> _Detectors:
    """Imported when first used: detect-secrets imports an HTTP client, which these plugins do not call."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import RegexBasedDetector
    from detect_secrets.plugins.basic_auth import BasicAuthDetector
    from detect_secrets.plugins.keyword import (
        CONFIG_DENYLIST_REGEX_TO_GROUP,
        QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP,
        KeywordDetector,
    )

    class FurtherTokenDetector(RegexBasedDetector):
        secret_type = "API key"
        denylist = [re.compile(form) for form in FURTHER_TOKENS]

    plugins: dict[str, Any] = get_mapping_from_secret_type_to_class()
    known = [each() for kind, each in plugins.items() if issubclass(each, RegexBasedDetector) and kind not in LEFT_OUT]
    return _Detectors(
        tuple((each, tuple(each.denylist)) for each in (FurtherTokenDetector(), *known)),
        BasicAuthDetector(),
        KeywordDetector(),
        (QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP, CONFIG_DENYLIST_REGEX_TO_GROUP),
    )


def _pieces(line: str) -> Iterator[str]:
    """Overlapping, so that no secret is cut in two."""
    for start in range(0, max(1, len(line)), LONGEST_LINE):
        yield line[max(0, start - 200) : start + LONGEST_LINE]


def _of_line(line: str) -> Iterator[Secret]:
    detectors = _detectors()
    if LONG_WORD.search(line):
        for plugin, patterns in detectors.known_forms:
            found = [hit.group() for pattern in patterns for hit in pattern.finditer(line)]
            # analyze_string checks more than the form, and gives a pattern's groups, which may be its prefix alone
            if found and any(plugin.analyze_string(line)):
                yield from (
                    Secret(plugin.secret_type, value)
                    for value in found
                    if _has_digit(value) and not PLACEHOLDER.search(value)
                )
    if "://" in line:
        for hit in detectors.basic_auth.analyze_string(line):
            if len(hit) >= 6 and _is_password(hit):
                yield Secret(detectors.basic_auth.secret_type, hit)
    if CALLED_SECRET.search(line):
        for forms in detectors.keyword_patterns:
            for hit in detectors.keyword.analyze_string(line, forms):
                value = hit.split(",")[0].strip("'\"` ;")
                if _is_random(value):
                    yield Secret(detectors.keyword.secret_type, value)


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
