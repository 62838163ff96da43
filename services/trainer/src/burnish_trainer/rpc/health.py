"""`burnish-trainer-health`: asks the trainer in this container whether it serves. The image's health check runs it.

Imports nothing else of this package, so that it costs a container only milliseconds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from burnish.service.certificates import CERTIFICATE, host_names

LIMIT_SECONDS = 5.0
DEFAULT_PORT = "8702"


def problem(environment: Mapping[str, str]) -> str | None:
    """None if grpc.health.v1 on localhost answers SERVING, else what it answered instead.

    With TLS if the trainer has a certificate (BURNISH_TLS_CERTIFICATE); only that one is trusted, under any name.
    """
    address = f"localhost:{environment.get('BURNISH_TRAINER_PORT', DEFAULT_PORT)}"
    try:
        opened = _channel(address, environment)
    except (OSError, ValueError, IndexError) as error:
        return f"{address} cannot be asked: {CERTIFICATE}: {error}"
    with opened as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=LIMIT_SECONDS)
        except grpc.RpcError as error:
            return f"{address} does not answer: {error.code().name} {error.details()}"
    status = health_pb2.HealthCheckResponse.ServingStatus
    return None if answer.status == status.SERVING else f"{address} is {status.Name(answer.status)}"


def _channel(address: str, environment: Mapping[str, str]) -> grpc.Channel:
    options: list[tuple[str, str | int]] = [("grpc.enable_http_proxy", 0)]
    if not (certificate := environment.get(CERTIFICATE)):
        return grpc.insecure_channel(address, options)
    pem = Path(certificate).read_bytes()
    options.append(("grpc.ssl_target_name_override", host_names(pem)[0].replace("*", "any")))
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(pem), options)


def main() -> None:
    sys.exit(problem(os.environ))
