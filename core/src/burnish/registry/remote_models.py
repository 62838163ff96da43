"""Remote models in the object store: recorded once a provider has trained one, and read back for lists and evaluations. Blocks."""

from __future__ import annotations

from contextlib import suppress

from burnish import layout
from burnish.digests import canonical_json
from burnish.errors import AlreadyExistsError, NotFoundError
from burnish.objectstores.manifests import read_listing, read_manifest
from burnish.ports import ObjectStore
from burnish.registry.references import LATEST
from burnish.schemas.base import Listing, Parent, VersionRef
from burnish.schemas.training.hosted import RemoteModel, RemoteModelManifest
from burnish.schemas.training.job import JobSpec

FOLDER = "remote-models/"


def record(store: ObjectStore, job_id: str, spec: JobSpec, remote: RemoteModel) -> VersionRef:
    """Make the model that a job ended with a version of its adapter's name. The same call again changes nothing."""
    manifest = RemoteModelManifest(
        name=spec.adapter_name,
        version=remote.version,
        remote=remote,
        job_id=job_id,
        method=spec.method,
        seed=spec.seed,
        params=spec.model_dump(mode="json"),
        parents=[
            Parent(kind="dataset", name=spec.dataset.name, digest=spec.dataset.version),
            base_parent(remote),
            Parent(kind="job", name=job_id, digest=job_id),
        ],
    )
    key = layout.remote_model(manifest.name, manifest.version)
    with suppress(AlreadyExistsError):  # of an attempt that died before it could say so
        store.put_if_absent(key, canonical_json(manifest.model_dump(mode="json")))
    return VersionRef(name=manifest.name, version=manifest.version)


def base_parent(remote: RemoteModel) -> Parent:
    """The provider's base model. Its weights cannot be seen, so its digest is its name."""
    name = f"{remote.provider}:{remote.base_model}"
    return Parent(kind="base_model", name=name, digest=name)


def versions(store: ObjectStore, name: str | None = None) -> Listing[RemoteModelManifest]:
    """Of one name, or all; newest first."""
    names = [name] if name else store.list_folders(FOLDER)
    keys = [
        layout.remote_model(one, version)
        for one in names
        if layout.NAME.match(one)
        for version in store.list_folders(f"{FOLDER}{one}/")
    ]
    found = read_listing(lambda key: read_manifest(store, key, RemoteModelManifest), keys)
    newest_first = sorted(found, key=lambda manifest: (manifest.created_at, manifest.version), reverse=True)
    return Listing(newest_first, found.broken)


def read(store: ObjectStore, name: str, version: str) -> RemoteModelManifest:
    """version: one, or `latest`. NotFoundError if there is none, CorruptDataError if it cannot be read."""
    if version != LATEST:
        try:
            return read_manifest(store, layout.remote_model(name, version), RemoteModelManifest)
        except NotFoundError:
            raise _unknown(name, version) from None
    for newest in versions(store, name):
        return newest
    raise _unknown(name, version)


def _unknown(name: str, version: str) -> NotFoundError:
    return NotFoundError(
        f"there is no remote model {name}@{version}; GET /v1/remote-models lists those that exist", field="name"
    )
