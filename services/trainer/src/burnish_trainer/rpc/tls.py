"""TLS of the trainer's gRPC door. Called by main.py and tests; other servers of this service take DoorCertificate.ssl_context."""

from __future__ import annotations

import grpc
import grpc.aio

from burnish.certificates import DoorCertificate, Pair
from burnish.errors import PreconditionError


def open_port(server: grpc.aio.Server, address: str, certificate: DoorCertificate | None) -> int:
    """Have the server listen on `host:port`, over TLS where there is a certificate; the port, which was chosen where it was 0.

    Raises PreconditionError where the address is taken or not this machine's.
    """
    try:
        if certificate is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, server_credentials(certificate)))
    except RuntimeError as error:
        raise PreconditionError(
            f"cannot listen on {address}: end what uses it, or set BURNISH_TRAINER_HOST and BURNISH_TRAINER_PORT"
        ) from error


def server_credentials(certificate: DoorCertificate) -> grpc.ServerCredentials:
    """gRPC asks at every handshake whether the files have changed, as the HTTP doors do."""
    shown = certificate.current()

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        if (pair := certificate.current()) is shown:
            return None
        shown = pair
        return _configuration(pair)

    return grpc.dynamic_ssl_server_credentials(_configuration(shown), renewed)


def _configuration(pair: Pair) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pair.key, pair.certificate)])
