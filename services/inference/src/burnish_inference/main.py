"""Composition root: starts the inference server and vLLM behind it, `python -m burnish_inference.main`."""

from __future__ import annotations

import logging
import os
import sys

from burnish.adapters.base import BaseModel
from burnish.errors import BurnishError
from burnish.service import credentials
from burnish.service.certificates import ServerCertificate
from burnish.service.settings import S3Settings, TlsSettings, TokenSettings
from burnish.telemetry import logs
from burnish.telemetry.tracing import Tracing, endpoint
from burnish_inference.api.app import create_app
from burnish_inference.api.dependencies import Deps, open_upstream
from burnish_inference.api.serving import listen, serve
from burnish_inference.device.keeper import Sharer
from burnish_inference.device.lease_file import LeaseFile
from burnish_inference.engine.command import (
    own_devices,
    pick_device,
    pick_dtype,
    pick_sharing,
    vllm_command,
    vllm_environment,
)
from burnish_inference.engine.supervisor import Policy, Supervisor
from burnish_inference.settings import InferenceSettings

log = logging.getLogger("burnish_inference")


async def run(settings: InferenceSettings, s3: S3Settings, token: str, certificate: ServerCertificate | None) -> None:
    credentials.check_all(token, s3.access_key.get_secret_value(), s3.secret_key.get_secret_value())
    caller_keys = settings.keys_of_callers()
    base, device = BaseModel.open(settings.base_model), pick_device(settings)
    listener = listen(settings.host, settings.port)
    environment = vllm_environment(settings, device, os.environ)
    settings.cache_dir.mkdir(parents=True, exist_ok=True)
    sharing = pick_sharing(settings, device)
    sharer = Sharer(sharing, own_devices(settings, device, environment), settings.lease_drain_seconds)
    tracing = Tracing.from_environment("burnish-inference")
    policy = Policy(start_limit=settings.start_limit_seconds, hang_limit=settings.hang_limit_seconds)
    where, dtype = listener.getsockname()[:2], pick_dtype(settings, device)
    log.info("serving %s on %s:%d, device %s, %s, sharing: %s", base.record.name, *where, device, dtype, sharing)
    async with (
        Supervisor(
            lambda socket: (
                vllm_command(settings, device, base.record.name, base.target_modules, socket, endpoint()),
                environment,
            ),
            base.record.name,
            settings.cache_dir / "vllm.log",
            policy,
            is_held=sharing == "sleep" and LeaseFile(settings.cache_dir).read() is not None,
        ) as engine,
        open_upstream(engine.socket) as upstream,
    ):
        deps = Deps.wire(
            token=token, max_request_bytes=settings.max_request_bytes, limits=settings.limits(),
            max_lora_rank=settings.max_lora_rank, cache_dir=settings.cache_dir,
            cache_bytes=int(settings.cache_gib * 1024**3), base=base, store=s3.open(),
            engine=engine, upstream=upstream, tracing=tracing, caller_keys=caller_keys,
            tokens_in_flight=settings.tokens_in_flight, sharer=sharer, lease_wait_seconds=settings.lease_wait_seconds,
        )  # fmt: skip
        async with deps.device, deps.aliases.watching():
            await serve(create_app(deps), listener, settings.drain_seconds, engine, certificate)
    tracing.close()


def main() -> None:
    import uvloop

    logs.configure(quiet=("urllib3",))
    try:
        token = TokenSettings().token.get_secret_value()
        uvloop.run(run(InferenceSettings(), S3Settings(), token, TlsSettings().open()))  # type: ignore[call-arg]
    except BurnishError as error:
        log.error("%s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
