"""The running vLLM as the rest of the service sees it. The supervisor implements it, and so do tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Engine(Protocol):
    @property
    def generation(self) -> int:
        """Changes with every start of vLLM, which then knows no adapter."""
        ...

    @property
    def restarts(self) -> int:
        """How often vLLM was started again."""
        ...

    @property
    def url(self) -> str:
        """Base URL of the running vLLM. UnavailableError while there is none."""
        ...

    async def check(self) -> bool:
        """Ask vLLM now whether it is healthy."""
        ...

    async def examine(self) -> bool:
        """Ask the base a canary prompt now. False if it answers nonsense, after which there is no URL until vLLM has started again."""
        ...


class LeasableEngine(Engine, Protocol):
    """An engine that can leave its device and come back. Only device/ asks for it."""

    @property
    def address(self) -> str:
        """Base URL, whatever its state."""
        ...

    @property
    def is_up(self) -> bool:
        """Whether vLLM runs and is healthy, awake or asleep."""
        ...

    def watch(self, changed: Callable[[bool], None]) -> None:
        """Call `changed` with is_up at each change of it."""
        ...

    def suspend(self) -> None:
        """No URL, no canary prompt until `resume`. UnavailableError if it is not ready."""
        ...

    def resume(self) -> None:
        """UnavailableError if it has ended meanwhile."""
        ...

    async def hold(self) -> None:
        """End vLLM, and do not start it before `release`."""
        ...

    def release(self) -> None: ...
