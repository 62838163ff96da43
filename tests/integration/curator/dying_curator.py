"""A curator that is killed at the worst moment: every file of a thing is stored, and its manifest is not yet. An argument `changed`: that of a run log that is changed."""

from __future__ import annotations

import os
import signal
import sys

import uvicorn

from burnish.curation.lengths import CharacterLengths
from burnish.objectstores.s3 import S3ObjectStore
from burnish.ports import ObjectInfo
from burnish.service.settings import S3Settings, TokenSettings
from burnish_curator.app import Deps, create_app
from burnish_curator.database import open_database
from burnish_curator.settings import CuratorSettings

CHANGED = sys.argv[1:] == ["changed"]


class DiesBeforeManifest(S3ObjectStore):
    """Kills its own process where the manifest would be written."""

    def put_if_absent(self, key: str, data: bytes) -> ObjectInfo:
        return super().put_if_absent(key, data) if CHANGED else self._die(key)

    def put_if_match(self, key: str, data: bytes, etag: str) -> ObjectInfo:
        return self._die(key)

    def _die(self, key: str) -> ObjectInfo:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError(f"still alive at {key}")


if __name__ == "__main__":
    s3, curator = S3Settings(), CuratorSettings()
    store = DiesBeforeManifest(
        s3.endpoint,
        s3.access_key.get_secret_value(),
        s3.secret_key.get_secret_value(),
        s3.bucket,
        s3.secure,
        s3.region,
    )
    database = open_database(curator.database_url)
    deps = Deps(store, database, curator.cache_dir, TokenSettings().token.get_secret_value(), CharacterLengths())
    uvicorn.run(create_app(deps), host=curator.host, port=curator.port, log_config=None)
