"""A hub on a loopback port: what of Hugging Face's HTTP API the hub client uses to look up and download one repository.

Large files are stored as LFS does (digest in the listing), ranges are answered, and a file can break off half-way.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34
LARGE = (".safetensors", "tokenizer.json")


@dataclass
class Hub:
    """files: of the repository. breaks: how many GETs of weights end half-way. stated: sha256 instead of a large file's own. asked: (method, path, range)."""

    repository: str
    files: dict[str, bytes]
    card: dict[str, Any] = field(default_factory=dict)
    breaks: int = 0
    gated: bool = False
    stated: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ""

    def ranges_of(self, name: str) -> list[str | None]:
        return [given for method, path, given in self.asked if method == "GET" and path.endswith(f"/{name}")]


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Tests read `asked`."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path, hub = unquote(urlsplit(self.path).path), self.hub
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        api = f"/api/models/{hub.repository}"
        if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            return self._json(self._info())
        if path == f"{api}/tree/{COMMIT}":
            return self._json([self._entry(name) for name in hub.files])
        start = f"/{hub.repository}/resolve/{COMMIT}/"
        name = path.removeprefix(start)
        if path.startswith(start) and name in hub.files:
            if hub.gated:
                return self._refuse(403, "GatedRepo")
            return self._file(name)
        self._refuse(404, "RevisionNotFound" if path.startswith(f"{api}/revision/") else "RepoNotFound")

    def _info(self) -> dict[str, Any]:
        siblings = []
        for name in self.hub.files:
            entry = self._entry(name)
            lfs = {"sha256": entry["lfs"]["oid"], "size": entry["size"], "pointerSize": 130} if "lfs" in entry else None
            siblings.append({"rfilename": name, "size": entry["size"], "blobId": entry["oid"], "lfs": lfs})
        names = {"id": self.hub.repository, "modelId": self.hub.repository, "_id": "1", "sha": COMMIT}
        return {**names, "private": False, "siblings": siblings, "cardData": self.hub.card, "tags": [], "downloads": 1}

    def _entry(self, name: str) -> dict[str, Any]:
        data = self.hub.files[name]
        entry: dict[str, Any] = {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        if name.endswith(LARGE):
            digest = self.hub.stated.get(name, hashlib.sha256(data).hexdigest())
            entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 130}
        return entry

    def _json(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self, name: str) -> None:
        data, entry, given = self.hub.files[name], self._entry(name), self.headers.get("Range")
        first = int(given.removeprefix("bytes=").partition("-")[0]) if given else 0
        self.send_response(206 if given else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - first))
        if given:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.breaks and name.endswith(".safetensors"):
            self.hub.breaks -= 1
            self.wfile.write(data[first : len(data) // 2])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(data[first:])
