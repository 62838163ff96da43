"""Answers about evals that no other room shares."""

from __future__ import annotations

from burnish.schemas.base import Frozen
from burnish.schemas.evaluation import EvalManifest


class EvalList(Frozen):
    evals: list[EvalManifest]
