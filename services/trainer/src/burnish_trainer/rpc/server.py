"""Wires the gRPC server: the trainer's RPCs, health and reflection behind the interceptors. Pure wiring, used by main and tests."""

from __future__ import annotations

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from burnish.telemetry.tracing import Tracing
from burnish_protos.trainer.v1.trainer_pb2_grpc import add_TrainerServicer_to_server
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.rpc.interceptors import ErrorInterceptor, TokenInterceptor
from burnish_trainer.rpc.servicer import SERVICE_NAME, TrainerServicer
from burnish_trainer.rpc.telemetry import TelemetryInterceptor

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
    """metrics, tracing: None where nobody looks at them."""
    telemetry = TelemetryInterceptor(metrics or TrainerMetrics(), tracing or Tracing("burnish-trainer"))
    server = grpc.aio.server(interceptors=[telemetry, ErrorInterceptor(), TokenInterceptor(token)], options=OPTIONS)
    add_TrainerServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]  # generated
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    reflection.enable_server_reflection(
        (SERVICE_NAME, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME), server
    )
    return server
