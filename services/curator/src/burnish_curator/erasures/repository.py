"""Records of erasures: `erasures/open.json` is the one that has not ended, `erasures/<id>.json` those that have."""

from __future__ import annotations

from burnish import layout
from burnish.errors import AlreadyExistsError, NotFoundError
from burnish.objectstores.manifests import read_document, read_listing
from burnish.ports import ObjectStore
from burnish.schemas.base import Listing
from burnish.schemas.erasure import Erasure
from burnish.service.paging import newest_first

OPEN = "open"


class ErasureRepository:
    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def unfinished(self) -> Erasure | None:
        try:
            return read_document(self._store, layout.erasure(OPEN), Erasure)
        except NotFoundError:
            return None

    def begin(self, erasure: Erasure) -> bool:
        """Write it down before anything goes. False: another one has not ended."""
        try:
            self._store.put_if_absent(layout.erasure(OPEN), _json(erasure))
        except AlreadyExistsError:
            return False
        return True

    def save(self, erasure: Erasure) -> None:
        self._store.put(layout.erasure(OPEN), _json(erasure))

    def end(self, erasure: Erasure) -> None:
        """The record first: a death in between leaves both, and the erasure ends again."""
        self._store.put(layout.erasure(erasure.id), _json(erasure))
        self._store.delete(layout.erasure(OPEN))

    def read(self, erasure_id: str) -> Erasure:
        try:
            return read_document(self._store, layout.erasure(erasure_id), Erasure)
        except NotFoundError:
            raise NotFoundError(f"no erasure {erasure_id!r}: GET /v1/erasures lists them") from None

    def list(self) -> Listing[Erasure]:
        """Newest first."""
        keys = [info.key for info in self._store.list(layout.ERASURES)]
        found = read_listing(lambda key: read_document(self._store, key, Erasure), keys)
        return Listing(sorted(found, key=newest_first, reverse=True), found.broken)


def _json(erasure: Erasure) -> bytes:
    return erasure.model_dump_json(indent=2).encode()
