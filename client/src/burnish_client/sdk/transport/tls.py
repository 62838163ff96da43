"""TLS as the client does it: whom it trusts, and why a connection failed. Used by the HTTP and gRPC clients."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from burnish.errors import PreconditionError
from burnish.service.certificates import read_authorities

VARIABLE = "BURNISH_CA"
LOOK_SECONDS = 3.0
DEFAULT_PORTS = {"http": 80, "https": 443}
SECURE_SCHEMES = {"https": "http", "grpcs": "grpc"}  # → the same without TLS
WRONG_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
OUT_OF_TIME = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


def context(ca: Path | None) -> ssl.SSLContext:
    """Trusts only the authorities of the PEM file; without a file, those of httpx and the system.

    Raises PreconditionError that names the file and what is wrong with it.
    """
    if ca is None:
        made = httpx.create_ssl_context()
        made.load_default_certs()
    else:
        made = ssl.create_default_context(cadata=read_authorities(VARIABLE, ca).decode("ascii"))
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as gRPC does: an authority need not be a root
    return made


def verification(url: str, ca: Path | None) -> ssl.SSLContext | bool:
    """What httpx takes as `verify`. The authorities are read only for https."""
    return context(ca) if urlsplit(url).scheme == "https" else True


def authorities(ca: Path | None) -> bytes | None:
    """The trusted authorities as PEM, which is what gRPC takes; None (gRPC's own) if the system has them in no single file."""
    if ca is not None:
        return read_authorities(VARIABLE, ca)
    paths = ssl.get_default_verify_paths()
    for file in (paths.cafile, f"{paths.capath}/ca-certificates.crt" if paths.capath else None):
        if file and Path(file).is_file():
            return Path(file).read_bytes()
    return None


def find_fault(address: str, ca: Path | None) -> PreconditionError | None:
    """Why TLS is the reason that `scheme://host:port` gave no answer; None if it is not the reason.

    Makes one more handshake, since httpx and gRPC word these failures in their own ways, or only say that the connection
    was closed. Finds: TLS missing or not spoken, an unknown authority, another host's name, an expired certificate.
    """
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    fault = (
        _fault_of_tls(host, port, ca) if parts.scheme in SECURE_SCHEMES else _fault_of_plain(host, port, parts.scheme)
    )
    return None if fault is None else PreconditionError(f"{address}: {fault}", host=host, port=port)


def _fault_of_plain(host: str, port: int, scheme: str) -> str | None:
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE  # nothing is sent over it
    try:
        _shake_hands(host, port, blind)
    except OSError:
        return None
    return f"this endpoint uses TLS: write {scheme}s://{host}:{port} (and set {VARIABLE} if its authority is your own)"


def _fault_of_tls(host: str, port: int, ca: Path | None) -> str | None:
    try:
        _shake_hands(host, port, context(ca))
    except ssl.SSLCertVerificationError as error:
        return _fault_of_certificate(error, host, ca)
    except ssl.SSLError as error:
        if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING"):
            return "this endpoint does not use TLS: write http:// for https://, grpc:// for grpcs://, or give the service a certificate"
        return f"TLS failed ({error.reason or error})"
    except OSError:
        return None
    return None


def _fault_of_certificate(error: ssl.SSLCertVerificationError, host: str, ca: Path | None) -> str:
    if error.verify_code in WRONG_NAME:
        return f"its certificate is not for {host!r} ({error.verify_message}): use a name in the certificate, or add this one to it"
    if error.verify_code in OUT_OF_TIME:
        return f"its certificate is expired or not valid yet ({error.verify_message}): renew it at the service, or check this machine's clock"
    trusted = f"the authorities of {ca}" if ca else "the system's authorities"
    return f"its certificate is not trusted by {trusted} ({error.verify_message}): set {VARIABLE} to the PEM file of the authority that signed it"


def _shake_hands(host: str, port: int, trusting: ssl.SSLContext) -> None:
    with (
        socket.create_connection((host, port), timeout=LOOK_SECONDS) as connection,
        trusting.wrap_socket(connection, server_hostname=host),
    ):
        pass
