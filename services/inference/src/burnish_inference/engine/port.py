"""The running vLLM as the rest of the service sees it. The supervisor implements it, and so do tests."""

from __future__ import annotations

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
