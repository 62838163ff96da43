"""Routes of the device's lease: the trainer calls them for its jobs, and `burnish status` looks."""

from __future__ import annotations

from fastapi import APIRouter

from burnish.schemas.device import DeviceStatus, LeaseAnswer, LeaseRequest
from burnish_inference.api.dependencies import Deps


def build_router(deps: Deps) -> APIRouter:
    router = APIRouter()

    @router.get("/v1/device")
    async def device() -> DeviceStatus:
        """What vLLM runs on, and who has it."""
        return await deps.device.status()

    @router.post("/v1/device/lease")
    async def ask(body: LeaseRequest) -> LeaseAnswer:
        """Ask for the devices for a job, and renew. Repeat it until it is granted, and then before it expires."""
        return await deps.device.ask(body)

    @router.delete("/v1/device/lease/{holder}")
    async def give_back(holder: str) -> DeviceStatus:
        """End the lease of this holder; no other one is changed. Safe to repeat."""
        return await deps.device.give_back(holder)

    return router
