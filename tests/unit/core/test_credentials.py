"""Which secrets a service refuses to start on, and what it says: the variable and how to make one, never the value."""

from __future__ import annotations

import secrets

import pytest

from burnish.errors import PreconditionError
from burnish.service import credentials

WEAK = {
    "": "is not set or empty",
    "admin": "well-known",
    "minioadmin": "well-known",
    "Change-Me": "well-known",
    "changeme-changeme-changeme": "well-known",
    "password12345678": "well-known",
    "0123456789012345": "well-known words and numbers",
    "test-9876543210987": "well-known",
    "s3cr3t": "has 6 characters; the fewest are 16",
    "kX9-short": "has 9 characters; the fewest are 16",
    "aaaaaaaaaaaaaaaaaaaaaaaa": "repeats the same few characters",
    "zqzqzqzqzqzqzqzqzqzq": "repeats the same few characters",
    "kX9 ffe8 22b1 77aa 01": "holds a blank",
    "kX9ffe822b177aa01zz\n": "holds a blank, a control character",
    "gehört-nur-mir-allein-9": "not ASCII",
}


@pytest.mark.parametrize(("value", "fault"), WEAK.items())
def test_a_weak_one_is_refused_with_its_name_and_the_cure(value: str, fault: str) -> None:
    with pytest.raises(PreconditionError) as refused:
        credentials.check("BURNISH_TOKEN", value)
    message = refused.value.message
    assert message.startswith("BURNISH_TOKEN ")
    assert fault in message
    assert "`make secrets`" in message
    assert "openssl rand -base64 32" in message
    assert "\n" not in message
    if len(value) > 6:
        assert value not in message


def test_random_ones_pass() -> None:
    for _ in range(20_000):
        for value in (secrets.token_urlsafe(32), secrets.token_hex(8), secrets.token_urlsafe(12)):
            credentials.check("BURNISH_TOKEN", value)
    credentials.check("BURNISH_S3_SECRET_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCY=")  # base64 has these signs


def test_words_beside_others_pass() -> None:
    credentials.check("BURNISH_TOKEN", "token-of-the-staging-cluster")


def test_all_three_are_looked_at_under_their_names() -> None:
    good = secrets.token_urlsafe(24)
    credentials.check_all(good, "gpu-one-7", good)
    for given, name in (
        (("", good, good), "BURNISH_TOKEN"),
        ((good, "minioadmin", good), "BURNISH_S3_ACCESS_KEY"),
        ((good, good, "short"), "BURNISH_S3_SECRET_KEY"),
    ):
        with pytest.raises(PreconditionError, match=f"^{name} "):
            credentials.check_all(*given)
