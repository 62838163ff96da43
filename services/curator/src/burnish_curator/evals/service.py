"""Takes and gives the files of evals."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from burnish import layout
from burnish.digests import file_sha256
from burnish.errors import InvalidInputError
from burnish.schemas.evaluation import EvalManifest
from burnish_curator.evals.repository import EvalRepository

MEDIA_TYPES = {
    ".jsonl": "application/x-ndjson",
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
}


class EvalService:
    def __init__(self, repository: EvalRepository, spool: Path) -> None:
        self._repository = repository
        self._spool = spool

    def put_file(self, eval_id: str, file: str, chunks: Iterator[bytes]) -> None:
        layout.check_name(eval_id, "eval id")
        layout.check_name(file, "file")
        if file == layout.MANIFEST:
            raise InvalidInputError("manifest.json is written by POST /v1/evals, not sent as a file", field="file")
        with tempfile.TemporaryDirectory(dir=self._spool) as folder:
            path = Path(folder) / "body"
            with path.open("wb") as body:
                body.writelines(chunks)
            self._repository.put_file(eval_id, file, path, file_sha256(path))

    def create(self, manifest: EvalManifest) -> EvalManifest:
        layout.check_name(manifest.id, "id")
        if not manifest.files:
            raise InvalidInputError("files: an eval has at least one file", field="files")
        return self._repository.seal(manifest)

    def manifests(self) -> list[EvalManifest]:
        return self._repository.manifests()

    def manifest(self, eval_id: str) -> EvalManifest:
        return self._repository.manifest(eval_id)

    def file(self, eval_id: str, file: str) -> bytes:
        return self._repository.file(eval_id, file)

    def media_type(self, file: str) -> str:
        return MEDIA_TYPES.get(Path(file).suffix, "application/octet-stream")
