"""A real curator on a socket of this process, over a store in memory or another one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from burnish.curation.lengths import CharacterLengths
from burnish.objectstores.memory import MemoryObjectStore
from burnish.ports import ObjectStore
from burnish_curator.app import Deps, create_app
from burnish_curator.database import open_database

TOKEN = "the-token"


@contextmanager
def curator_thread(folder: Path, store: ObjectStore | None = None, token: str = TOKEN) -> Iterator[str]:
    """Its address. folder: for its database and cache."""
    deps = Deps(
        store=store or MemoryObjectStore(),
        database=open_database(f"sqlite:///{folder / 'curator.db'}"),
        cache_dir=folder / "cache",
        token=token,
        lengths=CharacterLengths(),
    )
    server = uvicorn.Server(uvicorn.Config(create_app(deps), host="127.0.0.1", port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        deps.database.dispose()
