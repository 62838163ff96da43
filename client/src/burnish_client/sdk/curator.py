"""SDK of the curator: run logs, diagnosis, review, datasets, benchmarks and evals. Synchronous."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlencode

import orjson
from pydantic import BaseModel

from burnish.errors import InvalidInputError, NotFoundError
from burnish.jsonl import check_is_jsonl, to_jsonl
from burnish.schemas.base import Listing
from burnish.schemas.benchmark import BenchmarkManifest, BenchmarkQuestion
from burnish.schemas.clustering import ClusteringManifest, ClusteringSpec, Edit
from burnish.schemas.dataset import DatasetManifest, DatasetSpec, ExportForm, LeftOut
from burnish.schemas.erasure import Erasure, ErasureRequest
from burnish.schemas.evaluation import EvalManifest
from burnish.schemas.review import (
    ReviewDecision,
    ReviewEvent,
    ReviewProgress,
    ReviewPrompt,
    ReviewState,
    SuggestionRemoval,
    SuggestionTeacher,
    TeacherAnswer,
    TeacherSuggestion,
)
from burnish.schemas.runlog import (
    Diagnosis,
    RejectedLine,
    ReviewImport,
    ReviewItem,
    RunLogImport,
    RunLogLine,
    RunLogManifest,
    SuggestionImport,
)
from burnish_client.sdk.review_files import from_csv, is_csv
from burnish_client.sdk.transport.http import HttpClient, segment

Progress = Callable[[int, int], None]  # (bytes sent, bytes in all), called during an upload
Manifest = TypeVar("Manifest", RunLogManifest, DatasetManifest, BenchmarkManifest, EvalManifest, ClusteringManifest)
CHUNK_BYTES = 1 << 20
LONG_TIMEOUT_SECONDS = 900.0  # an import or a build is answered when the work is done
JSONL = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class RunLogRows:
    """One page of a run log. total counts every row that passes the filters. line_numbers: of each row, in the imported file."""

    rows: list[RunLogLine]
    total: int
    line_numbers: list[int]


class CuratorClient(HttpClient):
    """Every call of the curator, typed. Raises the BurnishErrors that the curator raised; UnavailableError if it does not answer.

    Reads are retried a few times, writes never. Lists come newest first. A version of None means the newest.
    """

    service = "curator"
    probe_path = "/v1/runlogs"

    # run logs

    def import_run_log(
        self,
        path: Path,
        name: str,
        progress: Progress | None = None,
        grades: Sequence[str] = (),
        parent: str | None = None,
    ) -> RunLogImport:
        """Stream a JSONL file up, or a gzip of one (suffix .gz). Never has more than a chunk in memory.

        grades: what a grade that is no known word means, as `good=correct` or `n/a=ungraded`. parent: id of the run log
        that the lines were made from.
        """
        made_from = {"parent": parent} if parent else {}
        answer = self._upload("/v1/runlogs", path, name, progress, grade=list(grades), **made_from)
        return RunLogImport.model_validate_json(answer)

    def run_logs(self) -> Listing[RunLogManifest]:
        return self._list("/v1/runlogs", RunLogManifest)

    def run_log(self, run_log_id: str) -> RunLogManifest:
        return RunLogManifest.model_validate_json(self._get(f"/v1/runlogs/{segment(run_log_id)}").content)

    def find_run_log(self, reference: str | None) -> RunLogManifest:
        """The run log of this id, else the newest of this name; for None the newest of all. Raises NotFoundError."""
        for manifest in self.run_logs():
            if reference is None or reference in (manifest.id, manifest.name):
                return manifest
        if reference is None:
            raise NotFoundError("no run log yet: `burnish runs import FILE`")
        raise NotFoundError(f"no run log {reference!r}: `burnish runs ls` lists what there is")

    def remove_run_log(self, run_log_id: str) -> None:
        """Remove a run log and its corrections. Raises HeldError, which names the holders, while a dataset rests on it."""
        self._send("DELETE", f"/v1/runlogs/{segment(run_log_id)}")

    def run_log_rows(
        self,
        run_log_id: str,
        *,
        offset: int = 0,
        limit: int = 100,
        label: str | None = None,
        grade: str | None = None,
        **among: Any,
    ) -> RunLogRows:
        """among: `question` and `line` (a number in the imported file), one or a list of at most 100; `trace` and `user`."""
        params = {"offset": offset, "limit": limit, "label": label, "grade": grade} | among
        given = {name: value for name, value in params.items() if value is not None}
        body = self._get(f"/v1/runlogs/{segment(run_log_id)}/rows", given).json()
        rows = [RunLogLine.model_validate(row) for row in body["rows"]]
        return RunLogRows(rows, body["total"], body.get("line_numbers", []))

    def waiting_traces(self) -> list[dict[str, Any]]:
        """Traces that came to `/v1/traces` and are no run log yet: name, requests, size_bytes, oldest."""
        found: list[dict[str, Any]] = self._get("/v1/traces").json()["traces"]
        return found

    def cut_traces(self, name: str) -> RunLogImport:
        """Make a run log of the traces that wait under a name. Raises PreconditionError if there are none."""
        request: dict[str, Any] = {"json": {"name": name}, "timeout": LONG_TIMEOUT_SECONDS}
        return RunLogImport.model_validate_json(self._send("POST", "/v1/traces/cut", **request).content)

    def run_log_lines(self, run_log_id: str) -> Iterator[bytes]:
        """Every line as JSON, in the order of the file, as they arrive."""
        with self._stream(f"/v1/runlogs/{segment(run_log_id)}/lines") as response:
            rest = b""
            for chunk in response.iter_bytes(CHUNK_BYTES):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines

    def rejected_lines(self, run_log_id: str) -> Iterator[RejectedLine]:
        """Every refused line, as they arrive (the manifest has the first 100)."""
        with self._stream(f"/v1/runlogs/{segment(run_log_id)}/rejected") as response:
            for line in response.iter_lines():
                if line:
                    yield RejectedLine.model_validate_json(line)

    def diagnosis(self, run_log_id: str, slices: Sequence[str] = ()) -> Diagnosis:
        """slices: only the runs of these; none given: of all."""
        response = self._get(f"/v1/runlogs/{segment(run_log_id)}/diagnosis", [("slice", name) for name in slices])
        return Diagnosis.model_validate_json(response.content)

    # clusterings

    def make_clustering(self, run_log_id: str, spec: ClusteringSpec) -> ClusteringManifest:
        """Cluster the failures without a label; the clustering stands from then on. The same spec gives the same version."""
        path = f"/v1/runlogs/{segment(run_log_id)}/clusterings"
        response = self._send("POST", path, content=spec.model_dump_json(), headers=JSON, timeout=LONG_TIMEOUT_SECONDS)
        return ClusteringManifest.model_validate_json(response.content)

    def clustering_texts(self, run_log_id: str, spec: ClusteringSpec) -> list[str]:
        """The texts that another embedder has to give vectors to, for `make_embedded_clustering`."""
        path = f"/v1/runlogs/{segment(run_log_id)}/clusterings/texts"
        query = [("seed", str(spec.seed)), *(("label", label) for label in spec.labels)]
        response = self._send("GET", path, params=query, timeout=LONG_TIMEOUT_SECONDS)
        return [orjson.loads(line)["text"] for line in response.content.splitlines()]

    def make_embedded_clustering(
        self, run_log_id: str, spec: ClusteringSpec, embedder: str, vectors: Path
    ) -> ClusteringManifest:
        """As `make_clustering`, by vectors of the embedder of this name: a file of JSON lines with text and vector (base64 of float16)."""
        path = f"/v1/runlogs/{segment(run_log_id)}/clusterings/embedded"
        query = {"embedder": embedder, "seed": spec.seed, "label": spec.labels}
        request: dict[str, Any] = {"params": query, "headers": JSONL, "timeout": LONG_TIMEOUT_SECONDS}
        response = self._send("POST", path, content=_chunks(vectors, None), **request)
        return ClusteringManifest.model_validate_json(response.content)

    def clusterings(self, run_log_id: str) -> Listing[ClusteringManifest]:
        return self._list(f"/v1/runlogs/{segment(run_log_id)}/clusterings", ClusteringManifest)

    def clustering(self, run_log_id: str, version: str | None = None) -> ClusteringManifest:
        """The newest one stands: its names are the failure labels of its rows."""
        path = f"/v1/runlogs/{segment(run_log_id)}/clusterings/{segment(version or 'latest')}"
        return ClusteringManifest.model_validate_json(self._get(path).content)

    def edit_clustering(self, run_log_id: str, version: str, edit: Edit) -> ClusteringManifest:
        """Rename, merge or split, as a new version. Raises ConflictError if `version` is not the newest."""
        path = f"/v1/runlogs/{segment(run_log_id)}/clusterings/{segment(version)}/edits"
        response = self._send("POST", path, content=edit.model_dump_json(), headers=JSON, timeout=LONG_TIMEOUT_SECONDS)
        return ClusteringManifest.model_validate_json(response.content)

    def remove_clustering(self, run_log_id: str, version: str) -> None:
        """The one before it stands again. Raises HeldError while a dataset rests on it."""
        self._send("DELETE", f"/v1/runlogs/{segment(run_log_id)}/clusterings/{segment(version)}")

    # review

    def export_review(
        self,
        run_log_id: str,
        labels: Sequence[str] = (),
        slices: Sequence[str] = (),
        prefill: Literal["expected", "suggestion", "any-suggestion"] | None = None,
        states: Sequence[ReviewState] = (),
    ) -> list[ReviewItem]:
        """One item for each question with these failure labels (in these slices and states). What was decided stands in it.

        prefill: what is filled in where nothing was: the run log's expected answer, a teacher's suggestion that passed its grader, or one
        that has not failed it.
        """
        query = [*(("label", label) for label in labels), *(("slice", name) for name in slices)]
        query += [("state", state) for state in states]
        query += [("prefill", prefill)] if prefill else []
        response = self._get(f"/v1/runlogs/{segment(run_log_id)}/review", query)
        return [ReviewItem.model_validate_json(line) for line in response.content.splitlines() if line]

    def review_prompts(
        self,
        run_log_id: str,
        labels: Sequence[str] = (),
        slices: Sequence[str] = (),
        *,
        model: str | None = None,
        host: str | None = None,
        again: bool = False,
        limit: int | None = None,
    ) -> list[ReviewPrompt]:
        """What a teacher can be asked: the prompts of open items, in the order of the review queue.

        model, host: a teacher; what it has answered is left out, unless `again`. Prompts with a `problem` do not count for `limit`.
        """
        query = [*(("label", label) for label in labels), *(("slice", name) for name in slices)]
        more = {"model": model, "host": host, "again": "true" if again else None, "limit": limit}
        query += [(name, str(value)) for name, value in more.items() if value is not None]
        response = self._get(f"/v1/runlogs/{segment(run_log_id)}/review/prompts", query)
        return [ReviewPrompt.model_validate_json(line) for line in response.content.splitlines() if line]

    def suggest(
        self,
        run_log_id: str,
        answers: Iterable[TeacherAnswer],
        *,
        benchmark: str | None = None,
        grader: str | None = None,
    ) -> SuggestionImport:
        """Have a teacher's answers graded and kept as suggestions, which decide nothing.

        benchmark: name/version whose graders go first; grader: for lines without one that have an expected answer.
        """
        path = f"/v1/runlogs/{segment(run_log_id)}/review/suggestions"
        query = {name: value for name, value in (("benchmark", benchmark), ("grader", grader)) if value}
        response = self._send("POST", path, content=to_jsonl(answers), headers=JSONL, params=query)
        return SuggestionImport.model_validate_json(response.content)

    def suggestions(self, run_log_id: str, question_ids: Sequence[str] = ()) -> list[TeacherSuggestion]:
        """What teachers suggested for these questions (none: for all), those that passed first."""
        query = [("question_id", question_id) for question_id in question_ids]
        response = self._get(f"/v1/runlogs/{segment(run_log_id)}/review/suggestions", query)
        return [TeacherSuggestion.model_validate_json(line) for line in response.content.splitlines() if line]

    def suggestion_teachers(self, run_log_id: str) -> list[SuggestionTeacher]:
        """Who suggested how much, by model and host."""
        answer = self._get(f"/v1/runlogs/{segment(run_log_id)}/review/teachers").json()
        return [SuggestionTeacher.model_validate(teacher) for teacher in answer["teachers"]]

    def remove_suggestions(self, run_log_id: str, model: str, host: str | None = None) -> SuggestionRemoval:
        """Remove what this teacher suggested; host None: on all hosts. Corrections stay, and say whose their text is.

        Raises NotFoundError, which names the teachers that there are, if it suggested nothing.
        """
        path = f"/v1/runlogs/{segment(run_log_id)}/review/suggestions"
        query = {"model": model} | ({"host": host} if host is not None else {})
        return SuggestionRemoval.model_validate_json(self._send("DELETE", path, params=query).content)

    def import_review(self, run_log_id: str, items: Iterable[ReviewItem] | Path, author: str = "") -> ReviewImport:
        """Send decisions, from items or from a review file (JSONL, or CSV by its suffix); the answer names its bad lines.

        Items that have a version are refused if another than the author decided otherwise since.
        """
        if isinstance(items, Path) and is_csv(items):
            items = from_csv(items.read_bytes())
        if isinstance(items, Path):
            check_is_jsonl(items)
        body = items.read_bytes() if isinstance(items, Path) else to_jsonl(items, exclude_none=True)
        path, query = f"/v1/runlogs/{segment(run_log_id)}/review", {"author": author} if author else {}
        response = self._send("POST", path, content=body, headers=JSONL, params=query)
        return ReviewImport.model_validate_json(response.content)

    def decide(self, run_log_id: str, decision: ReviewDecision, *, second: bool = False) -> ReviewEvent:
        """Decide about one question. Raises ConflictError, which names who was there, if another event than its version stands."""
        path, query = f"/v1/runlogs/{segment(run_log_id)}/review/decisions", {"second": "true"} if second else {}
        body = decision.model_dump_json()
        return ReviewEvent.model_validate_json(
            self._send("POST", path, content=body, headers=JSON, params=query).content
        )

    def undo_review(self, run_log_id: str, author: str) -> int:
        """Take back an author's newest action; how many questions that were."""
        path = f"/v1/runlogs/{segment(run_log_id)}/review/undo"
        return int(self._send("POST", path, json={"author": author}).json()["questions"])

    def review_history(self, run_log_id: str, question_id: str | None = None) -> Iterator[ReviewEvent]:
        """Every event, newest first; of one question or of all."""
        query: dict[str, Any] = {"limit": 1000} | ({"question_id": question_id} if question_id else {})
        while True:
            page = self._get(f"/v1/runlogs/{segment(run_log_id)}/review/history", query).json()
            yield from (ReviewEvent.model_validate(event) for event in page["events"])
            if page["next_before"] is None:
                return
            query["before"] = page["next_before"]

    def review_progress(
        self, run_log_id: str, labels: Sequence[str] = (), slices: Sequence[str] = ()
    ) -> ReviewProgress:
        query = [*(("label", label) for label in labels), *(("slice", name) for name in slices)]
        response = self._get(f"/v1/runlogs/{segment(run_log_id)}/review/progress", query)
        return ReviewProgress.model_validate_json(response.content)

    def remove_review(self, run_log_id: str) -> int:
        """Remove the review of a run log with its history; how many corrections it had. Raises HeldError while a dataset was built from them."""
        return int(self._send("DELETE", f"/v1/runlogs/{segment(run_log_id)}/review").json()["removed"])

    def review_page_url(self, run_log_id: str, labels: Sequence[str] = (), slices: Sequence[str] = ()) -> str:
        """URL of the review page, for a browser: of these labels and slices; none given: of all."""
        given = urlencode({"label": labels, "slice": slices}, doseq=True)
        query = f"?{given}" if given else ""
        return f"{self.address}/review/{segment(run_log_id)}{query}"

    # datasets

    def build_dataset(self, spec: DatasetSpec) -> DatasetManifest:
        body = spec.model_dump_json()
        response = self._send("POST", "/v1/datasets", content=body, headers=JSON, timeout=LONG_TIMEOUT_SECONDS)
        return DatasetManifest.model_validate_json(response.content)

    def datasets(self, name: str | None = None) -> Listing[DatasetManifest]:
        return self._list("/v1/datasets", DatasetManifest, name)

    def dataset(self, name: str, version: str | None = None) -> DatasetManifest:
        path = f"/v1/datasets/{segment(name)}/{segment(version or 'latest')}"
        return DatasetManifest.model_validate_json(self._get(path).content)

    def export_folder(self, name: str, version: str, folder: Path) -> list[Path]:
        """Write a version as a folder that `datasets.load_dataset(folder)` and Croissant's readers open; its files.

        Raises InvalidInputError if something is at that path already.
        """
        if folder.exists():
            raise InvalidInputError(f"{folder} is there already: give a new folder", file=folder)
        path = f"/v1/datasets/{segment(name)}/{segment(version)}/folder"
        with self._stream(path, {}) as response:
            content = b"".join(response.iter_bytes(CHUNK_BYTES))
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as work, zipfile.ZipFile(io.BytesIO(content)) as archive:
            archive.extractall(Path(work) / "whole")
            (Path(work) / "whole").rename(folder)
        return sorted(file for file in folder.rglob("*") if file.is_file())

    def left_out(self, name: str, version: str | None = None) -> list[LeftOut]:
        """What the gates left out of a version's rows, masked or doubted, question by question. Raises NotFoundError for versions of before."""
        content = self._get(f"/v1/datasets/{segment(name)}/{segment(version or 'latest')}/left-out").content
        return [LeftOut.model_validate_json(line) for line in content.splitlines() if line]

    def remove_dataset(self, name: str, version: str) -> None:
        """Remove a version. Raises HeldError while an adapter or an eval rests on it.

        A job of the trainer that has not ended does not hold it, and fails: ask `TrainerClient.check_unused` first.
        """
        self._send("DELETE", f"/v1/datasets/{segment(name)}/{segment(version)}")

    def export_dataset(
        self, name: str, version: str, form: ExportForm, split: Literal["train", "validation"] = "train"
    ) -> Iterator[bytes]:
        """The JSONL of a split in an export format, in chunks as they arrive."""
        path = f"/v1/datasets/{segment(name)}/{segment(version)}/export"
        with self._stream(path, {"form": form, "split": split}) as response:
            yield from response.iter_bytes(CHUNK_BYTES)

    # benchmarks

    def import_benchmark(
        self, source: Path | Iterable[BenchmarkQuestion], name: str, progress: Progress | None = None
    ) -> BenchmarkManifest:
        """Send questions, from a JSONL file or from memory."""
        return BenchmarkManifest.model_validate_json(self._upload("/v1/benchmarks", source, name, progress))

    def benchmarks(self) -> Listing[BenchmarkManifest]:
        return self._list("/v1/benchmarks", BenchmarkManifest)

    def benchmark(self, name: str, version: str | None = None) -> BenchmarkManifest:
        if version:
            path = f"/v1/benchmarks/{segment(name)}/{segment(version)}"
            return BenchmarkManifest.model_validate_json(self._get(path).content)
        newest = next((manifest for manifest in self.benchmarks() if manifest.name == name), None)
        if newest is None:
            raise NotFoundError(f"no benchmark named {name!r}: `burnish benchmark ls` lists what there is", name=name)
        return newest

    def remove_benchmark(self, name: str, version: str) -> None:
        """Remove a version. Raises HeldError while a dataset or an eval rests on it."""
        self._send("DELETE", f"/v1/benchmarks/{segment(name)}/{segment(version)}")

    def benchmark_questions(self, name: str, version: str | None = None) -> list[BenchmarkQuestion]:
        version = version or self.benchmark(name).version
        response = self._get(f"/v1/benchmarks/{segment(name)}/{segment(version)}/questions")
        return [BenchmarkQuestion.model_validate_json(line) for line in response.content.splitlines() if line]

    # evals

    def put_eval_file(self, eval_id: str, file: str, content: bytes | Path) -> None:
        """Store one file of an eval. `create_eval`, called last, makes the eval exist."""
        body = content.read_bytes() if isinstance(content, Path) else content
        headers = {"Content-Type": "application/octet-stream"}
        self._send("PUT", f"/v1/evals/{segment(eval_id)}/{segment(file)}", content=body, headers=headers)

    def create_eval(self, manifest: EvalManifest) -> EvalManifest:
        response = self._send("POST", "/v1/evals", content=manifest.model_dump_json(), headers=JSON)
        return EvalManifest.model_validate_json(response.content)

    def evals(self) -> Listing[EvalManifest]:
        return self._list("/v1/evals", EvalManifest)

    def eval(self, eval_id: str) -> EvalManifest:
        return EvalManifest.model_validate_json(self._get(f"/v1/evals/{segment(eval_id)}").content)

    def remove_eval(self, eval_id: str) -> None:
        """Remove an eval and its files. Raises HeldError while an alias rests on it."""
        self._send("DELETE", f"/v1/evals/{segment(eval_id)}")

    def eval_file(self, eval_id: str, file: str) -> bytes:
        return self._get(f"/v1/evals/{segment(eval_id)}/{segment(file)}").content

    # erasures

    def erase(self, *, user: str | None = None, lines: Sequence[str] = (), preview: bool = False) -> Erasure:
        """Erase every line of a user, or these lines (`LOG:NUMBER`, `LOG:question=ID`, `LOG:trace=ID`), everywhere. There is no undoing.

        preview: erase nothing, and say what would be. state `nothing`: no such line is stored. Raises NotFoundError for a
        line that there is not. It is answered when all is done; if the connection breaks, the curator goes on.
        """
        wanted = ErasureRequest(user=user, lines=list(lines), preview=preview)
        request: dict[str, Any] = {
            "content": wanted.model_dump_json(),
            "headers": JSON,
            "timeout": LONG_TIMEOUT_SECONDS,
        }
        return Erasure.model_validate_json(self._send("POST", "/v1/erasures", **request).content)

    def erasures(self) -> Listing[Erasure]:
        """Newest first."""
        return self._pages("/v1/erasures", "erasures", Erasure)

    def erasure(self, erasure_id: str) -> Erasure:
        return Erasure.model_validate_json(self._get(f"/v1/erasures/{segment(erasure_id)}").content)

    def _list(self, path: str, kind: type[Manifest], name: str | None = None) -> Listing[Manifest]:
        """Newest first. The answer has them under the path's last segment; name asks for those of one name."""
        found = self._pages(f"{path}/{segment(name)}" if name else path, path.rpartition("/")[2], kind)
        return Listing(sorted(found, key=lambda manifest: manifest.created_at, reverse=True), found.broken)

    def _upload(
        self, path: str, source: Path | Iterable[BaseModel], name: str, progress: Progress | None, **params: Any
    ) -> bytes:
        request: dict[str, Any] = {"params": {"name": name} | params, "headers": JSONL, "timeout": LONG_TIMEOUT_SECONDS}
        if not isinstance(source, Path):
            return self._send("POST", path, content=to_jsonl(source, exclude_none=True), **request).content
        if not source.is_file():
            raise InvalidInputError(f"{source}: no such file", file=source)
        check_is_jsonl(source)
        if source.suffix == ".gz":
            request["headers"] = JSONL | {"Content-Encoding": "gzip"}
        return self._send("POST", path, content=_chunks(source, progress), **request).content


def _chunks(path: Path, progress: Progress | None) -> Iterator[bytes]:
    total, sent = path.stat().st_size, 0
    with path.open("rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            yield chunk
            sent += len(chunk)
            if progress:
                progress(sent, total)
