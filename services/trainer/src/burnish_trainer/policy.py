"""How patient the engine is. settings.py gives each its environment variable and its meaning."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EnginePolicy:
    workers: int = 1
    max_attempts: int = 3
    retry_delay_seconds: float = 2.0
    cancel_grace_seconds: float = 5.0
    stop_grace_seconds: float = 60.0
    lease_seconds: float = 30.0
    keep_checkpoints: bool = False
    poll_seconds: float = 0.2
