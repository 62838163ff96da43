"""Certificates: those that a server presents, and the authorities that a caller trusts. Read, checked, read again.

Called by the services' settings, by the embedded stack and by the client. cryptography is imported where it is needed,
so that commands without TLS start fast.
"""

from __future__ import annotations

import logging
import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

from burnish.errors import PreconditionError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

CERTIFICATE, KEY = "BURNISH_TLS_CERTIFICATE", "BURNISH_TLS_KEY"
SOON = timedelta(days=14)
_log = logging.getLogger(__name__)
_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Pair:
    """The bytes of a checked certificate chain (the server's own first) and its private key, both PEM."""

    certificate: bytes
    key: bytes
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Pair(expires_at={self.expires_at})"


class ServerCertificate:
    """What a server presents to its callers, from two PEM files. Checked when made; replaced files are taken up while running.

    Renewal needs no restart: at the next connection after either file has changed, both are read and checked again. A pair
    that does not pass (one file is not replaced yet, the new one has expired) is logged and the one before stays. Thread-safe.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises PreconditionError that names the file and what to do: unreadable, no PEM, encrypted key, mismatch, expired."""
        self.certificate, self.key = certificate, key
        self._lock = threading.Lock()
        self._stamp = self._stamp_now()
        self._pair = read_pair(certificate, key)
        self._tell_expiry()

    @classmethod
    def from_settings(cls, certificate: Path | None, key: Path | None) -> Self | None:
        """None if neither is set; PreconditionError if one is."""
        if certificate is None and key is None:
            return None
        if certificate is None or key is None:
            missing, given = (CERTIFICATE, KEY) if certificate is None else (KEY, CERTIFICATE)
            raise PreconditionError(f"{given} is set but {missing} is not: set both for TLS, or neither for none")
        return cls(certificate, key)

    def current(self) -> Pair:
        """The pair to show now: another object than before if the files have changed and hold a good one."""
        with self._lock:
            stamp = self._stamp_now()
            if stamp != self._stamp:
                self._stamp = stamp
                self._renew()
            return self._pair

    def _renew(self) -> None:
        try:
            self._pair = read_pair(self.certificate, self.key)
        except PreconditionError as error:
            _log.warning("the certificate files changed; the pair of before stays in use: %s", error.message)
        else:
            self._tell_expiry()

    def ssl_context(self) -> ssl.SSLContext:
        """For a server on asyncio or threads, TLS 1.2 or newer; asks at every handshake whether the files have changed."""
        shown, first = self.current(), self._context()
        newest = first

        def on_hello(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            nonlocal shown, newest
            if (pair := self.current()) is not shown:
                shown, newest = pair, self._context(otherwise=newest)
            connection.context = newest

        first.sni_callback = on_hello
        return first

    def _context(self, otherwise: ssl.SSLContext | None = None) -> ssl.SSLContext:
        """Of the files as they are now; the other one if they were replaced again since they were checked."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            if otherwise is None:
                raise _refused(CERTIFICATE, self.certificate, f"cannot be used ({error})", "start again") from error
            return otherwise
        return context

    def _stamp_now(self) -> _Stamp:
        """Changes with either file, also if a link is turned to another one; empty while one is missing."""
        try:
            found = [path.stat() for path in (self.certificate, self.key)]
        except OSError:
            return ()
        return tuple((entry.st_ino, entry.st_size, entry.st_mtime_ns) for entry in found)

    def _tell_expiry(self) -> None:
        level = logging.WARNING if self._pair.expires_at - datetime.now(UTC) < SOON else logging.INFO
        _log.log(level, "TLS by %s, valid until %s", self.certificate, f"{self._pair.expires_at:%Y-%m-%d %H:%M} UTC")


def read_pair(certificate: Path, key: Path) -> Pair:
    """Both files, checked: PEM, in their time, one belonging to the other."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    chain_pem, key_pem = _read(CERTIFICATE, certificate), _read(KEY, key)
    chain = _certificates(CERTIFICATE, certificate, chain_pem)
    try:
        private = load_pem_private_key(key_pem, password=None)
    except TypeError as error:
        raise _refused(
            KEY, key, "is encrypted", "`openssl pkey -in FILE -out PLAIN` takes the passphrase off"
        ) from error
    except ValueError as error:
        raise _refused(
            KEY, key, "is not a private key in PEM form", "it begins with -----BEGIN PRIVATE KEY-----"
        ) from error
    if not host_names(chain_pem):
        advice = "make one with subjectAltName=DNS:… or IP:…; the common name alone is not looked at"
        raise _refused(CERTIFICATE, certificate, "names no host that clients could hold it against", advice)
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*form) != chain[0].public_key().public_bytes(*form):
        raise _refused(
            KEY,
            key,
            f"does not belong to the first certificate in {certificate}",
            "give the key that it was made with, and put the server's own certificate before those of its issuers",
        )
    return Pair(chain_pem, key_pem, min(one.not_valid_after_utc for one in chain))


def host_names(pem: bytes) -> list[str]:
    """Names and IP addresses that the first certificate is for (subjectAltName)."""
    from cryptography.x509 import (
        DNSName,
        ExtensionNotFound,
        IPAddress,
        SubjectAlternativeName,
        load_pem_x509_certificates,
    )

    try:
        found = load_pem_x509_certificates(pem)[0].extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        return []
    return [*found.get_values_for_type(DNSName), *(str(one) for one in found.get_values_for_type(IPAddress))]


def pinned(certificate: Path) -> ssl.SSLContext:
    """For a request to one's own endpoint on loopback, whatever its name: trusts the certificates of its file and no authority."""
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def read_authorities(name: str, path: Path) -> bytes:
    """The PEM of authorities to trust, from the file that variable or option `name` gives. Raises PreconditionError as above."""
    pem = _read(name, path)
    _certificates(name, path, pem)
    return pem


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        advice = (
            "give a file that is there and that this user may read (in a container: mounted, and readable by its user)"
        )
        raise _refused(name, path, f"cannot be read ({error.strerror})", advice) from error


def _certificates(name: str, path: Path, pem: bytes) -> list[Certificate]:
    """Every certificate of the file; each must be in its time."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        found = load_pem_x509_certificates(pem)
    except ValueError as error:
        raise _refused(
            name, path, "holds no certificate in PEM form", "it begins with -----BEGIN CERTIFICATE-----"
        ) from error
    now = datetime.now(UTC)
    for one in found:
        if one.not_valid_after_utc < now:
            raise _refused(name, path, f"has expired ({_period(one)})", "renew it, and put the new one there")
        if one.not_valid_before_utc > now:
            raise _refused(
                name, path, f"is not valid yet ({_period(one)})", "look at this machine's clock and at the file"
            )
    return found


def _period(certificate: Certificate) -> str:
    subject = certificate.subject.rfc4514_string() or "no subject"
    return f"{subject}, valid {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"


def _refused(name: str, path: Path, fault: str, advice: str) -> PreconditionError:
    return PreconditionError(f"{name}: {path} {fault}: {advice}", variable=name, file=path)
