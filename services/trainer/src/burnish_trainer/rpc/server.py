"""Wires the gRPC server: the trainer's RPCs, health and reflection behind the interceptor, and its port with or without TLS.

Pure wiring, called by main.py and tests.
"""

from __future__ import annotations

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from burnish.errors import PreconditionError
from burnish.service.certificates import Pair, ServerCertificate
from burnish.telemetry.tracing import Tracing
from burnish_protos.trainer.v1.trainer_pb2_grpc import add_TrainerServicer_to_server
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.rpc.interceptor import EdgeInterceptor
from burnish_trainer.rpc.reflection import add_reflection
from burnish_trainer.rpc.servicer import SERVICE_NAME, TrainerServicer
from burnish_trainer.rpc.telemetry import CallTelemetry

MAXIMUM_MESSAGE_BYTES = 4 * 1024 * 1024
OPTIONS = (
    ("grpc.so_reuseport", 0),  # a second trainer on one port must fail, not share it
    ("grpc.max_receive_message_length", MAXIMUM_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
)


class Health:
    """grpc.health.v1: serving from the start, not serving once the trainer is told to stop."""

    def __init__(self) -> None:
        self.servicer = health.aio.HealthServicer()

    async def set_serving(self, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.ServingStatus
        for service in ("", SERVICE_NAME):
            await self.servicer.set(service, status.SERVING if serving else status.NOT_SERVING)


def build_server(
    servicer: TrainerServicer,
    token: str,
    health: Health,
    metrics: TrainerMetrics | None = None,
    tracing: Tracing | None = None,
) -> grpc.aio.Server:
    """metrics, tracing: None if nobody looks at them."""
    telemetry = CallTelemetry(metrics or TrainerMetrics(), tracing or Tracing("burnish-trainer"))
    server = grpc.aio.server(interceptors=[EdgeInterceptor(token, telemetry)], options=OPTIONS)
    add_TrainerServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]  # generated
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    add_reflection((SERVICE_NAME, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name), server)
    return server


def open_port(server: grpc.aio.Server, address: str, certificate: ServerCertificate | None) -> int:
    """Have the server listen on `host:port`, with TLS if there is a certificate. Returns the port: port 0 picks a free one.

    Raises PreconditionError if the address is taken or is not this machine's.
    """
    try:
        if certificate is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, server_credentials(certificate)))
    except RuntimeError as error:
        raise PreconditionError(
            f"cannot listen on {address}: end what uses it, or set BURNISH_TRAINER_HOST and BURNISH_TRAINER_PORT"
        ) from error


def server_credentials(certificate: ServerCertificate) -> grpc.ServerCredentials:
    """gRPC asks at every handshake whether the files have changed, as the HTTP servers do."""
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
