"""Personal data that has a form is found wherever it stands in a sentence, and what merely looks like it is not."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.curation.gates.personal import find, kinds, masked

FOUND = [
    ("Write to jane.doe+x@mail.firma.de, please", "e-mail", "Write to [E-MAIL], please"),
    ("<müller@bücher.de>", "e-mail", "<[E-MAIL]>"),
    ("IBAN: DE89 3704 0044 0532 0130 00 THANKS A LOT", "IBAN", "IBAN: [IBAN] THANKS A LOT"),
    ("to GB82WEST12345698765432.", "IBAN", "to [IBAN]."),
    ("fr14 2004 1010 0505 0001 3m02 606 is it", "IBAN", "[IBAN] is it"),
    ("NO93 8601 1117 947", "IBAN", "[IBAN]"),
    ("card 4111 1111 1111 1111 expired", "card", "card [CARD] expired"),
    ("378282246310005", "card", "[CARD]"),
    ("call +49 (0)171 / 2345678 now", "phone", "call [PHONE] now"),
    ("call (555) 234-5678", "phone", "call [PHONE]"),
    ("Tel. 030/1234 5678", "phone", "Tel. [PHONE]"),
    ("from 8.8.4.4.", "IP address", "from [IP ADDRESS]."),
    ("at 2a00:1450:4001:82a::200e.", "IP address", "at [IP ADDRESS]."),
]
NOT_FOUND = [
    "user@example.com and admin@mail.example.org",
    "DE89 3704 0044 0532 0130 01",
    "4111 1111 1111 1112",
    "order 5187523894412345",
    "127.0.0.1, 10.0.0.7, 192.168.1.1 and version 1.2.3.4.5",
    "10:20:30, aa:bb:cc:dd:ee:ff, ::1, 2001:db8::1, fe80::1, dead::beef, std::move, a::b, 12::30",
    "2026-11-29 12:40:01.123456 and 3.14159265358979",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "@decorator def f(a @ b): ...",
    "550e8400-e29b-41d4-a716-446655440000",
    "ISBN 978-3-16-148410-0",
]


@pytest.mark.parametrize(("text", "kind", "expected"), FOUND)
def test_it_is_found_and_masked(text: str, kind: str, expected: str) -> None:
    assert kinds(text) == {kind}
    assert masked(text) == expected
    assert find(masked(text)) == []


@pytest.mark.parametrize("text", NOT_FOUND)
def test_what_only_looks_like_it_is_not(text: str) -> None:
    assert find(text) == []
    assert masked(text) == text


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="aA0 1.@+-()/DE8:é", max_size=80))
def test_pieces_never_overlap_and_a_mask_leaves_the_rest(text: str) -> None:
    found = find(text)
    assert all(one.end <= other.start for one, other in pairwise(found))
    assert masked(text).startswith(text[: found[0].start] if found else text)
