"""Corrections that may be wrong. They stay in the rows: a person looks at them (`burnish dataset show NAME --left-out`)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from burnish.curation.gates.ledger import Ledger
from burnish.curation.gates.lookalikes import Like, fold
from burnish.curation.gates.screen import Screen
from burnish.curation.targets import Example
from burnish.embedding.neighbours import nearest
from burnish.embedding.vectors import WordLlama
from burnish.grading.reading.json_text import JsonProblem, find_object
from burnish.grading.reading.refusal import is_refusal

ANSWERED_OTHERWISE = "doubtful: another question asks nearly the same and its correction says something else"
NOT_JSON = "doubtful: it is no JSON object, as the other corrections under its label are"
REFUSAL = "doubtful: the correction is a refusal, and the others under its label are none"
OTHERS_AGREE = "doubtful: the questions most like it are answered otherwise, most of them alike"
NEIGHBOURS, AGREEING = 10, 7  # none of so many similar questions has its answer, and so many of them share one
LEAST_OF_ANSWER = 5  # corrections with one answer: with fewer it may be a rare answer and no wrong one
ODD_SHARE, LEAST_CORRECTIONS = (
    0.1,
    10,
)  # at most so many of a label's corrections are odd; with fewer corrections nothing is
CLOSE = 0.85  # Jaccard of two questions whose answers should agree


def doubt(examples: Sequence[Example], screen: Screen, ledger: Ledger) -> None:
    """examples: those that are trained on."""
    corrected = {example.key: example for example in examples if example.correction is not None}
    for example, like in screen.answered_otherwise(corrected, CLOSE):
        ledger.doubt(ANSWERED_OTHERWISE, [example.question_id], like)
    _against_neighbours(list(corrected.values()), ledger)
    by_label: dict[str, list[Example]] = defaultdict(list)
    for example in corrected.values():
        by_label[example.label].append(example)
    for group in by_label.values():
        _odd(NOT_JSON, group, [e for e in group if isinstance(find_object(e.correction or ""), JsonProblem)], ledger)
        _odd(REFUSAL, group, [e for e in group if is_refusal(e.correction or "")], ledger)


def _against_neighbours(corrected: Sequence[Example], ledger: Ledger) -> None:
    """Where corrections are a few answers (labels, routes): those that no similar question has. Free text is never doubted so.

    Source: cleanlab's k-NN view of label errors (Northcutt and others), with neighbours by the embedder of clustering.
    """
    every = [fold(example.correction or "") for example in corrected]
    known = Counter(every)
    group = [(e, answer) for e, answer in zip(corrected, every, strict=True) if known[answer] >= LEAST_OF_ANSWER]
    if len({answer for _, answer in group}) < 2 or len(group) <= NEIGHBOURS:
        return
    indices, cosines = nearest(WordLlama().vectors([example.asked.question for example, _ in group]), NEIGHBOURS)
    for (example, own), found, similar in zip(group, indices, cosines, strict=True):
        answers = [group[n][1] for n in found]
        answer, count = Counter(answers).most_common(1)[0]
        if count < AGREEING or own in answers:
            continue
        cosine, other = max(
            (float(c), group[n][0].question_id) for c, n in zip(similar, found, strict=True) if group[n][1] == answer
        )
        ledger.doubt(OTHERS_AGREE, [example.question_id], Like(other, min(1.0, cosine)))


def _odd(reason: str, group: Sequence[Example], odd: Sequence[Example], ledger: Ledger) -> None:
    if len(group) >= LEAST_CORRECTIONS and len(odd) <= ODD_SHARE * len(group):
        ledger.doubt(reason, sorted(example.question_id for example in odd))
