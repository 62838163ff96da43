"""What counts as a secret, and what in ordinary text does not. Keys are put together here, so that no scanner alarms at this file."""

from __future__ import annotations

import hashlib
import random
import string
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burnish.curation.gates.secrets import SecretScanner


def secrets_in(text: str) -> frozenset[str]:
    return SecretScanner().kinds(text)


def drawn(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    random_ = random.Random(length)
    return "7" + "".join(random_.choices(alphabet, k=length - 1))


PEM = "-----BEGIN " + "RSA PRIVATE KEY-----\n" + drawn(64) + "\n" + drawn(60) + "==\n-----END"
SECRETS = {
    "AWS Access Key": "AKIA" + drawn(16, string.ascii_uppercase + string.digits),
    "GitHub Token": "ghp_" + drawn(36),
    "GitLab Token": "glpat-" + drawn(20),
    "Slack Token": "xoxb-" + "123456789012-123456789012-" + drawn(24).lower(),
    "Stripe Access Key": "sk_live_" + drawn(24),
    "SendGrid API Key": "SG." + drawn(22) + "." + drawn(43),
    "API key": "sk-proj-" + drawn(48),
    "Private Key": PEM,
    "Basic Auth Credentials": "postgres://app:" + drawn(12) + "@db.internal/tickets",
    "Secret Keyword": f"api_key: {drawn(32)}",
    "JSON Web Token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + "eyJzdWIiOiI5ODc2NTQzMjEwIiwibmFtZSI6IkpvaG4ifQ."
    "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
}  # fmt: skip
HARMLESS = [
    "def login(self, user, password='', secret=None):\n    return self._auth(user, password)",
    "password = getpass.getpass('Password: ')",
    "http://user:password@proxy.example.com:8080",
    "api_key = os.environ['SERVICE_API_KEY_FOR_TESTING_1']",
    "token: your-api-key-goes-here-1234",
    f"sha256:{hashlib.sha256(b'x').hexdigest()}  dist/package-1.0.tar.gz",
    f'{{"etag": "{hashlib.md5(b"x").hexdigest()}", "id": "{uuid.uuid5(uuid.NAMESPACE_DNS, "x")}"}}',
    "AKIAIOSFODNN7EXAMPLE",
    "if b'-----BEGIN RSA PRIVATE KEY-----' in data: raise ValueError('no keys here')",
    "https://example.org/a/very-long-path/with_underscores_and-dashes/2026-11-23T10:00:00Z",
    "primary_key=True, foreign_key='customer.customer_id_0000000001'",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4",
    "The secret of the sauce is twelve hours in the oven; the key: patience.",
]


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_in_a_sentence_is_found(kind: str) -> None:
    assert kind in secrets_in(f"Before it.\nhere: {SECRETS[kind]}\nBehind it.")


@pytest.mark.parametrize("kind", SECRETS)
def test_a_masked_secret_is_gone_and_the_rest_stays(kind: str) -> None:
    masked = SecretScanner().masked(f"Before it.\nhere: {SECRETS[kind]}\nBehind it.")
    assert "[SECRET]" in masked
    assert secrets_in(masked) == frozenset()
    assert (masked[:10], masked[-10:]) == ("Before it.", "Behind it.")
    assert SecretScanner().masked(HARMLESS[0]) == HARMLESS[0]


@pytest.mark.parametrize("kind", ["AWS Access Key", "GitHub Token"])
def test_a_secret_deep_in_one_long_line_is_found(kind: str) -> None:
    for offset in (3_900, 3_995, 20_000):
        assert kind in secrets_in("word " * (offset // 5) + SECRETS[kind] + " word" * 2_000)


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert secrets_in(text) == frozenset()


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=1, max_size=40))
def test_digests_and_ids_are_no_secrets(data: bytes) -> None:
    digest, name = hashlib.sha256(data).hexdigest(), uuid.UUID(bytes=hashlib.md5(data).digest())
    assert secrets_in(f'{{"sha256": "{digest}", "request_id": "{name}", "path": "/srv/{digest[:16]}/x.json"}}') == set()
