"""Evals in the object store: files first, and a manifest that seals them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from burnish import layout
from burnish.digests import file_sha256, sha256_hex
from burnish.errors import AlreadyExistsError, CorruptDataError, InvalidInputError, NotFoundError, PreconditionError
from burnish.ports import ObjectStore
from burnish.schemas.base import Listing
from burnish.schemas.evaluation import EvalManifest
from burnish_curator.manifests import Manifests


class EvalRepository(Manifests[EvalManifest]):
    """spool: a folder for uploads that have not ended."""

    def __init__(self, store: ObjectStore, spool: Path, cache_dir: Path | None = None) -> None:
        super().__init__(store, EvalManifest, layout.evaluation, "eval", "eval", "GET /v1/evals lists them", cache_dir)
        self._spool = spool

    def put_file(self, eval_id: str, file: str, chunks: Iterator[bytes]) -> None:
        """Store one file. Once the eval has its manifest, only the same bytes are taken (AlreadyExistsError)."""
        layout.check_name(eval_id, "eval id")
        layout.check_name(file, "file")
        if file == layout.MANIFEST:
            raise InvalidInputError("manifest.json is written by POST /v1/evals, not sent as a file", field="file")
        key = layout.evaluation(eval_id, file)
        with tempfile.TemporaryDirectory(dir=self._spool) as folder:
            path = Path(folder) / "body"
            with path.open("wb") as body:
                body.writelines(chunks)
            with self.changing(eval_id):
                if self.get(eval_id) is None:
                    self._store.put_file(key, path)
                elif sha256_hex(self._store.get(key)) != file_sha256(path):
                    raise AlreadyExistsError(
                        f"eval {eval_id} is complete and its {file} is another: use a new id", eval_id=eval_id
                    )

    def seal(self, manifest: EvalManifest) -> EvalManifest:
        """Write the manifest once its files are there as it says (PreconditionError). Another one under the id is AlreadyExistsError."""
        layout.check_name(manifest.id, "id")
        if not manifest.files:
            raise InvalidInputError("files: an eval has at least one file", field="files")
        with self.changing(manifest.id):
            for entry in manifest.files:
                try:
                    self.file(entry, manifest.id)
                except NotFoundError:
                    raise PreconditionError(
                        f"eval {manifest.id}: {entry.path} is not there; PUT /v1/evals/{manifest.id}/{entry.path} first"
                    ) from None
                except CorruptDataError:
                    raise PreconditionError(
                        f"eval {manifest.id}: {entry.path} is not what the manifest says; send it again"
                    ) from None
            sealed = self.create(manifest, manifest.id)
            if sealed != manifest:
                raise AlreadyExistsError(f"id {manifest.id} belongs to another eval: use a new id", eval_id=manifest.id)
            return sealed

    def list(self, goes_on: bool = False) -> Listing[EvalManifest]:
        """Newest first. goes_on: as `read_all` has it."""
        return self.read_all("evals/", goes_on)

    def read_file(self, eval_id: str, file: str) -> bytes:
        """A file of a complete eval."""
        listed = {entry.path: entry for entry in self.read(eval_id).files}
        if file not in listed:
            names = ", ".join(listed)
            raise NotFoundError(f"eval {eval_id} has no file {file!r}; it has {names or 'none'}", eval_id=eval_id)
        return self.file(listed[file], eval_id)
