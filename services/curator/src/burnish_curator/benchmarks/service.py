"""Imports and finds benchmarks."""

from __future__ import annotations

from collections.abc import Iterator

from burnish import layout
from burnish.curation.benchmarks import build_benchmark
from burnish.schemas.benchmark import BenchmarkManifest
from burnish_curator.benchmarks.repository import BenchmarkRepository


class BenchmarkService:
    def __init__(self, repository: BenchmarkRepository) -> None:
        self._repository = repository

    def import_benchmark(self, name: str, chunks: Iterator[bytes]) -> BenchmarkManifest:
        layout.check_name(name, "name")
        return self._repository.save(build_benchmark(chunks, name))

    def manifests(self) -> list[BenchmarkManifest]:
        return self._repository.manifests()

    def manifest(self, name: str, version: str) -> BenchmarkManifest:
        return self._repository.manifest(name, version)

    def questions_jsonl(self, name: str, version: str) -> bytes:
        return self._repository.questions_jsonl(name, version)
