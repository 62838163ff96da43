"""The steps of an erasure. Each can be done again: what is erased already is left as it is."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from burnish import layout
from burnish.curation.lengths import Lengths
from burnish.curation.output.exports import parse_rows
from burnish.curation.output.sealing import LEFT_OUT, TRAIN, VALIDATION, BuiltDataset, Row, without_rows
from burnish.digests import sha256_hex
from burnish.erasure.documents import answers_to, redacted
from burnish.erasure.parts import rewrite
from burnish.erasure.scan import find_in, find_in_object, is_read
from burnish.erasure.texts import ERASED, Texts, pieces, with_whole_lines
from burnish.errors import BurnishError, ConflictError, NotFoundError
from burnish.objectstores.manifests import read_manifest
from burnish.ports import ObjectStore
from burnish.registry.holding import Thing
from burnish.registry.manifests import manifest_keys
from burnish.registry.removal import remove_references
from burnish.runlogs.storage import files_of
from burnish.schemas.base import FileEntry, Manifest
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.erasure import ErasedLines, Scan, Tombstone
from burnish.schemas.runlog import RejectedLine, RunLogManifest
from burnish_curator.datasets.repository import DatasetRepository
from burnish_curator.erasures.finding import Erased, fetch_parts

log = logging.getLogger(__name__)
# What has a step of its own, holds no text of a line, or is brought by people and not made from lines.
OWN_STEPS = ("runlogs/", "datasets/", "adapters/", "benchmarks/", "references/", "aliases/", "alias-changes/")
NOT_DOCUMENTS = (*OWN_STEPS, layout.INBOX, layout.CHECKPOINTS, layout.ERASURES)


# datasets


@dataclass(frozen=True)
class LessRows:
    """A dataset version, the rows of it that stay, its LEFT_OUT as it is, and the questions that leave its split and that."""

    manifest: DatasetManifest
    kept: tuple[list[Row], list[Row]]
    left_out: bytes
    removed: int
    questions: set[str]


def touched_datasets(datasets: DatasetRepository, erased: Erased) -> Iterator[LessRows]:
    """Versions with rows that hold an erased text, or that were made from an erased line."""
    for manifest in list(datasets.list()):
        gone = erased.gone.get(manifest.spec.run_log_id, set())
        files = {entry.path: entry for entry in manifest.files}
        splits = []
        for name in (TRAIN, VALIDATION):
            data = datasets.file(files[name], manifest.name, manifest.version)
            splits.append(list(zip(data.splitlines(), parse_rows(data, manifest.spec.format), strict=True)))
        kept = [
            [row for line, row in rows if row.question_id not in gone and not erased.texts.found_in(line)]
            for rows in splits
        ]
        removed = sum(map(len, splits)) - sum(map(len, kept))
        ids = {one for part in manifest.split.model_dump().values() for one in part}
        left = {row.question_id for rows in kept for row in rows}
        questions = (ids & gone) | ({row.question_id for rows in splits for _, row in rows} - left)
        if removed or questions:
            entry = files.get(LEFT_OUT)
            left_out = datasets.file(entry, manifest.name, manifest.version) if entry else b""
            yield LessRows(manifest, (kept[0], kept[1]), left_out, removed, questions)


def replacement(less: LessRows, lengths: Lengths) -> BuiltDataset | None:
    """The version without the rows; None if nothing would be left to train on."""
    if not less.kept[0] or not set(less.manifest.split.targeted) - less.questions:
        return None
    return without_rows(less.manifest, less.kept, less.left_out, less.questions, lengths)


def replace_dataset(
    store: ObjectStore, datasets: DatasetRepository, old: DatasetManifest, new: BuiltDataset | None, erasure_id: str
) -> None:
    """The new version first, then the tombstone, which says so once the old manifest is gone, then the old files."""
    replaced_by = datasets.save(new).version if new is not None else None
    tombstone = Tombstone(erasure=erasure_id, replaced_by=replaced_by)
    store.put(layout.dataset(old.name, old.version, layout.TOMBSTONE), tombstone.model_dump_json().encode())
    bury(store, datasets, old.name, old.version)


def bury(store: ObjectStore, datasets: DatasetRepository, name: str, version: str) -> None:
    """Remove everything of a version that has a tombstone, but that."""
    with datasets.changing(name, version):
        manifest = layout.dataset(name, version)
        store.delete(manifest)
        datasets.forget(name, version)
        remove_references(store, Thing("dataset", name, version))
        for info in list(store.list(manifest.removesuffix(layout.MANIFEST))):
            if not info.key.endswith(f"/{layout.TOMBSTONE}"):
                store.delete(info.key)


def half_buried(store: ObjectStore) -> Iterator[tuple[str, str]]:
    """Versions that have a tombstone and more than that: an erasure died there."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for info in store.list("datasets/"):
        _, name, version, file = info.key.split("/", 3)
        found[name, version].add(file)
    return (names for names, files in found.items() if layout.TOMBSTONE in files and len(files) > 1)


