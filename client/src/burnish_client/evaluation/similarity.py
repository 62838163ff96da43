"""Which texts are nearest to a text, by the words they share. Used to choose examples for the nearest-few-shot arm."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

WORD = re.compile(r"\w+")


class TextIndex:
    """Texts by TF-IDF: 1 + log(count) times log((1 + N) / (1 + texts with the word)) + 1, unit length.

    Words are runs of letters, digits and underscores, case folded. Source: Manning, Raghavan, Schütze, "Introduction to
    Information Retrieval", 6.4 (sublinear tf, smoothed idf as scikit-learn has it). Used to pick examples as in Liu et
    al. 2022, "What Makes Good In-Context Examples for GPT-3?", section 3, with words in place of embeddings.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        counted = [_words(text) for text in texts]
        documents = Counter(word for words in counted for word in words)
        self._column = {word: column for column, word in enumerate(sorted(documents))}
        self._idf = {word: math.log((1 + len(texts)) / (1 + count)) + 1 for word, count in documents.items()}
        self._weights_ND = self._matrix(counted)

    def nearest(self, text: str) -> list[int]:
        """Every text's index, most similar first; ties in the order given."""
        similarity_N = (self._weights_ND @ self._matrix([_words(text)]).T).toarray()[:, 0]
        return [int(i) for i in np.argsort(-similarity_N, kind="stable")]

    def _matrix(self, counted: Sequence[Counter[str]]) -> csr_array:
        """One row a text; words that no text of the index has are left out."""
        values, columns, starts = [], [], [0]
        for words in counted:
            weights = {w: (1 + math.log(count)) * self._idf[w] for w, count in words.items() if w in self._column}
            length = math.sqrt(sum(weight**2 for weight in weights.values())) or 1.0
            values += [weight / length for weight in weights.values()]
            columns += [self._column[word] for word in weights]
            starts.append(len(values))
        return csr_array((values, columns, starts), shape=(len(counted), len(self._column)))


def _words(text: str) -> Counter[str]:
    return Counter(WORD.findall(text.casefold()))
