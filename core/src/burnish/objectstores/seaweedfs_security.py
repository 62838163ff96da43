"""Keys that close SeaweedFS's inner ports: only the server's own parts may speak to each other, S3 is the one way in.

Master, volume, filer and admin answer anybody who reaches their ports, over HTTP and gRPC. With these files they ask every caller
for a certificate that only they have. Made anew for each start by burnish.objectstores.seaweedfs.
"""

from __future__ import annotations

import ipaddress
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from burnish.files import write_atomically

CERTIFICATE, KEY, SETTINGS = "certificate.pem", "key.pem", "security.toml"  # the last is weed's name for it
GRPC_PARTS = ("master", "volume", "filer", "s3", "admin", "worker", "client", "mq", "msg_broker", "msg_agent")
HTTP_PARTS = ("master", "volume", "filer", "admin")
JWT_KEYS = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
VALID = timedelta(days=3650)


def write_keys(folder: Path, host: str) -> None:
    """A fresh certificate for `host` (an IP address), its key, and the settings that demand it, readable by their owner only."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    certificate, key = _certificate(host)
    files = {CERTIFICATE: certificate, KEY: key, SETTINGS: _settings(folder.resolve()).encode()}
    for name, content in files.items():
        write_atomically(folder / name, content, mode=0o600)


def _certificate(host: str) -> tuple[bytes, bytes]:
    """(certificate, key) as PEM, signed by itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "burnish objectstore")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _settings(folder: Path) -> str:
    """weed's security.toml: mutual TLS for gRPC and HTTP of every part, and signed requests between them."""
    pair = f'cert = "{folder / CERTIFICATE}"\nkey = "{folder / KEY}"\n'
    authority = f'ca = "{folder / CERTIFICATE}"\n'
    sections = [f"[grpc]\n{authority}", f"[https.client]\nenabled = true\n{pair}{authority}"]
    sections += [f"[grpc.{part}]\n{pair}" for part in GRPC_PARTS]
    sections += [f"[https.{part}]\n{pair}{authority}" for part in HTTP_PARTS]
    sections += [f'[{name}]\nkey = "{secrets.token_hex(32)}"\nexpires_after_seconds = 10\n' for name in JWT_KEYS]
    return "\n".join(sections)
