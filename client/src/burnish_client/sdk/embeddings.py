"""Vectors of an OpenAI-compatible endpoint for a clustering. The client asks it, so that the curator calls nobody."""

from __future__ import annotations

import base64
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import numpy as np
import orjson

from burnish.errors import InvalidInputError, UnavailableError
from burnish.schemas.clustering import ClusteringManifest, ClusteringSpec
from burnish_client.sdk.curator import CuratorClient

TEXTS_AT_ONCE = 128
ATTEMPTS = 5
FIRST_DELAY_SECONDS = 1.0
BUSY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
TIMEOUT_SECONDS = 120.0


def cluster(
    client: CuratorClient, run_log_id: str, spec: ClusteringSpec, embedder: str, token: str | None
) -> ClusteringManifest:
    """A clustering by the vectors of `URL#NAME`. Raises InvalidInputError for what is no such thing or refuses, UnavailableError."""
    url, hash_sign, name = embedder.rpartition("#")
    if not (url.startswith(("http://", "https://")) and hash_sign and name):
        raise InvalidInputError(
            f"embedder {embedder!r}: give URL#NAME, as in https://host/v1#text-embedding-3-small", field="embedder"
        )
    texts = client.clustering_texts(run_log_id, spec)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vectors.jsonl"
        with file.open("wb") as handle:
            for text, vector in embed(url, name, token, texts):
                packed = base64.b64encode(np.asarray(vector, dtype="<f2").tobytes()).decode()
                handle.write(orjson.dumps({"text": text, "vector": packed}) + b"\n")
        return client.make_embedded_clustering(run_log_id, spec, name, file)


def embed(
    url: str, name: str, token: str | None, texts: Sequence[str], first_delay_seconds: float = FIRST_DELAY_SECONDS
) -> Iterator[tuple[str, list[float]]]:
    """Each text with its vector, as they come; a busy endpoint is asked again, ATTEMPTS times in all."""
    address = f"{url.rstrip('/').removesuffix('/v1')}/v1/embeddings"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(headers=headers, timeout=TIMEOUT_SECONDS) as http:
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            piece = list(texts[start : start + TEXTS_AT_ONCE])
            body = _post(http, address, {"model": name, "input": piece}, first_delay_seconds)
            yield from zip(piece, _vectors(body, len(piece), address), strict=True)


def _post(http: httpx.Client, address: str, body: dict[str, object], first_delay_seconds: float) -> bytes:
    problem = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(first_delay_seconds * 2 ** (attempt - 1))
        try:
            response = http.post(address, json=body)
        except httpx.TransportError as error:
            problem = str(error) or type(error).__name__
            continue
        if response.is_success:
            return response.content
        problem = f"{response.status_code} {response.text[:200]}"
        if response.status_code not in BUSY_STATUSES:
            raise InvalidInputError(f"{address} refused: {problem}", field="embedder")
    raise UnavailableError(f"{address} gave no vectors in {ATTEMPTS} attempts: {problem}")


def _vectors(content: bytes, count: int, address: str) -> list[list[float]]:
    """In the order of the texts, whatever the order of the answer."""
    try:
        items = sorted(orjson.loads(content)["data"], key=lambda item: item["index"])
        vectors = [[float(number) for number in item["embedding"]] for item in items]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(f"{address} gave no embeddings in OpenAI's form: {error}", field="embedder") from error
    if len(vectors) != count:
        raise InvalidInputError(f"{address} gave {len(vectors)} vectors for {count} texts", field="embedder")
    return vectors