# evaluations, and every other document


def touched_documents(store: ObjectStore, erased: Erased, related: Collection[str], spool: Path) -> list[str]:
    """Folders of documents in which an erased text stands, or (of related folders) an answer to a question that is gone."""
    gone = erased.every_gone
    found: set[str] = set()
    for info in list(store.list("")):
        folder = info.key.rpartition("/")[0] + "/"
        if folder in found or info.key.startswith(NOT_DOCUMENTS) or not is_read(info.key):
            continue
        with suppress(NotFoundError):
            is_touched = bool(find_in_object(store, info, erased.texts, spool))
            if not is_touched and gone and folder in related:
                data = store.get(info.key)
                is_touched = redacted(data, Texts(()), gone) != data
            if is_touched:
                found.add(folder)
    return sorted(found)


def redact_folder(store: ObjectStore, folder: str, erased: Erased, is_related: bool) -> None:
    """Each file in place, then the manifest, which states their digests. Until that is written the folder reads as corrupt.

    Files that hold the answers go last: they say what the others may repeat.
    """
    gone = erased.every_gone if is_related else set()
    keys = [
        info.key for info in store.list(folder) if is_read(info.key) and not info.key.endswith(f"/{layout.MANIFEST}")
    ]
    contents = {key: store.get(key) for key in keys}
    answers = {key: answers_to(data, gone) for key, data in contents.items()}
    kept = {
        piece
        for data in contents.values()
        for text in answers_to(data, _questions(data) - gone)
        for piece in pieces(text)
    }
    theirs = set().union(*answers.values())
    wanted = {*erased.texts.pieces, *({piece for text in theirs for piece in pieces(text)} - kept)}
    texts = Texts(with_whole_lines(wanted, erased.whole | theirs))
    for key in sorted(contents, key=lambda key: bool(answers[key])):
        written = redacted(contents[key], texts, gone)
        if written != contents[key]:
            contents[key] = written
            store.put(key, written)
    _restate(store, f"{folder}{layout.MANIFEST}", contents, texts)


def _questions(data: bytes) -> set[str]:
    found: set[str] = set()
    for line in data.splitlines():
        with suppress(orjson.JSONDecodeError, AttributeError):
            found.add(orjson.loads(line).get("question_id"))
    return found - {None}


def _restate(store: ObjectStore, key: str, contents: dict[str, bytes], texts: Texts) -> None:
    try:
        before = store.get(key)
    except NotFoundError:
        return
    manifest = orjson.loads(redacted(before, texts))
    for entry in manifest.get("files", ()):
        data = contents.get(f"{key.rpartition('/')[0]}/{entry['path']}")
        if data is not None:
            entry |= FileEntry(path=entry["path"], size_bytes=len(data), sha256=sha256_hex(data)).model_dump()
    after = orjson.dumps(manifest, option=orjson.OPT_INDENT_2)
    if orjson.loads(before) != manifest:
        store.put(key, after)


# run logs


def erase_lines(store: ObjectStore, one: ErasedLines, erasure_id: str, texts: Texts, spool: Path) -> None:
    """New parts and rejected lines, then the manifest, if it is still the one that was read."""
    key = layout.runlog(one.run_log_id)
    while True:
        try:
            etag = store.stat(key).etag
            manifest = read_manifest(store, key, RunLogManifest)
        except NotFoundError:
            return
        if erasure_id in manifest.erasures:
            return
        with TemporaryDirectory(dir=spool) as folder:
            changed = _without_lines(store, manifest, one, erasure_id, texts, Path(folder))
            for entry in changed.files:
                if (path := Path(folder) / entry.path).is_file():
                    store.put_file(layout.runlog(one.run_log_id, entry.path), path)
        try:
            store.put_if_match(key, changed.model_dump_json(indent=2).encode(), etag)
            return
        except ConflictError:
            continue  # another curator was as fast; files that no manifest names go at the end


