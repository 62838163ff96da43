"""Vectors of texts. wordllama has its weights in its wheel and needs no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson

from burnish.digests import sha256_hex
from burnish.errors import InvalidInputError
from burnish.extras import Late, require
from burnish.schemas.clustering import EmbedderRef

sparse = Late("scipy.sparse")
TEXTS_AT_ONCE = 512  # each token of a text being encoded is an object of the tokenizer
RARITY = 0.01  # `a` of a/(a + share of all tokens): common tokens weigh less
ENOUGH = 50  # texts, from which on they are said to share a direction


class Embedder(Protocol):
    @property
    def reference(self) -> EmbedderRef: ...

    def plain(self, texts: Sequence[str]) -> np.ndarray:
        """(N, D) float32, each of length 1; a text without a word is a vector of zeros."""
        ...

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """As `plain`, without the direction that all these texts share."""
        ...


class WordLlama:
    """Mean of wordllama's token vectors, each weighted by how rare its token is among these texts.

    Source: Arora, Liang, Ma 2017, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings".
    """

    @cached_property
    def _model(self) -> Any:
        module = require("wordllama")
        model = module.WordLlama.load(cache_dir=Path(module.__file__).parent, disable_download=True)
        model.tokenizer.no_padding()
        return model

    @cached_property
    def reference(self) -> EmbedderRef:
        weights = np.ascontiguousarray(self._model.embedding)
        digest = sha256_hex(weights.tobytes() + self._model.tokenizer.to_str().encode())
        return EmbedderRef(name="wordllama", digest=f"sha256:{digest}", dimensions=weights.shape[1])

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        return without_common(self.plain(texts))

    def plain(self, texts: Sequence[str]) -> np.ndarray:
        tokens = self._tokens(texts)
        return self._weighted(tokens).of(tokens)

    def fitted(self, texts: Sequence[str]) -> Fitted:
        """An embedder whose weights and common direction stay those of these texts, whatever it is asked for."""
        tokens = self._tokens(texts)
        plain = self._weighted(tokens)
        return replace(plain, common=common_direction(plain.of(tokens)))

    def _tokens(self, texts: Sequence[str]) -> Tokens:
        ids: list[np.ndarray] = []
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            piece = list(texts[start : start + TEXTS_AT_ONCE])
            encoded = self._model.tokenizer.encode_batch(piece, add_special_tokens=False)
            ids += [np.array(each.ids, dtype=np.int32) for each in encoded]
        rows = np.repeat(np.arange(len(texts)), [len(each) for each in ids])
        return Tokens(len(texts), rows, np.concatenate([*ids, np.empty(0, dtype=np.int32)]))

    def _weighted(self, tokens: Tokens) -> Fitted:
        table = np.asarray(self._model.embedding, dtype=np.float32)
        share = np.bincount(tokens.column, minlength=len(table)) / max(1, len(tokens.column))
        weights = (RARITY / (RARITY + share)).astype(np.float32)
        return Fitted(self._tokens, table, weights, None)


@dataclass(frozen=True)
class Tokens:
    """Of some texts: which text (row) has which token (column), one entry a token."""

    texts: int
    row: np.ndarray
    column: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """table: a vector a token. weights: of each token. common: the direction that is taken out; None: there were too few texts to know it."""

    tokens: Callable[[Sequence[str]], Tokens]
    table: np.ndarray
    weights: np.ndarray
    common: np.ndarray | None

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """As Embedder has it."""
        return self.of(self.tokens(texts))

    def of(self, tokens: Tokens) -> np.ndarray:
        places = (self.weights[tokens.column], (tokens.row, tokens.column))
        means = unit(sparse.csr_matrix(places, shape=(tokens.texts, len(self.table))) @ self.table)
        return means if self.common is None else _without(means, self.common)


class Given:
    """Vectors that another embedder gave to these very texts: a file of JSON lines with text and vector, base64 of float16."""

    def __init__(self, name: str, file: Path) -> None:
        self._place: dict[str, int] = {}
        rows: list[np.ndarray] = []
        digest = hashlib.sha256()
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                digest.update(line)
                try:
                    item = orjson.loads(line)
                    row = np.frombuffer(base64.b64decode(item["vector"], validate=True), dtype="<f2")
                    text = str(item["text"])
                except (ValueError, KeyError, TypeError) as error:
                    raise InvalidInputError(
                        f"line {number}: give an object with text, and vector as base64 of float16 ({error})",
                        line=number,
                    ) from error
                if not len(row) or (rows and len(row) != len(rows[0])):
                    raise InvalidInputError(
                        f"line {number}: a vector of {len(row)} numbers, where others have {len(rows[0]) if rows else 'some'}",
                        line=number,
                    )
                self._place[text] = len(rows)
                rows.append(row)
        self._table = np.array(rows, dtype="<f2")
        self._name, self._digest = name, f"sha256:{digest.hexdigest()}"

    @property
    def reference(self) -> EmbedderRef:
        dimensions = self._table.shape[1] if self._table.ndim > 1 else 0
        return EmbedderRef(name=self._name, digest=self._digest, dimensions=dimensions)

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        return without_common(self.plain(texts))

    def plain(self, texts: Sequence[str]) -> np.ndarray:
        missing = [text for text in texts if text not in self._place]
        if missing:
            raise InvalidInputError(
                f"{len(missing)} of {len(texts)} texts have no vector, for example {missing[0][:80]!r}: fetch the texts and embed them again"
            )
        return unit(self._table[[self._place[text] for text in texts]])


def unit(vectors: np.ndarray) -> np.ndarray:
    """Each row at length 1; what is zero or no number becomes zero."""
    vectors = np.nan_to_num(vectors.astype(np.float32, copy=False), posinf=0, neginf=0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: np.ndarray = vectors / np.where(lengths > 0, lengths, 1)
    return scaled


def without_common(vectors: np.ndarray) -> np.ndarray:
    """Rows without their share of the direction that is strongest over all of them, at length 1 again."""
    common = common_direction(vectors)
    return vectors if common is None else _without(vectors, common)


def common_direction(vectors: np.ndarray) -> np.ndarray | None:
    """(D, 1): the direction that is strongest over all rows; None if there are too few to tell."""
    if len(vectors) < ENOUGH:
        return None
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    strongest: np.ndarray = directions[:, -1:].astype(np.float32)
    return strongest


def _without(vectors: np.ndarray, direction: np.ndarray) -> np.ndarray:
    return unit(vectors - (vectors @ direction) @ direction.T)
