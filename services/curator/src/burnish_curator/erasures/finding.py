"""Which lines an erasure is about, and which of their texts stand nowhere else."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from burnish import layout
from burnish.erasure.parts import lines_of, other_lines, others_about, strings_of
from burnish.erasure.scan import find_in
from burnish.erasure.texts import ANCHOR, Texts, pieces, texts_of
from burnish.errors import NotFoundError
from burnish.ports import ObjectStore
from burnish.runlogs.columns import LINE_NUMBER
from burnish.runlogs.identity import run_key
from burnish.runlogs.lines import EXCERPT_CHARACTERS
from burnish.runlogs.references import parse_line
from burnish.runlogs.storage import PART_PREFIX
from burnish.schemas.erasure import ErasedLines, UserDigest
from burnish.schemas.runlog import RejectedLine, RunLogLine, RunLogManifest
from burnish_curator.runlogs.repository import RunLogRepository


@dataclass
class Erased:
    """What the erased lines hold. texts: pieces that stand in no other line; whole: every text of the lines.

    gone: by run log, the questions that nobody else asked with the same prompt.
    """

    texts: Texts
    whole: set[str]
    shared: int
    gone: dict[str, set[str]]
    trace_ids: set[str]

    @property
    def every_gone(self) -> set[str]:
        return set().union(*self.gone.values())


def digest_of(user: str, salt: str | None = None) -> UserDigest:
    salt = salt or secrets.token_hex(16)
    return UserDigest(salt=salt, sha256=hashlib.sha256(f"{salt}:{user}".encode(errors="surrogatepass")).hexdigest())


def find_lines(run_logs: RunLogRepository, user: str | None, references: Sequence[str]) -> list[ErasedLines]:
    """Lines by run log; a named line's copies too, in run logs that were made from each other. NotFoundError for a reference to nothing."""
    manifests = list(run_logs.list())
    found: dict[str, set[int]] = defaultdict(set)
    rejected: dict[str, set[int]] = defaultdict(set)
    for text in references:
        _add_reference(run_logs, manifests, text, found, rejected)
    if user is not None:
        for manifest in manifests:
            numbers = _numbers(run_logs, manifest.id, user_id=[user])
            found[manifest.id] |= set(numbers)
            rejected[manifest.id] |= _rejected_of(run_logs, manifest, user, bool(numbers))
    by_id = {manifest.id: manifest for manifest in manifests}
    return [
        ErasedLines(
            run_log_id=run_log_id,
            lines=sorted(found[run_log_id]),
            rejected=sorted(rejected[run_log_id]),
            files=[entry.path for entry in by_id[run_log_id].files],
        )
        for run_log_id in sorted({*found, *rejected})
        if found[run_log_id] or rejected[run_log_id]
    ]


def find_user(run_logs: RunLogRepository, is_user: Callable[[str], bool], known: Collection[str]) -> list[ErasedLines]:
    """Lines of a user in run logs that are not known: cut from traces after the erasure was planned."""
    found = []
    for manifest in list(run_logs.list()):
        if manifest.id in known:
            continue
        users = (
            run_logs.open(manifest.id, None)
            .reader.columns(["user_id"])["user_id"]
            .cast(pa.string())
            .unique()
            .to_pylist()
        )
        if theirs := [user for user in users if user is not None and is_user(user)]:
            numbers = _numbers(run_logs, manifest.id, user_id=theirs)
            files = [entry.path for entry in manifest.files]
            found.append(ErasedLines(run_log_id=manifest.id, lines=numbers, files=files))
    return found


def _add_reference(
    run_logs: RunLogRepository,
    manifests: Sequence[RunLogManifest],
    text: str,
    found: dict[str, set[int]],
    rejected: dict[str, set[int]],
) -> None:
    reference = parse_line(text)
    own = next((one for one in manifests if reference.run_log in (one.id, one.name)), None)
    if own is None:
        raise NotFoundError(f"no run log {reference.run_log!r}: `burnish runs ls` lists them")
    numbers = _numbers(run_logs, own.id, **reference.columns)
    if not numbers and reference.number in {line.line_number for line in _rejected(run_logs, own)}:
        rejected[own.id].add(reference.number)
        return
    if not numbers:
        raise NotFoundError(f"run log {own.id} has no line {text!r}: `burnish runs show {own.id}` shows them")
    lines = list(run_logs.open(own.id, None).reader.lines(run_logs.open(own.id, None).find(line_number=numbers)))
    keys, questions = {run_key(line) for line in lines}, sorted({line.question_id for line in lines})
    for relative in _family(own, manifests):
        opened = run_logs.open(relative.id, None)
        rows = opened.find(question_id=questions)
        at = opened.reader.table(rows, [LINE_NUMBER])[LINE_NUMBER].to_pylist()
        found[relative.id] |= {
            number for number, line in zip(at, opened.reader.lines(rows), strict=True) if run_key(line) in keys
        }


