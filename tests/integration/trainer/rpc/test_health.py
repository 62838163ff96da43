"""The image's health check of the trainer: SERVING is healthy, everything else is said."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
from certificate_making import Authority
from grpc_health.v1 import health_pb2, health_pb2_grpc

from burnish_trainer.rpc.health import problem

Status = health_pb2.HealthCheckResponse.ServingStatus


class Health(health_pb2_grpc.HealthServicer):
    def __init__(self, status: int) -> None:
        self.status = status

    def Check(self, *_: object) -> health_pb2.HealthCheckResponse:
        return health_pb2.HealthCheckResponse(status=Status.Name(self.status))


@contextmanager
def serving(status: int, pair: tuple[Path, Path] | None = None) -> Iterator[dict[str, str]]:
    """A server that says this; what its container's environment would have of it."""
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        health_pb2_grpc.add_HealthServicer_to_server(Health(status), server)
        if pair is None:
            port = server.add_insecure_port("localhost:0")
        else:
            certificate, key = (file.read_bytes() for file in pair)
            port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(key, certificate)]))
        server.start()
        yield {"BURNISH_TRAINER_PORT": str(port)}
        server.stop(0).wait()


def test_serving_is_healthy_and_everything_else_is_told() -> None:
    with serving(Status.SERVING) as environment:
        assert problem(environment) is None
    with serving(Status.NOT_SERVING) as environment:
        assert str(problem(environment)).endswith("is NOT_SERVING")
    assert "does not answer" in str(problem({"BURNISH_TRAINER_PORT": "1"}))


def test_over_tls_it_trusts_the_trainers_own_certificate_under_whatever_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("elsewhere", names=("*.gpu.example", "10.0.0.7"))
    with serving(Status.SERVING, pair) as environment:
        assert problem(environment | {"BURNISH_TLS_CERTIFICATE": str(pair[0])}) is None
        another = authority.issue("another")[0]
        for given in ({}, {"BURNISH_TLS_CERTIFICATE": str(another)}):
            assert "does not answer" in str(problem(environment | given))


def test_a_certificate_that_is_not_there_is_named() -> None:
    assert "BURNISH_TLS_CERTIFICATE" in str(problem({"BURNISH_TLS_CERTIFICATE": "/nowhere.pem"}))
