"""SDK of the curator: run logs, diagnosis, review, datasets, benchmarks and evals. Synchronous."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote, urlencode

from burnish.errors import InvalidInputError, NotFoundError
from burnish.schemas.benchmark import BenchmarkManifest, BenchmarkQuestion
from burnish.schemas.dataset import DatasetManifest, DatasetSpec, ExportForm
from burnish.schemas.evaluation import EvalManifest
from burnish.schemas.runlog import (
    Diagnosis,
    RejectedLine,
    ReviewImport,
    ReviewItem,
    RunLogImport,
    RunLogLine,
    RunLogManifest,
)
from burnish_client.config.endpoints import ClientSettings
from burnish_client.sdk.http import HttpDoor

Progress = Callable[[int, int], None]  # (bytes sent, bytes in all), called as an upload goes on
CHUNK_BYTES = 1 << 20
LONG_TIMEOUT_SECONDS = 900.0  # the answer to an import or a build comes when the work is done
JSONL = "application/x-ndjson"


@dataclass(frozen=True)
class RunLogRows:
    """One page of a run log; total counts every row that the filters let through."""

    rows: list[RunLogLine]
    total: int


class CuratorClient(HttpDoor):
    """Every call of the curator, typed. Raises the BurnishErrors that the curator raised; UnavailableError where it does not answer.

    Reads are retried a few times, writes never. Versions: None means the newest.
    """

    part = "curator"
    question = "/v1/runlogs"

    @classmethod
    def from_settings(cls, settings: ClientSettings | None = None) -> Self:
        settings = settings or ClientSettings()
        return cls(settings.endpoint("curator"), settings.secret_token(), ca=settings.ca)

    # run logs

    def import_run_log(self, path: Path, name: str, progress: Progress | None = None) -> RunLogImport:
        """Stream a JSONL file (or a gzip of one, by its suffix .gz) up; never more than a chunk in memory."""
        response = self._upload("/v1/runlogs", path, name, progress)
        return RunLogImport.model_validate_json(response)

    def run_logs(self) -> list[RunLogManifest]:
        """Newest first."""
        found = [RunLogManifest.model_validate(item) for item in self._get("/v1/runlogs").json()["runlogs"]]
        return sorted(found, key=lambda manifest: manifest.created_at, reverse=True)

    def run_log(self, run_log_id: str) -> RunLogManifest:
        return RunLogManifest.model_validate_json(self._get(f"/v1/runlogs/{_part(run_log_id)}").content)

    def run_log_rows(
        self, run_log_id: str, *, offset: int = 0, limit: int = 100, label: str | None = None, grade: str | None = None
    ) -> RunLogRows:
        params = _given(offset=offset, limit=limit, label=label, grade=grade)
        body = self._get(f"/v1/runlogs/{_part(run_log_id)}/rows", params).json()
        return RunLogRows([RunLogLine.model_validate(row) for row in body["rows"]], body["total"])

    def rejected_lines(self, run_log_id: str) -> Iterator[RejectedLine]:
        """Every refused line, as they come (the manifest has the first 100)."""
        with self._stream(f"/v1/runlogs/{_part(run_log_id)}/rejected") as response:
            for line in response.iter_lines():
                if line:
                    yield RejectedLine.model_validate_json(line)

    def diagnosis(self, run_log_id: str) -> Diagnosis:
        return Diagnosis.model_validate_json(self._get(f"/v1/runlogs/{_part(run_log_id)}/diagnosis").content)

    # review

    def export_review(self, run_log_id: str, labels: Sequence[str] = ()) -> list[ReviewItem]:
        """One item a question of these failure labels; corrections that were imported before are filled in."""
        response = self._get(f"/v1/runlogs/{_part(run_log_id)}/review", [("label", label) for label in labels])
        return [ReviewItem.model_validate_json(line) for line in response.content.splitlines() if line]

    def import_review(self, run_log_id: str, items: Iterable[ReviewItem] | Path) -> ReviewImport:
        """Corrections in, from items or straight from a review file (the answer then names its bad lines)."""
        body = (
            items.read_bytes()
            if isinstance(items, Path)
            else b"".join(item.model_dump_json().encode() + b"\n" for item in items)
        )
        path = f"/v1/runlogs/{_part(run_log_id)}/review"
        return ReviewImport.model_validate_json(
            self._send("POST", path, content=body, headers={"Content-Type": JSONL}).content
        )

    def review_page_url(self, run_log_id: str, label: str | None = None) -> str:
        """Address of the review page for a browser."""
        query = f"?{urlencode({'label': label})}" if label else ""
        return f"{self.url}/review/{_part(run_log_id)}{query}"

    # datasets

    def build_dataset(self, spec: DatasetSpec) -> DatasetManifest:
        response = self._send(
            "POST",
            "/v1/datasets",
            content=spec.model_dump_json(),
            headers={"Content-Type": "application/json"},
            timeout=LONG_TIMEOUT_SECONDS,
        )
        return DatasetManifest.model_validate_json(response.content)

    def datasets(self, name: str | None = None) -> list[DatasetManifest]:
        """Newest first; of one name where given."""
        path = f"/v1/datasets/{_part(name)}" if name else "/v1/datasets"
        found = [DatasetManifest.model_validate(item) for item in self._get(path).json()["datasets"]]
        return sorted(found, key=lambda manifest: manifest.created_at, reverse=True)

    def dataset(self, name: str, version: str | None = None) -> DatasetManifest:
        return DatasetManifest.model_validate_json(
            self._get(f"/v1/datasets/{_part(name)}/{_part(version or 'latest')}").content
        )

    def export_dataset(
        self, name: str, version: str, form: ExportForm, split: Literal["train", "validation"] = "train"
    ) -> Iterator[bytes]:
        """The JSONL of a split in an export form, in pieces as they come."""
        with self._stream(
            f"/v1/datasets/{_part(name)}/{_part(version)}/export", {"form": form, "split": split}
        ) as response:
            yield from response.iter_bytes(CHUNK_BYTES)

    # benchmarks

    def import_benchmark(
        self, source: Path | Iterable[BenchmarkQuestion], name: str, progress: Progress | None = None
    ) -> BenchmarkManifest:
        """Questions in, from a JSONL file or from memory."""
        if isinstance(source, Path):
            return BenchmarkManifest.model_validate_json(self._upload("/v1/benchmarks", source, name, progress))
        body = b"".join(question.model_dump_json(exclude_none=True).encode() + b"\n" for question in source)
        response = self._send(
            "POST",
            "/v1/benchmarks",
            params={"name": name},
            content=body,
            headers={"Content-Type": JSONL},
            timeout=LONG_TIMEOUT_SECONDS,
        )
        return BenchmarkManifest.model_validate_json(response.content)

    def benchmarks(self) -> list[BenchmarkManifest]:
        """Newest first."""
        found = [BenchmarkManifest.model_validate(item) for item in self._get("/v1/benchmarks").json()["benchmarks"]]
        return sorted(found, key=lambda manifest: manifest.created_at, reverse=True)

    def benchmark(self, name: str, version: str | None = None) -> BenchmarkManifest:
        if version:
            return BenchmarkManifest.model_validate_json(
                self._get(f"/v1/benchmarks/{_part(name)}/{_part(version)}").content
            )
        newest = next((manifest for manifest in self.benchmarks() if manifest.name == name), None)
        if newest is None:
            raise NotFoundError(f"no benchmark named {name!r}: `burnish benchmark ls` lists what there is", name=name)
        return newest

    def benchmark_questions(self, name: str, version: str | None = None) -> list[BenchmarkQuestion]:
        version = version or self.benchmark(name).version
        response = self._get(f"/v1/benchmarks/{_part(name)}/{_part(version)}/questions")
        return [BenchmarkQuestion.model_validate_json(line) for line in response.content.splitlines() if line]

    # evals

    def put_eval_file(self, eval_id: str, file: str, content: bytes | Path) -> None:
        """One file of an eval; the manifest, written last by `create_eval`, makes the eval exist."""
        body = content.read_bytes() if isinstance(content, Path) else content
        self._send(
            "PUT",
            f"/v1/evals/{_part(eval_id)}/{_part(file)}",
            content=body,
            headers={"Content-Type": "application/octet-stream"},
        )

    def create_eval(self, manifest: EvalManifest) -> EvalManifest:
        response = self._send(
            "POST", "/v1/evals", content=manifest.model_dump_json(), headers={"Content-Type": "application/json"}
        )
        return EvalManifest.model_validate_json(response.content)

    def evals(self) -> list[EvalManifest]:
        """Newest first."""
        found = [EvalManifest.model_validate(item) for item in self._get("/v1/evals").json()["evals"]]
        return sorted(found, key=lambda manifest: manifest.created_at, reverse=True)

    def eval(self, eval_id: str) -> EvalManifest:
        return EvalManifest.model_validate_json(self._get(f"/v1/evals/{_part(eval_id)}").content)

    def eval_file(self, eval_id: str, file: str) -> bytes:
        return self._get(f"/v1/evals/{_part(eval_id)}/{_part(file)}").content

    def _upload(self, route: str, path: Path, name: str, progress: Progress | None) -> bytes:
        if not path.is_file():
            raise InvalidInputError(f"{path}: no such file", file=path)
        headers = {"Content-Type": JSONL}
        if path.suffix == ".gz":
            headers["Content-Encoding"] = "gzip"
        response = self._send(
            "POST",
            route,
            params={"name": name},
            content=_chunks(path, progress),
            headers=headers,
            timeout=LONG_TIMEOUT_SECONDS,
        )
        return response.content


def _chunks(path: Path, progress: Progress | None) -> Iterator[bytes]:
    total, sent = path.stat().st_size, 0
    with path.open("rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            yield chunk
            sent += len(chunk)
            if progress:
                progress(sent, total)


def _part(value: str) -> str:
    """A value as one path part: '/' and '..' in it cannot reach another route."""
    if not value or value in (".", ".."):
        raise InvalidInputError(f"{value!r} is not a name or id")
    return quote(value, safe="")


def _given(**params: object) -> dict[str, str]:
    return {key: str(value) for key, value in params.items() if value is not None}
