"""Starts the trainer: the RPC server and the engine in one process. The composition root; never imports torch."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence

from burnish.errors import PreconditionError
from burnish.machine.devices import cpu
from burnish.machine.gpus import VISIBLE, DriverError, Gpu, visible
from burnish.schemas.base import BaseModelRef
from burnish.schemas.models import read_record
from burnish.service import credentials
from burnish.service.certificates import ServerCertificate
from burnish.service.settings import S3Settings, TlsSettings, TokenSettings
from burnish.telemetry import logs
from burnish.telemetry.tracing import Tracing
from burnish_trainer.executors.access import ProviderAccess
from burnish_trainer.executors.local import LocalExecutor
from burnish_trainer.hardware.machine import MachineReader
from burnish_trainer.metrics import TrainerMetrics
from burnish_trainer.preflight.base_model import read_projections
from burnish_trainer.preflight.planner import RunPlanner
from burnish_trainer.preflight.prices import PriceTable
from burnish_trainer.preflight.process import CheckerProcess
from burnish_trainer.queue.database import Database
from burnish_trainer.queue.notifier import Notifier
from burnish_trainer.queue.repository import JobRepository
from burnish_trainer.rpc.admission import Admission
from burnish_trainer.rpc.metrics_server import MetricsPage, serving
from burnish_trainer.rpc.server import Health, build_server, open_port
from burnish_trainer.rpc.servicer import TrainerServicer
from burnish_trainer.scheduler.devices import CPU, discover
from burnish_trainer.scheduler.engine import Engine
from burnish_trainer.scheduler.gpu_locks import GpuLocks
from burnish_trainer.scheduler.policy import Policy
from burnish_trainer.scheduler.workdir import WorkDir
from burnish_trainer.serving import HttpServing, lent_devices
from burnish_trainer.settings import HostedSettings, TrainerSettings

log = logging.getLogger(__name__)


async def serve(settings: TrainerSettings, s3: S3Settings, token: str, certificate: ServerCertificate | None) -> None:
    """Serve until SIGTERM or SIGINT; then let workers save and end."""
    work_dir = WorkDir(settings.work_dir)
    record = read_record(settings.base_model)
    base_model = BaseModelRef(name=record.name, digest=record.digest)
    database = Database(settings.database_url)
    await asyncio.to_thread(database.migrate)
    repository, store, notifier, health = JobRepository(database), s3.open(), Notifier(), Health()
    seen = [] if settings.device == "cpu" else await asyncio.to_thread(visible_gpus)
    locks = GpuLocks(settings.gpu_lock_dir, seen)
    gpus = locks.gpus
    devices = discover(settings.device, gpus)
    checker = CheckerProcess(settings.base_model, s3.environment())
    uuids = [gpu.uuid for gpu in gpus]
    hosted = HostedSettings()
    access = ProviderAccess.read(settings.secrets_file, python=hosted.python)
    executor = LocalExecutor(
        settings.work_dir,
        settings.base_model,
        uuids,
        s3.environment(),
        warm_workers=settings.warm_workers,
        access=access,
    )
    inference = HttpServing(settings.inference_url, token, settings.inference_ca) if settings.inference_url else None
    machine = MachineReader(
        settings.work_dir,
        settings.device,
        executor.busy,
        lambda: own(gpus),
        lambda: lent_devices(inference) if inference else (),
    )
    planner = RunPlanner(checker, repository, base_model, machine, PriceTable.read(settings.prices))
    metrics, tracing = TrainerMetrics(), Tracing.from_environment("burnish-trainer")
    metrics.watch_queue(repository.count_open)
    policy = Policy.from_settings(settings, hosted.jobs)
    engine = Engine(
        work_dir.engine_id,
        repository,
        executor,
        planner,
        store,
        notifier,
        policy,
        devices,
        metrics,
        tracing,
        inference,
        dict(zip(devices, uuids, strict=True)) if uuids else {CPU: cpu()},
        access.usable,
    )
    admission = Admission(store, base_model, devices, settings.workers, read_projections(settings.base_model), access)
    servicer = TrainerServicer(repository, admission, notifier, planner, store, metrics)
    server = build_server(servicer, token, health, metrics, tracing)
    port = open_port(server, f"{settings.host}:{settings.port}", certificate)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, engine.stop)
    await server.start()
    await health.set_serving(True)
    log.info("serving on %s:%s, base model %s, devices %s", settings.host, port, record.name, ", ".join(devices))
    page = MetricsPage(metrics.registry, token)
    try:
        with serving(page, settings.host, settings.metrics_port, certificate) as metrics_port:
            if metrics_port:
                log.info("metrics on %s:%d", settings.host, metrics_port)
            await engine.run()
    finally:
        await health.set_serving(False)
        await asyncio.to_thread(checker.close)
        await server.stop(grace=1)
        tracing.close()
        database.close()
        locks.close()


def own(gpus: Sequence[Gpu]) -> list[Gpu]:
    """The same GPUs, as they are now."""
    uuids = [gpu.uuid for gpu in gpus]
    return visible({VISIBLE: ",".join(uuids)}) if uuids else []


def visible_gpus() -> list[Gpu]:
    """PreconditionError if the driver fails: the trainer must not take a GPU host for one without."""
    try:
        return visible(os.environ)
    except DriverError as error:
        raise PreconditionError(f"{error}: repair the driver, or set BURNISH_TRAINER_DEVICE=cpu") from error


def main() -> None:
    logs.configure(quiet=("alembic", "urllib3", "httpx", "uvicorn"))
    settings, s3 = TrainerSettings(), S3Settings()  # type: ignore[call-arg]  # from the environment
    token = TokenSettings().token.get_secret_value()
    try:
        credentials.check_all(token, s3.access_key.get_secret_value(), s3.secret_key.get_secret_value())
        asyncio.run(serve(settings, s3, token, TlsSettings().open()))
    except PreconditionError as error:
        log.error("the trainer cannot start: %s", error.message)
        sys.exit(1)


if __name__ == "__main__":
    main()
