"""Benchmarks in the object store."""

from __future__ import annotations

from burnish import layout
from burnish.curation.benchmarks import QUESTIONS, BuiltBenchmark
from burnish.errors import NotFoundError
from burnish.ports import ObjectStore
from burnish.schemas.benchmark import BenchmarkManifest, BenchmarkQuestion
from burnish_curator.manifests import Manifests, read_file

LATEST = "latest"


class BenchmarkRepository:
    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._manifests = Manifests(store, BenchmarkManifest)

    def save(self, built: BuiltBenchmark) -> BenchmarkManifest:
        """Questions first, manifest last; the same questions under the same name are the version that stands."""
        name, version = built.manifest.name, built.manifest.version
        self._store.put(layout.benchmark(name, version, QUESTIONS), built.questions)
        return self._manifests.create(layout.benchmark(name, version), built.manifest)

    def manifests(self, name: str | None = None) -> list[BenchmarkManifest]:
        """Newest first; of one name or of all."""
        names = [name] if name is not None else list(self._store.list_folders("benchmarks/"))
        return self._manifests.read_all(
            layout.benchmark(each, version)
            for each in names
            for version in self._store.list_folders(f"benchmarks/{each}/")
        )

    def manifest(self, name: str, version: str) -> BenchmarkManifest:
        """`latest` is the newest version. NotFoundError."""
        missing = f"no benchmark {name}/{version}: GET /v1/benchmarks lists them"
        if version != LATEST:
            return self._manifests.read(layout.benchmark(name, version), lambda: missing)
        for manifest in self.manifests(name):
            return manifest
        raise NotFoundError(missing)

    def questions_jsonl(self, name: str, version: str) -> bytes:
        manifest = self.manifest(name, version)
        return read_file(self._store, layout.benchmark(name, manifest.version), manifest.files[0])

    def questions(self, name: str, version: str) -> list[BenchmarkQuestion]:
        lines = self.questions_jsonl(name, version).splitlines()
        return [BenchmarkQuestion.model_validate_json(line) for line in lines]
