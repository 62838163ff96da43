"""The gates that compare questions: near-duplicates among the targeted ones, and contamination by a benchmark's.

What is asked is compared, not the evidence beside it. Texts and numbers that most questions share do not count (lookalikes.py).
Meaning is compared last, and gives a suspicion (paraphrases.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from burnish.curation.gates.ledger import Ledger
from burnish.curation.gates.lookalikes import (
    TEMPLATE_SHARE,
    TEMPLATE_TEXTS,
    Asked,
    Like,
    Lookalikes,
    fold,
    jaccard,
    shingles,
    template_of,
)
from burnish.curation.gates.paraphrases import Paraphrases
from burnish.curation.splitting import Partition
from burnish.curation.targets import Example
from burnish.schemas.benchmark import BenchmarkQuestion

NEAR_DUPLICATE = "near-duplicate: another row asks nearly the same and has the same answer"
SAME_TURN = "contamination: its last user turn is a benchmark question's"
NEAR_BENCHMARK = "contamination: it asks nearly what a benchmark question asks"
SUSPECTED = "suspected contamination: it may ask a benchmark question in other words"
LONG_TURN = 30  # characters; a shorter last turn ("yes, please") says nothing without those before it
LONG_ANSWER, ANSWER_SIMILARITY = 200, 0.85  # shorter answers must be the same words


@dataclass(frozen=True)
class Contaminated:
    reason: str
    like: Like


class Screen:
    """Compares what is asked with the targeted questions and with the benchmark's. Built once for a dataset.

    by_meaning: whether paraphrases of benchmark questions are looked for.
    """

    def __init__(
        self, examples: Sequence[Example], questions: Sequence[BenchmarkQuestion], by_meaning: bool = False
    ) -> None:
        asked = [Asked.of(question.question, question.prompt_messages()) for question in questions]
        everything = [*(example.asked for example in examples), *asked]
        self._template = template_of(text for each in everything for text in {each.question, each.turn})
        self._targeted = self.index()
        self._ids = {example.key: example.question_id for example in examples}
        self._pairs: dict[str, list[Like]] = {}
        # corrected ones first, so that formats with and without the others find the same pairs of them
        for example in sorted(examples, key=lambda each: each.correction is None):
            self._pairs[example.key] = self._targeted.add(example.key, example.asked)
        self._benchmark = self.index()
        for question, each in zip(questions, asked, strict=True):
            self._benchmark.add(question.question_id, each)
        self._turns = _long_turns((q.question_id, each.turn) for q, each in zip(questions, asked, strict=True))
        self._own_turns = _long_turns((example.key, example.asked.turn) for example in examples)

        self._paraphrases = None
        if by_meaning and questions and examples:
            of_benchmark = {q.question_id: each for q, each in zip(questions, asked, strict=True)}
            self._paraphrases = Paraphrases(of_benchmark, [example.asked for example in examples])

    def index(self) -> Lookalikes:
        return Lookalikes(self._template)

    def joined(self, examples: Sequence[Example], keys: Mapping[str, set[str]]) -> dict[str, set[str]]:
        """`keys` (question id -> prompt keys), with one more for each pair that asks nearly the same, which the split keeps on one side."""
        more: dict[str, set[str]] = defaultdict(set, {question_id: set(found) for question_id, found in keys.items()})
        by_key = {example.key: example for example in examples}
        for turn, found in self._own_turns.items():
            for key in found:
                more[by_key[key].question_id].add(f"turn {turn}")
        for key, likes in self._pairs.items():
            for like in likes:
                for one in (key, like.key):
                    more[by_key[one].question_id].add(f"near {like.key} {key}")
        return dict(more)

    def contamination(
        self, question_ids: Iterable[str], asked: Asked, unguarded: frozenset[str]
    ) -> Contaminated | None:
        """By which benchmark question. unguarded: those that may be trained on, besides the question's own."""
        own = unguarded.union(question_ids)
        for other in self._turns.get(fold(asked.turn), ()):
            if other not in own:
                return Contaminated(SAME_TURN, Like(other, 1.0))
        like = next(iter(self._benchmark.find(asked, but=own)), None)
        return Contaminated(NEAR_BENCHMARK, like) if like else None

    def suspicion(self, question_ids: Iterable[str], asked: Asked, unguarded: frozenset[str]) -> Contaminated | None:
        """As `contamination`, by meaning; None where that one has found something."""
        own = unguarded.union(question_ids)
        like = self._paraphrases.find(asked, but=own) if self._paraphrases else None
        if like is None or self.contamination(own, asked, unguarded):
            return None
        return Contaminated(SUSPECTED, like)

    def doubt_replay(self, replayed: Sequence[tuple[str, Asked]], ledger: Ledger) -> None:
        """Name the replay rows (question id, what it asks) that may ask a benchmark question in other words."""
        if self._paraphrases:
            self._paraphrases.prepare(asked for _, asked in replayed)
        for question_id, asked in replayed:
            found = self.suspicion([question_id], asked, frozenset())
            if found:
                ledger.doubt(found.reason, [question_id], found.like)

    def targeted(self, asked: Asked) -> Like | None:
        """The targeted question that asks nearly this."""
        found = next(iter(self._targeted.find(asked)), None)
        return Like(self._ids[found.key], found.similarity) if found else None

    def without_contaminated(
        self,
        parts: Partition,
        benchmark_only: frozenset[str],
        ledger: Ledger,
        drop: bool,
        check: Callable[[Iterable[str], Asked, frozenset[str]], Contaminated | None],
    ) -> Partition:
        """Parts without the training examples that a benchmark guards. drop: False if they are to stay, doubted. check: by which tier.

        A question that is left out is not trained on, so it guards in its turn: until nothing changes.
        """
        while True:
            trained = frozenset(q for example in parts.trained for q in example.question_ids) - benchmark_only
            bad: set[str] = set()
            for example in parts.trained:
                found = check(example.question_ids, example.asked, trained)
                if found:
                    bad.add(example.key)
                    write = ledger.leave_out if drop else ledger.doubt
                    write(found.reason, example.question_ids, found.like)
            if not bad or not drop:
                return parts
            parts = parts.changed(_without(bad))

    def without_near_duplicates(self, parts: Partition, ledger: Ledger) -> Partition:
        """Of examples in one part that ask nearly the same and answer the same, the first is kept; the others count as trained on with it."""
        kept: dict[str, Example] = {}
        follow: dict[str, list[str]] = defaultdict(list)
        dropped: set[str] = set()
        trained = {example.key: example for example in parts.trained}
        for key, likes in self._pairs.items():
            if key not in trained:
                continue
            example = trained[key]
            first = next((like for like in likes if like.key in kept and _answer_alike(kept[like.key], example)), None)
            if first is None:
                kept[key] = example
                continue
            dropped.add(key)
            follow[first.key] += example.question_ids
            original = kept[first.key].question_id
            ledger.leave_out(NEAR_DUPLICATE, example.question_ids, Like(original, first.similarity))

        def merged(example: Example) -> Example | None:
            if example.key in dropped:
                return None
            return replace(example, question_ids=(*example.question_ids, *sorted(follow.get(example.key, ()))))

        return parts.changed(merged)

    def answered_otherwise(self, trained: Mapping[str, Example], least: float) -> Iterator[tuple[Example, Like]]:
        """Trained examples that ask nearly what an earlier one asks, with the question of that one, if their corrections differ."""
        for key, likes in self._pairs.items():
            others = [like for like in likes if like.key in trained and like.similarity >= least]
            found = next(
                (o for o in others if key in trained and not _answer_alike(trained[key], trained[o.key])), None
            )
            if found:
                yield trained[key], Like(trained[found.key].question_id, found.similarity)


def _without(keys: set[str]) -> Callable[[Example], Example | None]:
    return lambda example: None if example.key in keys else example


def _answer_alike(one: Example, other: Example) -> bool:
    """Both corrected the same, both uncorrected with the same wrong answer, or the same preferred or rated alike."""
    (kind, text), (other_kind, other_text) = one.taught, other.taught
    if kind != other_kind:
        return False
    first, second = fold(text), fold(other_text)
    if first == second:
        return True
    return (
        min(len(first), len(second)) >= LONG_ANSWER and jaccard(shingles(first), shingles(second)) >= ANSWER_SIMILARITY
    )


def _long_turns(turns: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Last user turn -> keys of the prompts that have it; not of turns that are short, or that are the set's own phrase."""
    found: dict[str, list[str]] = defaultdict(list)
    total = 0
    for key, turn in turns:
        total += 1
        found[fold(turn)].append(key)
    most = max(TEMPLATE_TEXTS, TEMPLATE_SHARE * total)
    return {turn: keys for turn, keys in found.items() if len(turn) >= LONG_TURN and len(keys) <= most}
