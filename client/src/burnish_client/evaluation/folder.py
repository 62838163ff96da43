"""The eval's folder: rows of every side, verdict, report, postmortem, and the manifest that names them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

from burnish.digests import canonical_json, file_sha256, version_of
from burnish.errors import InvalidInputError
from burnish.reporting import ReportMeta, postmortem_md, report_html
from burnish.schemas.base import FileEntry, Parent
from burnish.schemas.evaluation import ArmRecord, EvalManifest, EvalRow, Verdict

logger = logging.getLogger(__name__)

BASE, CANDIDATE, VERDICT, REPORT, POSTMORTEM, COSTS = FILES = (
    "base.jsonl",
    "candidate.jsonl",
    "verdict.json",
    "report.html",
    "postmortem.md",
    "costs.json",
)
FORGETTING = "forgetting.json"


def eval_id(rows: Mapping[str, Sequence[EvalRow]], compared: Sequence[str]) -> str:
    """Digest of the rows of all sides, in order, and of what was compared on what."""
    return version_of(*map(jsonl, rows.values()), canonical_json(list(compared)))


def write(
    folder: Path, verdict: Verdict, rows: Mapping[str, Sequence[EvalRow]], meta: ReportMeta, arms: Sequence[ArmRecord]
) -> EvalManifest:
    """Write every file, each in one step, and return the manifest that names them.

    rows: file name -> rows, BASE and CANDIDATE among them. A human's words in an earlier postmortem are kept.
    """
    base, candidate = rows[BASE], rows[CANDIDATE]
    files = {name: jsonl(side) for name, side in rows.items()}
    files[VERDICT] = verdict.model_dump_json(indent=2).encode() + b"\n"
    files[REPORT] = report_html(verdict, base, candidate, meta).encode(errors="surrogateescape")
    files[POSTMORTEM] = _postmortem(folder / POSTMORTEM, verdict, base, candidate, meta).encode(
        errors="surrogateescape"
    )
    if meta.forgetting:
        files[FORGETTING] = meta.forgetting.model_dump_json(indent=2).encode() + b"\n"
    files[COSTS] = canonical_json([cost.model_dump() for cost in meta.costs]) + b"\n"
    for name, content in files.items():
        _replace(folder / name, content)
    return _manifest(folder, meta, verdict, arms, list(files))


def jsonl(rows: Sequence[EvalRow]) -> bytes:
    return b"".join(row.model_dump_json().encode() + b"\n" for row in rows)


def _replace(path: Path, content: bytes) -> None:
    """A reader sees the old file or the new one, never half of it."""
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(content)
    beside.replace(path)


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


def _manifest(
    folder: Path, meta: ReportMeta, verdict: Verdict, arms: Sequence[ArmRecord], names: Sequence[str]
) -> EvalManifest:
    name, _, version = meta.benchmark.partition("/")
    dataset, adapter = meta.dataset, meta.adapter
    parents = [Parent(kind="benchmark", name=name, digest=version)]
    if dataset:
        parents.append(Parent(kind="dataset", name=dataset.name, digest=dataset.version))
    if adapter:
        parents.append(Parent(kind="adapter", name=adapter.name, digest=adapter.version))
        parents.append(Parent(kind="base_model", name=adapter.base_model.name, digest=adapter.base_model.digest))
    return EvalManifest(
        id=meta.eval_id,
        base_model=meta.base_model,
        candidate_model=meta.candidate_model,
        benchmark=meta.benchmark,
        dataset=f"{dataset.name}/{dataset.version}" if dataset else None,
        verdict=verdict.verdict,
        arms=list(arms),
        parents=parents,
        files=[
            FileEntry(path=f, size_bytes=(folder / f).stat().st_size, sha256=file_sha256(folder / f)) for f in names
        ],
    )
