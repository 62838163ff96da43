"""Personal data that has a form: e-mail addresses, IBANs, payment cards, telephone numbers, public IP addresses. Used by the gates.

Names and addresses of streets have no form and are not found. Numbers count only with their check digits (ISO 13616, ISO/IEC 7812).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

IBAN_LENGTHS = {
    entry[:2]: int(entry[2:])
    for entry in (  # noqa: SIM905  # a list of 84 strings would be 84 lines
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 "
        "FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 "
        "MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 "
        "SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
    ).split()
}
CARD_FORMS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|35\d{14}|6(?:011|5\d\d)\d{12}"
)
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # RFC 4291; what else has the form of an address is seldom one
RESERVED = re.compile(
    r"@(?:[\w-]+\.)*(?:example(?:\.(?:com|org|net))?|test|invalid|localhost)$", re.IGNORECASE
)  # RFC 2606


@dataclass(frozen=True)
class Found:
    """A piece of a text, from start to end."""

    kind: str
    start: int
    end: int


def find(text: str) -> list[Found]:
    """Every piece, in order; none overlaps another."""
    found: list[Found] = []
    for kind, pattern, accepted in FORMS:
        for match in pattern.finditer(text):
            end = accepted(match.group())
            if end and not any(match.start() < one.end and one.start < match.start() + end for one in found):
                found.append(Found(kind, match.start(), match.start() + end))
    return sorted(found, key=lambda one: one.start)


def kinds(text: str) -> frozenset[str]:
    return frozenset(one.kind for one in find(text))


def masked(text: str) -> str:
    """With `[E-MAIL]`, `[IBAN]`, `[CARD]`, `[PHONE]` or `[IP ADDRESS]` in the place of each."""
    return "".join(_masked_pieces(text))


def _masked_pieces(text: str) -> Iterator[str]:
    done = 0
    for one in find(text):
        yield text[done : one.start]
        yield f"[{one.kind.upper()}]"
        done = one.end
    yield text[done:]


def _is_email(text: str) -> int:
    return 0 if RESERVED.search(text) else len(text)


def _is_iban(text: str) -> int:
    """How many characters from the start are an IBAN; 0 if none are."""
    length = IBAN_LENGTHS.get(text[:2].upper(), 0)
    taken = [at for at, character in enumerate(text) if character.isalnum()][:length]
    if not length or len(taken) < length:
        return 0
    iban = "".join(text[at] for at in taken).upper()
    number = int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4]))
    return taken[-1] + 1 if number % 97 == 1 else 0


def _is_card(text: str) -> int:
    digits = [int(character) for character in text if character.isdigit()]
    if not CARD_FORMS.fullmatch("".join(map(str, digits))):
        return 0
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return len(text) if (sum(doubled) + sum(digits[-1::-2])) % 10 == 0 else 0


def _is_phone(text: str) -> int:
    return len(text) if 8 <= sum(character.isdigit() for character in text) <= 15 else 0


def _is_public_address(text: str) -> int:
    try:
        address = ipaddress.ip_address(text)
        return len(text) if address.is_global and (address.version == 4 or address in GLOBAL_UNICAST) else 0
    except ValueError:
        return 0


# What a piece looks like, and how many of its characters are one (0: none). Longer forms first: a card is no telephone number.
FORMS: tuple[tuple[str, re.Pattern[str], Callable[[str], int]], ...] = (
    ("e-mail", re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[^\W_][\w-]{0,62}\.)+[^\W\d_]{2,24}(?![\w-])"), _is_email),
    ("IBAN", re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}"), _is_iban),
    (
        "card",
        re.compile(
            r"(?<![\w.,-])(?:\d{13,19}|\d{4}(?:([ -])\d{4})(?:\1\d{4}){2}(?:\1\d{3})?|\d{4}([ -])\d{6}\2\d{5})(?![\w-])"
        ),
        _is_card,
    ),
    (
        "phone",
        re.compile(
            r"(?<![\w.+-])\+\d(?:[ ()./-]{0,3}\d){7,14}(?!\w)"
            r"|(?<![\w.-])(?:\(\d{3}\) ?|\d{3}[-.])\d{3}[-.]\d{4}(?![\w-])"
            r"|(?<![\w.-])(?<!\d )0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,5}(?![\w-])"
        ),
        _is_phone,
    ),
    ("IP address", re.compile(r"(?<![\w.-])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d)"), _is_public_address),
    (
        "IP address",
        re.compile(r"(?<![\w:.-])(?=[0-9A-Fa-f]*:[0-9A-Fa-f]*:)[0-9A-Fa-f:]{2,39}(?<=[0-9A-Fa-f:])(?![\w:-]|\.\d)"),
        _is_public_address,
    ),
)
