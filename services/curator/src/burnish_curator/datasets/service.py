"""Builds dataset versions from run logs, corrections and benchmarks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from burnish import layout
from burnish.curation.build import Guard, build_dataset
from burnish.curation.distillation.taken import Suggestions
from burnish.curation.lengths import Lengths
from burnish.curation.output.sealing import BuiltDataset
from burnish.curation.review.items import Correction, choose_labels
from burnish.diagnosis import check_slices
from burnish.errors import BurnishError, InvalidInputError
from burnish.schemas.dataset import DatasetManifest, DatasetSpec
from burnish_curator.benchmarks.repository import BenchmarkRepository
from burnish_curator.datasets.repository import DatasetRepository
from burnish_curator.manifests import LATEST
from burnish_curator.metrics import BuildResult, CuratorMetrics
from burnish_curator.reviews.repository import CorrectionRepository
from burnish_curator.reviews.suggestions.repository import SuggestionRepository
from burnish_curator.runlogs.repository import RunLogRepository


class DatasetService:
    def __init__(
        self,
        datasets: DatasetRepository,
        run_logs: RunLogRepository,
        corrections: CorrectionRepository,
        suggestions: SuggestionRepository,
        benchmarks: BenchmarkRepository,
        lengths: Lengths,
        metrics: CuratorMetrics,
    ) -> None:
        self._datasets = datasets
        self._run_logs = run_logs
        self._corrections = corrections
        self._suggestions = suggestions
        self._benchmarks = benchmarks
        self._lengths = lengths
        self._metrics = metrics

    def build(self, spec: DatasetSpec) -> DatasetManifest:
        """The same spec and corrections give the same version, which is then returned as it is."""
        started = time.perf_counter()
        result: BuildResult = "new"
        try:
            built = self._build(spec)
            known = self._datasets.get(spec.name, built.manifest.version)
            result = "known" if known else "new"
            return known or self._datasets.save(self._with_effort(built))
        except BurnishError:
            result = "refused"
            raise
        finally:
            self._metrics.built(spec.format, result, time.perf_counter() - started)

    def _build(self, spec: DatasetSpec) -> BuiltDataset:
        layout.check_name(spec.name, "name")
        spec = self._pinned(spec)
        log = self._run_logs.open(spec.run_log_id, spec.clustering)
        choose_labels(log.diagnosis, spec.labels)
        check_slices(log.codes, spec.slices)
        corrections = self._corrections.current(spec.run_log_id)
        suggestions = self._undecided(spec, self._suggestions.of(spec.run_log_id, withdrawn=True), corrections)
        judgements = self._corrections.judgements(spec.run_log_id)
        guard = self._guard(spec)
        return build_dataset(spec, log.reader, log.codes, corrections, self._lengths, guard, suggestions, judgements)

    def _undecided(
        self, spec: DatasetSpec, suggestions: Suggestions, corrections: Mapping[str, Correction]
    ) -> Suggestions:
        """Without those of questions that a person has set aside."""
        standing = self._corrections.standing(spec.run_log_id, suggestions)
        set_aside = {q for q, event in standing.items() if event.state != "open" and q not in corrections}
        return {question_id: given for question_id, given in suggestions.items() if question_id not in set_aside}

    def _pinned(self, spec: DatasetSpec) -> DatasetSpec:
        """With the version of the clustering that its labels are of, if they are of one."""
        if spec.clustering is not None:
            return spec
        standing = self._run_logs.clustering(spec.run_log_id)
        if standing is None or not (standing.spec.labels or {c.name for c in standing.clusters} & set(spec.labels)):
            return spec
        return spec.model_copy(update={"clustering": standing.version})

    def _with_effort(self, built: BuiltDataset) -> BuiltDataset:
        """With what people spent on the questions whose corrections are in its rows."""
        split = built.manifest.split
        effort = self._corrections.effort(built.manifest.spec.run_log_id, [*split.train, *split.validation])
        manifest = built.manifest.model_copy(update={"review": effort if effort.items else None})
        return replace(built, manifest=manifest)

    def _guard(self, spec: DatasetSpec) -> Guard:
        if spec.benchmark is None:
            return Guard()
        name, slash, version = spec.benchmark.partition("/")
        if not (name and slash and version) or version == LATEST:
            raise InvalidInputError(
                f"benchmark {spec.benchmark!r}: give name/version, so that the same spec is guarded by the same questions",
                field="benchmark",
            )
        return Guard(self._benchmarks.questions(name, version))
