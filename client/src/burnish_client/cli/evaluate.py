"""`burnish eval`: base and adapter answer a benchmark over HTTP, paired; then the verdict."""

from __future__ import annotations


def evaluate() -> None:
    """Compare."""
