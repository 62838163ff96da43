"""`burnish clusters find --embedder`: vectors of an OpenAI-compatible endpoint, over real sockets."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cluster_making import planted
from curator_thread import TOKEN, curator_thread
from runlog_making import jsonl, run

from burnish.embedding.vectors import WordLlama
from burnish.errors import InvalidInputError, UnavailableError
from burnish.schemas.clustering import ClusteringSpec, Edit
from burnish_client.sdk import embeddings
from burnish_client.sdk.curator import CuratorClient

MADE = planted("held", 90, seed=2)


@contextmanager
def embedding_server(busy: int = 0, **knobs: Any) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(its URL, the bodies that it was sent). busy: so many requests get 503 first; answers come in reverse order."""
    model, bodies = WordLlama(), []
    left = [busy]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            bodies.append(body | {"path": self.path, "token": self.headers.get("Authorization")})
            if left[0] > 0 or "status" in knobs:
                left[0] -= 1
                return self.answer(knobs.get("status", 503), {"error": {"message": "not now"}})
            vectors = model.vectors(body["input"]).tolist()
            data = [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]
            self.answer(200, {"data": data[::-1][: knobs.get("most")]})

        def answer(self, status: int, value: Any) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_vectors_of_an_endpoint_make_a_clustering_that_names_them(tmp_path: Path) -> None:
    lines = (
        run(f"q{i}", question=each.question, answer=each.answer, failure_label=None) for i, each in enumerate(MADE)
    )
    (tmp_path / "log.jsonl").write_bytes(jsonl(lines))
    with (
        curator_thread(tmp_path) as address,
        embedding_server(busy=1) as (url, bodies),
        CuratorClient(address, TOKEN) as client,
    ):
        run_log_id = client.import_run_log(tmp_path / "log.jsonl", "log").manifest.id
        made = embeddings.cluster(client, run_log_id, ClusteringSpec(), f"{url}/v1#some-model", "secret")
        assert {(body["path"], body["model"], body["token"]) for body in bodies} == {
            ("/v1/embeddings", "some-model", "Bearer secret")
        }
        assert (made.embedder.name, made.embedder.dimensions) == ("some-model", 256)
        assert made.embedder.digest.startswith("sha256:")
        own = client.make_clustering(run_log_id, ClusteringSpec())
        assert sum(cluster.size for cluster in made.clusters) + made.alone == own.lines == len(MADE)
        assert client.clustering(run_log_id).version == own.version
        client.remove_clustering(run_log_id, own.version)
        name = made.clusters[0].name
        renamed = client.edit_clustering(
            run_log_id, made.version, Edit(kind="rename", clusters=[name], name="their name")
        )
        assert (renamed.embedder, renamed.clusters[0].name) == (made.embedder, "their name")
        (tmp_path / "few.jsonl").write_bytes(b'{"text": "other", "vector": "AAA="}\n')
        with pytest.raises(InvalidInputError, match="have no vector"):
            client.make_embedded_clustering(run_log_id, ClusteringSpec(), "few", tmp_path / "few.jsonl")


@pytest.mark.parametrize(
    ("knobs", "error", "said"),
    [
        ({"status": 401}, InvalidInputError, "refused: 401"),
        ({"status": 503}, UnavailableError, "in 5 attempts: 503"),
        ({"most": 1}, InvalidInputError, "1 vectors for 2 texts"),
    ],
)
def test_an_endpoint_that_gives_no_vectors_is_named(knobs: dict[str, Any], error: type[Exception], said: str) -> None:
    with embedding_server(**knobs) as (url, _), pytest.raises(error, match=said):
        list(embeddings.embed(url, "m", None, ["a text", "another"], first_delay_seconds=0.0))


def test_what_is_no_url_and_name_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(InvalidInputError, match="give URL#NAME"):
        embeddings.cluster(None, "x", ClusteringSpec(), "minilm", None)  # type: ignore[arg-type]
