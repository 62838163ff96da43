"""Evals in the object store: files first, and a manifest that seals them."""

from __future__ import annotations

from pathlib import Path

from burnish import layout
from burnish.digests import sha256_hex
from burnish.errors import AlreadyExistsError, NotFoundError, PreconditionError
from burnish.ports import ObjectStore
from burnish.schemas.evaluation import EvalManifest
from burnish_curator.manifests import Manifests, read_file


class EvalRepository:
    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._manifests = Manifests(store, EvalManifest)

    def put_file(self, eval_id: str, file: str, path: Path, sha256: str) -> None:
        """Store one file. Once the eval has its manifest, only the same bytes are taken (AlreadyExistsError)."""
        key = layout.evaluation(eval_id, file)
        if self._sealed(eval_id):
            if sha256_hex(self._store.get(key)) == sha256:
                return
            raise AlreadyExistsError(
                f"eval {eval_id} is complete and its {file} is another: use a new id", eval_id=eval_id
            )
        self._store.put_file(key, path)

    def seal(self, manifest: EvalManifest) -> EvalManifest:
        """Write the manifest once its files stand as it says (PreconditionError); another under the id is AlreadyExistsError."""
        for entry in manifest.files:
            try:
                data = self._store.get(layout.evaluation(manifest.id, entry.path))
            except NotFoundError:
                raise PreconditionError(
                    f"eval {manifest.id}: {entry.path} is not there; PUT /v1/evals/{manifest.id}/{entry.path} first"
                ) from None
            if sha256_hex(data) != entry.sha256:
                raise PreconditionError(
                    f"eval {manifest.id}: {entry.path} is not what the manifest says; send it again"
                )
        stands = self._manifests.create(layout.evaluation(manifest.id), manifest)
        if stands != manifest:
            raise AlreadyExistsError(f"another eval stands under id {manifest.id}: use a new id", eval_id=manifest.id)
        return stands

    def manifests(self) -> list[EvalManifest]:
        """Newest first."""
        return self._manifests.read_all(layout.evaluation(id) for id in self._store.list_folders("evals/"))

    def manifest(self, eval_id: str) -> EvalManifest:
        return self._manifests.read(
            layout.evaluation(eval_id), lambda: f"no eval {eval_id!r}: GET /v1/evals lists them"
        )

    def file(self, eval_id: str, file: str) -> bytes:
        """A file of a complete eval."""
        manifest = self.manifest(eval_id)
        listed = {entry.path: entry for entry in manifest.files}
        if file not in listed:
            names = ", ".join(listed)
            raise NotFoundError(f"eval {eval_id} has no file {file!r}; it has {names or 'none'}", eval_id=eval_id)
        return read_file(self._store, layout.evaluation(eval_id), listed[file])

    def _sealed(self, eval_id: str) -> bool:
        try:
            self.manifest(eval_id)
        except NotFoundError:
            return False
        return True
