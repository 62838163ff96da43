"""The whole comparison: benchmark, dataset manifest and endpoints in; a folder with rows, verdict, report and postmortem out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from burnish.digests import canonical_json, file_sha256, version_of
from burnish.errors import InvalidInputError
from burnish.reporting import ReportMeta, postmortem_md, report_html
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import FileEntry, Parent
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.evaluation import EvalManifest, EvalRow, Verdict
from burnish.schemas.runlog import FailureCluster, RunLogLine
from burnish.verdict import Thresholds, decide
from burnish_client.evaluation.asking import ProgressCallback, Side, ask_sides
from burnish_client.evaluation.chat import Endpoint, Sampling
from burnish_client.evaluation.rows import check_questions, eval_rows
from burnish_client.evaluation.run_log import reuse_run_log

logger = logging.getLogger(__name__)

FILES = ("base.jsonl", "candidate.jsonl", "verdict.json", "report.html", "postmortem.md")


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` made. folder holds FILES; the manifest names them and is what the curator wants at the end."""

    verdict: Verdict
    manifest: EvalManifest
    folder: Path
    base_rows: list[EvalRow]
    candidate_rows: list[EvalRow]
    reused_base_answers: int


async def evaluate(
    questions: Sequence[BenchmarkQuestion],
    dataset: DatasetManifest,
    endpoint: Endpoint,
    *,
    base_model: str,
    candidate_model: str,
    out: Path,
    benchmark: str,
    base_endpoint: Endpoint | None = None,
    base_run_log: Sequence[RunLogLine] = (),
    adapter: AdapterManifest | None = None,
    clusters: Sequence[FailureCluster] = (),
    base_samples: int = 2,
    candidate_samples: int = 1,
    sampling: Sampling | None = None,
    concurrency: int = 16,
    thresholds: Thresholds | None = None,
    reproduce: Sequence[str] = (),
    progress: ProgressCallback | None = None,
) -> Evaluation:
    """Compare candidate_model with base_model on a benchmark and write FILES into `out`.

    benchmark: `name/version`, for the record. endpoint serves the candidate, and the base too unless base_endpoint is
    given. base_run_log: base answers found there (same model, prompt and sampling, see `reuse_run_log`) are reused, not
    asked again. Two base samples measure the noise floor. Answers are logged in `out`/answers-*.jsonl as they come: the
    same call after a kill asks only what is missing. The eval's id is the digest of its rows
    and of what was compared on what.

    Raises InvalidInputError for a benchmark whose graders do not work on their own expected answers, or which has none
    of the dataset's held-out questions, before anything is asked; and what `ask_sides` and `decide` raise.
    """
    sampling = sampling or Sampling()
    check_questions(questions)
    _check_held_out(questions, dataset)
    known = reuse_run_log(base_run_log, questions, base_model, sampling, base_samples)
    sides = [
        Side(base_endpoint or endpoint, base_model, out / "answers-base.jsonl", base_samples, known),
        Side(endpoint, candidate_model, out / "answers-candidate.jsonl", candidate_samples),
    ]
    answers = await ask_sides(sides, questions, sampling=sampling, concurrency=concurrency, progress=progress)
    base_rows, candidate_rows = (eval_rows(questions, side, dataset.split) for side in answers)
    verdict = decide(base_rows, candidate_rows, thresholds=thresholds)
    row_files = [_jsonl(rows) for rows in (base_rows, candidate_rows)]
    meta = ReportMeta(
        eval_id=version_of(*row_files, canonical_json([base_model, candidate_model, benchmark, dataset.version])),
        base_model=base_model,
        candidate_model=candidate_model,
        benchmark=benchmark,
        questions=list(questions),
        dataset=dataset,
        adapter=adapter,
        clusters=list(clusters),
        sampling=sampling.body(0),
        reused_base_answers=len(known),
        reproduce=list(reproduce),
    )
    texts = [
        verdict.model_dump_json(indent=2).encode() + b"\n",
        report_html(verdict, base_rows, candidate_rows, meta).encode(),
        _postmortem(out / "postmortem.md", verdict, base_rows, candidate_rows, meta).encode(errors="surrogateescape"),
    ]
    for name, content in zip(FILES, [*row_files, *texts], strict=True):
        (out / name).write_bytes(content)
    return Evaluation(verdict, _manifest(meta, verdict, out), out, base_rows, candidate_rows, len(known))


def _postmortem(
    path: Path, verdict: Verdict, base_rows: Sequence[EvalRow], candidate_rows: Sequence[EvalRow], meta: ReportMeta
) -> str:
    """The postmortem, with the words that a person wrote into the one at `path`.

    Where those cannot be told from the rest of it, the file is kept beside, as postmortem.kept-<n>.md, and a warning says so.
    """
    previous = path.read_bytes().decode(errors="surrogateescape") if path.exists() else None
    try:
        return postmortem_md(verdict, base_rows, candidate_rows, meta, previous=previous)
    except InvalidInputError as error:
        kept = next(k for n in count(1) if not (k := path.with_name(f"postmortem.kept-{n}.md")).exists())
        path.rename(kept)
        logger.warning("%s; it stands as it was in %s", error, kept)
        return postmortem_md(verdict, base_rows, candidate_rows, meta)


def _check_held_out(questions: Sequence[BenchmarkQuestion], dataset: DatasetManifest) -> None:
    if not {question.question_id for question in questions} & set(dataset.split.held_out):
        raise InvalidInputError(
            f"the benchmark has none of the {len(dataset.split.held_out)} held-out targeted questions of dataset "
            f"{dataset.name}@{dataset.version}: nothing could show whether it improved",
            field="benchmark",
        )


def _jsonl(rows: Sequence[EvalRow]) -> bytes:
    return b"".join(row.model_dump_json().encode() + b"\n" for row in rows)


def _manifest(meta: ReportMeta, verdict: Verdict, folder: Path) -> EvalManifest:
    name, _, version = meta.benchmark.partition("/")
    dataset, adapter = meta.dataset, meta.adapter
    parents = [Parent(kind="benchmark", name=name, digest=version)]
    if dataset:
        parents.append(Parent(kind="dataset", name=dataset.name, digest=dataset.version))
    if adapter:
        parents.append(Parent(kind="adapter", name=adapter.name, digest=adapter.version))
        parents.append(Parent(kind="base_model", name=adapter.base_model.name, digest=adapter.base_model.digest))
    files = [FileEntry(path=f, size_bytes=(folder / f).stat().st_size, sha256=file_sha256(folder / f)) for f in FILES]
    return EvalManifest(
        id=meta.eval_id,
        base_model=meta.base_model,
        candidate_model=meta.candidate_model,
        benchmark=meta.benchmark,
        dataset=f"{dataset.name}/{dataset.version}" if dataset else None,
        verdict=verdict.verdict,
        parents=parents,
        files=files,
    )
