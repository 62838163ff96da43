"""How patient the engine is. settings.py gives each its environment variable and its meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

KeepCheckpoints = Literal["all", "best", "none"]


@dataclass(frozen=True)
class EnginePolicy:
    workers: int = 1
    max_attempts: int = 3
    max_total_attempts: int = 100
    retry_delay_seconds: float = 2.0
    retry_delay_max_seconds: float = 300.0
    heartbeat_timeout_seconds: float = 120.0
    cancel_grace_seconds: float = 5.0
    stop_grace_seconds: float = 60.0
    lease_seconds: float = 30.0
    keep_checkpoints: KeepCheckpoints = "all"
    poll_seconds: float = 0.2

    def retry_after_seconds(self, failures: int) -> float:
        """Exponential back-off after so many failures one after the other."""
        doubled = self.retry_delay_seconds * 2.0 ** min(failures - 1, 60)
        return min(doubled, self.retry_delay_max_seconds)

    def exhausted(self, attempts: int, strikes: int, failures: int) -> bool:
        """Whether a job may not be tried again."""
        return strikes >= self.max_attempts or max(attempts, failures) >= self.max_total_attempts