def _without_lines(
    store: ObjectStore, manifest: RunLogManifest, one: ErasedLines, erasure_id: str, texts: Texts, folder: Path
) -> RunLogManifest:
    files = files_of(manifest)
    current = ErasedLines(run_log_id=manifest.id, lines=[], files=[entry.path for entry in files.parts])
    before = folder / "before"
    before.mkdir()
    parts, grades = rewrite(fetch_parts(store, current, before), one.lines, folder)
    rejected, entries = manifest.rejected_lines, list(parts)
    if files.rejected:
        data = store.get(layout.runlog(manifest.id, files.rejected.path))
        lines = [RejectedLine.model_validate_json(line) for line in data.splitlines()]
        cleared = [_cleared(line, one.rejected, texts) for line in lines]
        rejected = cleared[: len(manifest.rejected_lines)]
        written = b"".join(line.model_dump_json().encode() + b"\n" for line in cleared)
        sha256 = sha256_hex(written)
        name = f"rejected-{sha256[:16]}-{erasure_id[:8]}.jsonl"
        (folder / name).write_bytes(written)
        entries.append(FileEntry(path=name, size_bytes=len(written), sha256=sha256))
    accepted = sum(grades.values())
    return manifest.model_copy(
        update={
            "files": entries,
            "accepted": accepted,
            "grades": dict(sorted(grades.items())),
            "rejected_lines": rejected,
            "erased": manifest.erased + manifest.accepted - accepted,
            "erasures": [*manifest.erasures, erasure_id],
        }
    )


def _cleared(line: RejectedLine, numbers: Collection[int], texts: Texts) -> RejectedLine:
    shows = line.line_number in numbers or texts.found_in(line.excerpt.encode(errors="surrogatepass"))
    return line.model_copy(update={"excerpt": ERASED}) if shows else line


def remove_old_files(store: ObjectStore, one: ErasedLines) -> None:
    """Whatever of a run log its manifest does not name."""
    key = layout.runlog(one.run_log_id)
    with suppress(NotFoundError):
        named = {key, *(layout.runlog(one.run_log_id, e.path) for e in read_manifest(store, key, RunLogManifest).files)}
        for info in list(store.list(key.removesuffix(layout.MANIFEST))):
            if info.key not in named:
                store.delete(info.key)


# the rest of the bucket


def trained_on(store: ObjectStore, versions: Iterable[str]) -> list[str]:
    """Adapters and remote models that were trained on these dataset versions, and those that go on from them: name@version."""
    parents: dict[str, set[str]] = {}
    for key in (*manifest_keys(store, "adapters/"), *manifest_keys(store, "remote-models/")):
        with suppress(BurnishError, orjson.JSONDecodeError, AttributeError, KeyError):
            _, name, version, _ = key.split("/")
            parents[f"{name}@{version}"] = {parent["digest"] for parent in orjson.loads(store.get(key))["parents"]}
    tainted, found = set(versions), set[str]()
    while more := {adapter for adapter, digests in parents.items() if digests & tainted} - found:
        found |= more
        tainted |= {adapter.partition("@")[2] for adapter in more}
    return sorted(found)


def scan(store: ObjectStore, erased: Erased, old_files: Collection[str], spool: Path) -> Scan:
    """Search every object but those that are about to go."""
    objects = size_bytes = not_read = 0
    found = []
    for info in list(store.list("")):
        if info.key in old_files:
            continue
        if not is_read(info.key):
            not_read += 1
            continue
        objects, size_bytes = objects + 1, size_bytes + info.size_bytes
        if find_in([info.key.encode()], erased.texts):
            found.append(info.key)
            continue
        with suppress(NotFoundError):
            if find_in_object(store, info, erased.texts, spool):
                found.append(info.key)
    return Scan(
        objects=objects,
        size_bytes=size_bytes,
        not_read=not_read,
        texts=len(erased.texts.pieces),
        shared=erased.shared,
        found=found,
    )


def related_folders(store: ObjectStore, run_log_ids: Collection[str], datasets: Collection[str]) -> set[str]:
    """Folders of evals that rest on these run logs, or on these dataset versions."""
    related = {*run_log_ids, *datasets}
    found = set()
    for key in manifest_keys(store, "evals/"):
        with suppress(BurnishError, ValueError):
            parents = Manifest.model_validate_json(_base_fields(store.get(key))).parents
            if any(parent.digest in related for parent in parents):
                found.add(key.removesuffix(layout.MANIFEST))
    return found


def _base_fields(data: bytes) -> bytes:
    return orjson.dumps({"parents": orjson.loads(data).get("parents", [])})
