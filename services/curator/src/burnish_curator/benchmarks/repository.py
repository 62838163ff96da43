"""Benchmarks in the object store."""

from __future__ import annotations

from pathlib import Path

from burnish import layout
from burnish.curation.benchmarks.building import QUESTIONS, BuiltBenchmark
from burnish.digests import version_of
from burnish.objectstores.verified import require_version
from burnish.ports import ObjectStore
from burnish.schemas.benchmark import BenchmarkManifest, BenchmarkQuestion
from burnish_curator.manifests import Versions


class BenchmarkRepository(Versions[BenchmarkManifest]):
    def __init__(self, store: ObjectStore, cache_dir: Path | None = None) -> None:
        hint = "GET /v1/benchmarks lists them"
        super().__init__(store, BenchmarkManifest, layout.benchmark, "benchmark", hint, "benchmarks/", cache_dir)

    def save(self, built: BuiltBenchmark) -> BenchmarkManifest:
        """Questions first, manifest last. The same questions under the same name are the version that exists already."""
        name, version = built.manifest.name, built.manifest.version
        with self.changing(name, version):
            self._store.put(layout.benchmark(name, version, QUESTIONS), built.questions)
            return self.create(built.manifest, name, version)

    def questions_jsonl(self, name: str, version: str) -> bytes:
        manifest = self.find(name, version)
        questions = self.file(manifest.files[0], name, manifest.version)
        require_version(f"benchmark {name}@{manifest.version}", manifest.version, version_of(questions))
        return questions

    def questions(self, name: str, version: str) -> list[BenchmarkQuestion]:
        lines = self.questions_jsonl(name, version).splitlines()
        return [BenchmarkQuestion.model_validate_json(line) for line in lines]
