"""Near-duplicates against their definition, and that their search does not grow with the square of the rows."""

from __future__ import annotations

import random
import string

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.trainer.made import assistant, user

from burnish.curation.gates.lookalikes import jaccard, shingles
from burnish.schemas.dataset import SftRow
from burnish_trainer.data.rows import Record, record_of
from burnish_trainer.preflight.checks.duplicates import SIMILARITY, near_duplicates


def records(prompts: list[str], answers: list[str] | None = None) -> list[Record]:
    said = answers or ["yes"] * len(prompts)
    rows = [
        SftRow(question_id=str(number), source="correction", prompt=user(prompt), completion=assistant(answer))
        for number, (prompt, answer) in enumerate(zip(prompts, said, strict=True))
    ]
    return [record_of(row) for row in rows]


def words(random_: random.Random, count: int) -> str:
    return " ".join("".join(random_.choices(string.ascii_lowercase, k=6)) for _ in range(count))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_a_typo_in_a_long_prompt_is_found_among_other_rows(seed: int) -> None:
    random_ = random.Random(seed)
    prompts = [words(random_, 30) for _ in range(20)]
    place = random_.randrange(len(prompts[7]) - 1)
    typo = prompts[7][:place] + "#" + prompts[7][place + 1 :]
    assert near_duplicates(records([*prompts, typo])) == [("7", "20")]


def test_another_number_or_another_answer_is_another_row() -> None:
    text = words(random.Random(1), 40)
    assert near_duplicates(records([f"{text} 51875", f"{text} 39266"])) == []
    assert near_duplicates(records([text, f"{text}!"], ["yes", "no"])) == []
    assert near_duplicates(records([text, f"{text}!"], ["Yes.", "yes"])) == [("0", "1")]


def test_a_template_that_many_rows_share_is_no_likeness() -> None:
    random_ = random.Random(2)
    template = words(random_, 80)
    assert near_duplicates(records([f"{template} {words(random_, 3)}" for _ in range(40)])) == []


def test_a_heap_of_near_copies_names_each_once() -> None:
    random_ = random.Random(3)
    text, others = words(random_, 60), [words(random_, 60) for _ in range(60)]
    heap = [text[:place] + "#" + text[place + 1 :] for place in range(0, 40, 4)]
    pairs = near_duplicates(records([text, *heap, *others]))
    assert [other for _, other in pairs] == [str(number) for number in range(1, 11)]


def test_pairs_are_as_like_as_is_said() -> None:
    random_ = random.Random(4)
    found = records([words(random_, 5) for _ in range(50)] + ["aaaa bbbb cccc"] * 1 + ["aaaa bbbb cccc!"])
    by_id = {record.question_id: record for record in found}
    for one, other in near_duplicates(found):
        texts = (by_id[name].prompt[-1].content for name in (one, other))
        assert jaccard(*map(shingles, texts)) >= SIMILARITY