def _family(run_log: RunLogManifest, manifests: Sequence[RunLogManifest]) -> Iterator[RunLogManifest]:
    """Those that were made from it, that it was made from, and so on."""
    family = {run_log.id}
    while True:
        larger = family | {one.id for one in manifests for parent in one.parents if parent.name in family}
        larger |= {parent.name for one in manifests if one.id in family for parent in one.parents}
        if larger == family:
            return (yield from (one for one in manifests if one.id in family))
        family = larger


def _numbers(run_logs: RunLogRepository, run_log_id: str, **columns: Any) -> list[int]:
    opened = run_logs.open(run_log_id, None)
    numbers: list[int] = opened.reader.table(opened.find(**columns), [LINE_NUMBER])[LINE_NUMBER].to_pylist()
    return numbers


def _rejected(run_logs: RunLogRepository, manifest: RunLogManifest) -> list[RejectedLine]:
    return [RejectedLine.model_validate_json(line) for line in run_logs.rejected(manifest.id).splitlines()]


def _rejected_of(run_logs: RunLogRepository, manifest: RunLogManifest, user: str, has_lines: bool) -> set[int]:
    """Rejected lines that show the user, and, in a log that has lines of the user, those that are cut before they could."""
    return {
        line.line_number
        for line in _rejected(run_logs, manifest)
        if user in line.excerpt or (has_lines and len(line.excerpt) >= EXCERPT_CHARACTERS)
    }


def read_erased(
    store: ObjectStore,
    run_logs: RunLogRepository,
    chosen: Iterable[ErasedLines],
    is_user: Callable[[str], bool],
    spool: Path,
) -> Erased:
    """What the lines hold, from the files that they were in when the erasure began; a run log whose files are gone has been erased before.

    is_user: whether a user id is that of the user who is erased.
    """
    chosen = list(chosen)
    users: set[str] = set()
    erased = Erased(Texts(()), set(), 0, {}, set())
    own_parts: dict[str, list[Path]] = {}
    for one in chosen:
        parts = own_parts[one.run_log_id] = fetch_parts(store, one, spool)
        lines = list(lines_of(parts, one.lines))
        erased.trace_ids |= {line.trace_id for line in lines if line.trace_id}
        erased.gone[one.run_log_id] = _gone(parts, one, lines)
        for line in lines:
            erased.whole |= texts_of(line)
            if line.user_id and is_user(line.user_id) and len(quoted := json.dumps(line.user_id)) >= ANCHOR:
                users.add(quoted)
    texts = Texts({piece for text in erased.whole for piece in pieces(text)})  # users are looked for in any case
    elsewhere: set[int] = set()
    for one in chosen:
        tables = other_lines(own_parts[one.run_log_id], one.lines)
        elsewhere |= find_in((text for table in tables for text in strings_of(table)), texts)
    erased_logs = {one.run_log_id for one in chosen}
    for manifest in run_logs.list() if texts else []:
        if manifest.id not in erased_logs:
            reader = run_logs.open(manifest.id, None).reader
            every = reader.pieces(np.arange(reader.rows))
            elsewhere |= find_in((text for table in every for text in strings_of(table)), texts)
    kept = (piece for number, piece in enumerate(texts.pieces) if number not in elsewhere)
    erased.texts, erased.shared = Texts({*kept, *users}), len(elsewhere)
    return erased


def fetch_parts(store: ObjectStore, one: ErasedLines, spool: Path) -> list[Path]:
    """The parts that the lines were in, as files; those that are gone are left out."""
    folder = spool / one.run_log_id
    folder.mkdir(exist_ok=True)
    parts = []
    for file in one.files:
        if not file.startswith(PART_PREFIX):
            continue
        path = folder / file
        try:
            if not path.is_file():
                store.get_file(layout.runlog(one.run_log_id, file), path)
            parts.append(path)
        except NotFoundError:
            continue
    return parts


def _gone(parts: Sequence[Path], one: ErasedLines, lines: Sequence[RunLogLine]) -> set[str]:
    asked: dict[str, set[tuple[object, ...]]] = defaultdict(set)
    for line in lines:
        asked[line.question_id].add(_prompt(line))
    others: dict[str, set[tuple[object, ...]]] = defaultdict(set)
    for line in others_about(parts, one.lines, asked):
        others[line.question_id].add(_prompt(line))
    return {question for question, prompts in asked.items() if not prompts & others[question]}


def _prompt(line: RunLogLine) -> tuple[object, ...]:
    messages = "" if line.messages is None else str([message.model_dump() for message in line.messages])
    return line.question, line.system_prompt, line.evidence_text, messages
