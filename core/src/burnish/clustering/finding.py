"""From failures to named clusters: signatures first, then communities of the other answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from burnish.clustering.canned import opening
from burnish.clustering.failures import Compared, Failures, compare
from burnish.clustering.groups import groups, parts_of_signature
from burnish.clustering.naming.forms import form_of_all
from burnish.clustering.naming.phrases import name_of, phrases_of
from burnish.clustering.texts import Kept, words
from burnish.embedding.vectors import Embedder
from burnish.errors import PreconditionError
from burnish.schemas.clustering import Cluster

ALONE = -1
SHOWN_CENTRAL, SHOWN_ODD = 3, 2
Topics = tuple[np.ndarray, list[str]]  # the number of each failure's topic, and their names


@dataclass(frozen=True)
class Draft:
    """A cluster before it is described. name: None until one is made up, by what is said in it or after its signature."""

    name: str | None = None
    by_phrases: bool = True
    signature: str | None = None
    stability: float | None = None
    known: bool = False
    canned: bool = False


@dataclass(frozen=True)
class Found:
    """cluster_R: the number of each failure's cluster in `clusters`, or ALONE; topic_R: its topic's in `topics`. row_R, line_R: as in Failures."""

    row_R: np.ndarray
    line_R: np.ndarray
    cluster_R: np.ndarray
    topic_R: np.ndarray
    clusters: list[Cluster]
    topics: dict[str, int]


def find(
    failures: Failures, embedder: Embedder, seed: int, taken: Iterable[str] = (), topics_by: Embedder | None = None
) -> Found:
    """Clusters of the failures. taken: labels that the log has already. topics_by: of the questions, if not the same embedder. The same failures and seed give the same clusters."""
    if not len(failures):
        raise PreconditionError(
            "every failure of the model has a label already, or there is none: `burnish diagnose` shows them, and "
            "--label NAME clusters those of a label"
        )
    compared = compare(failures, embedder, seed, topics_by)
    drafts: list[Draft] = []
    number_R = np.full(len(failures), ALONE)
    add(failures, compared, np.arange(len(failures)), drafts, number_R, seed)
    return describe(failures, compared, drafts, number_R, topics_of(failures, compared), taken)


def add(
    failures: Failures, compared: Compared, members: np.ndarray, drafts: list[Draft], number_R: np.ndarray, seed: int
) -> None:
    """Cluster the members: write their numbers, and append the new clusters."""
    signature_M = np.array([failures.signatures[i] or "" for i in members])
    for signature in sorted(set(signature_M.tolist()), key=lambda each: (not each, each)):
        inside = members[signature_M == signature]
        found = parts_of_signature if signature else groups
        parts = found(failures, compared, inside, seed)
        for part in parts:
            number_R[part.members] = len(drafts)
            drafts.append(
                Draft(
                    by_phrases=not signature or len(parts) > 1,
                    signature=signature or None,
                    stability=part.stability,
                    canned=part.canned,
                )
            )


def describe(
    failures: Failures,
    compared: Compared,
    drafts: Sequence[Draft],
    number_R: np.ndarray,
    topics: Topics,
    taken: Iterable[str] = (),
) -> Found:
    """Sizes, examples, phrases and names, for clusters largest first.

    taken: labels of other lines. Only a signature's cluster may have one of them: the same rule gave it to these.
    """
    sizes = np.bincount(number_R[number_R >= 0], minlength=len(drafts))
    order = sorted(range(len(drafts)), key=lambda number: (-sizes[number], number))
    members = [np.flatnonzero(number_R == number) for number in order]
    phrases = phrases_of([[compared.kept[i] for i in _distinct(compared, inside)] for inside in members])
    phrases = [
        [text] if drafts[number].canned and (text := opening(failures, inside)) else own
        for number, inside, own in zip(order, members, phrases, strict=True)
    ]
    topic_R, topic_names = topics
    taken = set(taken)
    mine = {draft.name for draft in drafts if draft.name}
    clusters = []
    for number, inside, own in zip(order, members, phrases, strict=True):
        draft = drafts[number]
        name = draft.name or _name(draft, own, failures, inside, mine, taken)
        mine.add(name)
        clusters.append(_cluster(name, draft, failures, compared, inside, own, topic_R, topic_names))
    renumbered = np.full(len(drafts) + 1, ALONE)
    renumbered[order] = np.arange(len(order))
    counts = np.bincount(topic_R, minlength=len(topic_names))
    return Found(
        failures.row_R,
        failures.line_R,
        renumbered[number_R],
        topic_R,
        clusters,
        dict(zip(topic_names, counts.tolist(), strict=True)),
    )


def _name(
    draft: Draft, phrases: Sequence[str], failures: Failures, inside: np.ndarray, mine: set[str], taken: set[str]
) -> str:
    if not draft.by_phrases:
        return name_of([], mine, draft.signature or "unnamed")
    form = form_of_all([failures.forms[i] for i in inside])
    if not phrases and form is None and (text := opening(failures, inside)):
        phrases = [text]
    return name_of(phrases, taken | mine, form or "unnamed", prefix=draft.signature or "")


def _cluster(
    name: str,
    draft: Draft,
    failures: Failures,
    compared: Compared,
    inside: np.ndarray,
    phrases: list[str],
    topic_R: np.ndarray,
    topics: Sequence[str],
) -> Cluster:
    central, odd = _examples(failures, compared, inside)
    return Cluster(
        name=name,
        signature=draft.signature,
        size=len(inside),
        questions=len(np.unique(failures.question_R[inside])),
        distinct=len(_distinct(compared, inside)),
        stability=draft.stability,
        known=draft.known,
        canned=draft.canned,
        topics={topics[topic]: count for topic, count in Counter(topic_R[inside].tolist()).most_common()},
        phrases=phrases,
        central=failures.line_R[central].tolist(),
        odd=failures.line_R[odd].tolist(),
    )


def _distinct(compared: Compared, inside: np.ndarray) -> np.ndarray:
    """One failure of each group of near-duplicates."""
    _, first = np.unique(compared.leader_R[inside], return_index=True)
    return inside[np.sort(first)]


def _examples(failures: Failures, compared: Compared, inside: np.ndarray) -> tuple[list[int], list[int]]:
    """(nearest to the middle, farthest from it), each of another question: the runs of one often say the same."""
    vectors = compared.vector_R[inside]
    cosines = vectors @ vectors.mean(axis=0)
    ranked = inside[np.argsort(-cosines, kind="stable")].tolist()
    central = _of_different_questions(failures, ranked, SHOWN_CENTRAL)
    odd = _of_different_questions(failures, ranked[::-1], SHOWN_ODD)
    return central, [i for i in odd if i not in central]


def _of_different_questions(failures: Failures, ranked: Sequence[int], most: int) -> list[int]:
    first: dict[int, int] = {}
    for i in ranked:
        if len(first) == most:
            break
        first.setdefault(int(failures.question_R[i]), i)
    return list(first.values())


def topics_of(failures: Failures, compared: Compared) -> Topics:
    """(number of each failure's topic, names of the topics), largest first."""
    values, inverse, counts = np.unique(compared.topic_R, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    position = np.empty(len(values), dtype=np.int64)
    position[order] = np.arange(len(values))
    topic_R = position[inverse]
    asked: list[dict[str, None]] = [{} for _ in values]
    for question, topic in zip(failures.questions, topic_R.tolist(), strict=True):
        asked[topic].setdefault(question)
    kept: list[list[Kept]] = [[list(words(question)) for question in questions] for questions in asked]
    names: list[str] = []
    for own in phrases_of(kept):
        names.append(name_of(own, names, "other"))
    return topic_R, names
