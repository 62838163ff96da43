"""Held-out and validation splits: exact shares, stratified, stable, and never across a shared prompt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.curation.gates.lookalikes import Asked
from burnish.curation.splitting import Partition, Unit, hash_rank, partition, quotas, units
from burnish.curation.targets import Example
from burnish.errors import PreconditionError
from burnish.schemas.base import Message


def example(key: str, *question_ids: str, label: str = "a") -> Example:
    ids = question_ids or (f"q-{key}",)
    return Example(key, ids, label, [Message(role="user", content=key)], "right", "wrong", None, Asked(key, key))


def singles(count: int, label: str = "a") -> list[Unit]:
    return units([example(f"{label}{n}", label=label) for n in range(count)], {})


def questions(chosen: list[Unit]) -> set[str]:
    return {question_id for unit in chosen for e in unit.examples for question_id in e.question_ids}


def test_the_stated_share_is_held_out_of_each_label() -> None:
    parts = partition([*singles(20, "a"), *singles(10, "b")], held_out_share=0.3, validation_share=0.1, seed=0)
    held_out = [unit.label for unit in parts.held_out]
    assert (held_out.count("a"), held_out.count("b")) == (6, 3)
    assert len(parts.validation) == 2
    assert len(parts.train) == 19


def test_no_question_is_in_two_parts_and_none_is_lost() -> None:
    every = singles(17)
    parts = partition(every, 0.3, 0.2, seed=3)
    placed = [*parts.held_out, *parts.validation, *parts.train]
    assert len(placed) == len(questions(placed)) == 17


def test_the_seed_decides() -> None:
    every = singles(20)

    def held_out(seed: int) -> set[str]:
        return questions(partition(every, 0.3, 0.1, seed).held_out)

    assert held_out(1) == held_out(1)
    assert held_out(1) != held_out(2)


def test_the_order_of_examples_does_not_matter() -> None:
    examples = [example(f"k{n}") for n in range(20)]
    forward = partition(units(examples, {}), 0.3, 0.1, seed=0)
    backward = partition(units(examples[::-1], {}), 0.3, 0.1, seed=0)
    assert questions(forward.held_out) == questions(backward.held_out)
    assert questions(forward.validation) == questions(backward.validation)


def test_validation_does_not_move_the_held_out_part() -> None:
    every = singles(20)
    assert questions(partition(every, 0.3, 0.0, seed=0).held_out) == questions(
        partition(every, 0.3, 0.4, seed=0).held_out
    )


def test_one_more_question_moves_few_others() -> None:
    before = questions(partition(singles(40), 0.25, 0, seed=0).held_out)
    after = questions(partition(singles(41), 0.25, 0, seed=0).held_out)
    assert len(before - after) <= 1


def test_questions_that_share_a_prompt_in_any_run_are_one_unit() -> None:
    examples = [example("k1"), example("k2"), example("k3"), example("k4", "q-k4", "q-k5")]
    keys = {"q-k1": {"k1", "x"}, "q-k2": {"k2"}, "q-k3": {"k3", "x"}, "q-k5": {"k4", "k2"}}
    found = {frozenset(questions([unit])) for unit in units(examples, keys)}
    assert found == {frozenset({"q-k1", "q-k3"}), frozenset({"q-k2", "q-k4", "q-k5"})}


def test_at_least_one_is_held_out_and_one_trains() -> None:
    parts = partition(singles(2), held_out_share=0.01, validation_share=0.5, seed=0)
    assert (len(parts.held_out), len(parts.validation), len(parts.train)) == (1, 0, 1)
    parts = partition(singles(2), held_out_share=0.99, validation_share=0, seed=0)
    assert (len(parts.held_out), len(parts.train)) == (1, 1)


def test_a_single_unit_cannot_be_split() -> None:
    with pytest.raises(PreconditionError, match="at least 2 questions with different prompts"):
        partition(units([example("k", "q1", "q2")], {}), 0.3, 0.1, seed=0)


@given(
    st.lists(st.integers(1, 4), min_size=2, max_size=12),
    st.floats(0.01, 0.99),
    st.floats(0, 0.99),
    st.integers(0, 5),
)
def test_every_split_is_a_partition(sizes: list[int], held_out: float, validation: float, seed: int) -> None:
    examples = [
        example(f"k{n}", *(f"q{n}-{i}" for i in range(size)), label=f"l{n % 3}") for n, size in enumerate(sizes)
    ]
    parts: Partition = partition(units(examples, {}), held_out, validation, seed)
    pieces = [questions(parts.held_out), questions(parts.validation), questions(parts.train)]
    assert sum(map(len, pieces)) == len(set().union(*pieces)) == sum(sizes)
    assert pieces[0]
    assert pieces[2]


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 50), min_size=1), st.floats(0, 1), st.booleans())
def test_quotas_add_up_and_fit(sizes: dict[str, int], share: float, at_least_one: bool) -> None:
    found = quotas(sizes, share, at_least_one)
    everything = sum(sizes.values())
    assert sum(found.values()) == min(max(round(share * everything), int(at_least_one)), everything - 1)
    assert all(0 <= found[name] <= sizes[name] for name in sizes)


def test_hash_ranks_are_uniform_and_independent_of_each_other() -> None:
    ranks = [hash_rank(0, "a", str(n)) for n in range(2000)]
    assert all(0 <= rank < 1 for rank in ranks)
    assert sum(ranks) / len(ranks) == pytest.approx(0.5, abs=0.03)
    assert hash_rank(0, "a", "x") != hash_rank(0, "b", "x")
