"""What an eval leaves behind: its folder, what it cost, and its copy in the curator.

The folder has the request, the rows of every side, verdict, report and postmortem; the manifest names them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from burnish.digests import canonical_json, file_sha256, version_of
from burnish.errors import AlreadyExistsError, InvalidInputError
from burnish.files import write_atomically
from burnish.jsonl import to_jsonl
from burnish.registry.remote_models import base_parent
from burnish.reporting.meta import ReportMeta
from burnish.reporting.page import report_html
from burnish.reporting.postmortem import postmortem_md
from burnish.schemas.base import FileEntry, Parent
from burnish.schemas.evaluation import BaselineRecord, Cost, EvalManifest, EvalRow, Verdict
from burnish_client.evaluation.asking.answers import Answer
from burnish_client.evaluation.request import EvalRequest, Prices

if TYPE_CHECKING:
    from burnish_client.sdk.curator import CuratorClient

logger = logging.getLogger(__name__)

BASE, CANDIDATE, VERDICT, REPORT, POSTMORTEM, COSTS, REQUEST = FILES = (
    "base.jsonl",
    "candidate.jsonl",
    "verdict.json",
    "report.html",
    "postmortem.md",
    "costs.json",
    "request.json",
)
TOKENS_A_PRICE = 1_000_000
FORGETTING = "forgetting.json"
COMPARED = ("benchmark", "base_model", "candidate_model", "dataset")  # what makes two evals the same


def eval_id(rows: Mapping[str, Sequence[EvalRow]], compared: Sequence[str]) -> str:
    """Digest of the rows of all sides, in order, and of what was compared on what."""
    return version_of(*map(to_jsonl, rows.values()), canonical_json(list(compared)))


def check_folder(folder: Path, request: EvalRequest) -> None:
    """Raise AlreadyExistsError if writing there would overwrite a finished eval of something else, or lose its baselines."""
    if not (folder / REQUEST).is_file():
        return
    earlier, now = json.loads((folder / REQUEST).read_bytes()), request.model_dump(mode="json")
    differing = [f"{name} {earlier[name]}" for name in COMPARED if earlier.get(name, now[name]) != now[name]]
    if differing:
        raise AlreadyExistsError(
            f"{folder} has the finished eval of {', '.join(differing)}: give another folder with `--out`, or move that one away"
        )
    lost = [name for name in earlier.get("baselines", {}).get("names", []) if name not in request.baselines.names]
    if lost:
        names = ",".join([*request.baselines.names, *lost])
        raise AlreadyExistsError(
            f"the eval in {folder} also has the baselines {', '.join(lost)}: add `--control {names}`, which asks nothing "
            "twice, or give another folder with `--out`"
        )


def write(
    folder: Path,
    request: EvalRequest,
    verdict: Verdict,
    rows: Mapping[str, Sequence[EvalRow]],
    meta: ReportMeta,
    baselines: Sequence[BaselineRecord] = (),
) -> EvalManifest:
    """Write every file, each in one step, and return the manifest that names them.

    rows: file name -> rows, BASE and CANDIDATE among them. A person's words in an earlier postmortem are kept.
    """
    base, candidate = rows[BASE], rows[CANDIDATE]
    files = {name: to_jsonl(side) for name, side in rows.items()}
    files[VERDICT] = verdict.model_dump_json(indent=2).encode() + b"\n"
    files[REPORT] = report_html(verdict, base, candidate, meta).encode(errors="surrogateescape")
    files[POSTMORTEM] = _postmortem(folder / POSTMORTEM, verdict, base, candidate, meta).encode(
        errors="surrogateescape"
    )
    if meta.forgetting:
        files[FORGETTING] = meta.forgetting.model_dump_json(indent=2).encode() + b"\n"
    files[COSTS] = canonical_json([cost.model_dump() for cost in meta.costs]) + b"\n"
    files[REQUEST] = request.model_dump_json(indent=2).encode() + b"\n"
    for name, content in files.items():
        write_atomically(folder / name, content, survives_power_cut=False)
    return _manifest(folder, request, meta, verdict, baselines, list(files))


def _postmortem(
    path: Path, verdict: Verdict, base_rows: Sequence[EvalRow], candidate_rows: Sequence[EvalRow], meta: ReportMeta
) -> str:
    """The postmortem, with the words that a person wrote into the one at `path`.

    If those cannot be told from the rest of it, the file is kept as postmortem.kept-<n>.md, and a warning says so.
    """
    previous = path.read_bytes().decode(errors="surrogateescape") if path.exists() else None
    try:
        return postmortem_md(verdict, base_rows, candidate_rows, meta, previous=previous)
    except InvalidInputError as error:
        kept = next(k for n in count(1) if not (k := path.with_name(f"postmortem.kept-{n}.md")).exists())
        path.rename(kept)
        logger.warning("%s; it is kept as it was in %s", error, kept)
        return postmortem_md(verdict, base_rows, candidate_rows, meta)


def _manifest(
    folder: Path,
    request: EvalRequest,
    meta: ReportMeta,
    verdict: Verdict,
    baselines: Sequence[BaselineRecord],
    names: Sequence[str],
) -> EvalManifest:
    name, _, version = meta.benchmark.partition("/")
    dataset, adapter = meta.dataset, meta.adapter
    parents = [Parent(kind="benchmark", name=name, digest=version)]
    if dataset:
        parents.append(Parent(kind="dataset", name=dataset.name, digest=dataset.version))
    if request.base_run_log:
        parents.append(Parent(kind="runlog", name=request.base_run_log, digest=request.base_run_log))
    if adapter:
        parents.append(Parent(kind="adapter", name=adapter.name, digest=adapter.version))
        parents.append(Parent(kind="base_model", name=adapter.base_model.name, digest=adapter.base_model.digest))
    if remote := meta.remote:
        parents.append(Parent(kind="remote_model", name=remote.name, digest=remote.version))
        parents.append(base_parent(remote.remote))
    return EvalManifest(
        id=meta.eval_id,
        base_model=meta.base_model,
        candidate_model=meta.candidate_model,
        benchmark=meta.benchmark,
        dataset=f"{dataset.name}/{dataset.version}" if dataset else None,
        verdict=verdict.verdict,
        arms=list(baselines),
        parents=parents,
        files=[
            FileEntry(path=f, size_bytes=(folder / f).stat().st_size, sha256=file_sha256(folder / f)) for f in names
        ],
    )


def costs(answers: Mapping[str, Sequence[Answer]], prices: Mapping[str, Prices]) -> list[Cost]:
    """One Cost for each side, in order. Both by side: base, candidate, arm:<name>, probe, judge.

    Answers from a cache or a run log count as reused and cost nothing; those of an interrupted run that went on do
    count. Questions that failed count as asked, without tokens. Tokens are the endpoint's own count; money is None if
    it gave none for an answer, or no price is known: a sum that leaves something out would be taken for the whole.
    """
    found = []
    for side, given in answers.items():
        asked, price = [answer for answer in given if not answer.reused], prices.get(side)
        prompt = sum(answer.prompt_tokens or 0 for answer in asked)
        completion = sum(answer.completion_tokens or 0 for answer in asked)
        counted = not any(None in (a.prompt_tokens, a.completion_tokens) for a in asked if a.error is None)
        money = (prompt * price.prompt + completion * price.completion) / TOKENS_A_PRICE if price and counted else None
        found.append(
            Cost(
                side=side,
                asked=len(asked),
                reused=len(given) - len(asked),
                prompt_tokens=prompt,
                completion_tokens=completion,
                seconds=round(sum(answer.latency_ms or 0.0 for answer in asked) / 1000, 3),
                money=money,
                currency=price.currency if price else "",
            )
        )
    return found


def store(curator: CuratorClient, manifest: EvalManifest, folder: Path) -> bool:
    """Store an eval: its files first, and last the manifest, which makes it exist. False if it was stored before."""
    try:
        for entry in manifest.files:
            curator.put_eval_file(manifest.id, entry.path, folder / entry.path)
        curator.create_eval(manifest)
    except AlreadyExistsError:
        return False
    return True
