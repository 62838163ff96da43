"""Answers about benchmarks that no other room shares."""

from __future__ import annotations

from burnish.schemas.base import Frozen
from burnish.schemas.benchmark import BenchmarkManifest


class BenchmarkList(Frozen):
    benchmarks: list[BenchmarkManifest]
