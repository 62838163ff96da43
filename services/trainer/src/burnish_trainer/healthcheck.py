"""`python -m burnish_trainer.healthcheck`: exit code 0 where this host's trainer says SERVING, else 1 and why. For containers.

Reads BURNISH_TRAINER_PORT and BURNISH_TLS_CERTIFICATE, as the trainer itself does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from burnish.certificates import CERTIFICATE, host_names
from burnish_trainer.settings import TrainerSettings

HOST = "127.0.0.1"
LIMIT_SECONDS = 5.0


def fault(port: int, certificate: Path | None) -> str | None:
    """What is wrong with the door; None where it serves. certificate: the one that it shows, None for plain gRPC."""
    with _channel(f"{HOST}:{port}", certificate) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=LIMIT_SECONDS)
        except grpc.RpcError as error:
            return f"no answer on port {port}: {error.details()}"
    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
    return None if serving else f"the trainer is {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}"


def _channel(target: str, certificate: Path | None) -> grpc.Channel:
    """Trusts the certificate of the file and no authority, under the name that it has."""
    options = [("grpc.enable_http_proxy", 0)]
    if certificate is None:
        return grpc.insecure_channel(target, options=options)
    pem = certificate.read_bytes()
    name = host_names(pem)[0].replace("*", "any")
    return grpc.secure_channel(
        target, grpc.ssl_channel_credentials(pem), options=[*options, ("grpc.ssl_target_name_override", name)]
    )


def main() -> None:
    certificate = os.environ.get(CERTIFICATE)
    port = int(os.environ.get("BURNISH_TRAINER_PORT") or TrainerSettings.model_fields["port"].default)
    sys.exit(fault(port, Path(certificate) if certificate else None))


if __name__ == "__main__":
    main()
