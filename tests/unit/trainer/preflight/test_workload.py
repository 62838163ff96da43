"""The workload against what can be counted by hand."""

from __future__ import annotations

from unit.trainer.preflight.sets import spec_of

from burnish.schemas.training.job import JobSpec
from burnish_trainer.data.batches import make_schedule
from burnish_trainer.data.tokens import EncodedRow, Example
from burnish_trainer.preflight.workload import count


def example(name: str, length: int, prompt: int = 2) -> Example:
    return Example(question_id=name, ids=tuple(range(length)), prompt_tokens=prompt)


def row(*examples: Example) -> EncodedRow:
    return EncodedRow(examples)


def spec(method: str, **optimizer: int) -> JobSpec:
    return spec_of(method, optimizer={"batch_size": 2, "epochs": 1, "evaluation_interval_steps": 1, **optimizer})


def test_sft_rows_are_padded_to_the_longest_of_their_device_step() -> None:
    train = [row(example("a", 4)), row(example("b", 5)), row(example("c", 9)), row(example("d", 10))]
    work = count(spec("sft"), train, [row(example("v", 7))])
    assert (work.steps, work.rows) == (2, 4)
    assert work.padded_tokens == 2 * 5 + 2 * 10  # rows of like length together
    assert work.trained_tokens == 4 + 5 + 9 + 10 - 4 * 2
    assert (work.heaviest_step_tokens, work.longest_row_tokens) == (20, 10)
    assert (work.evaluations, work.evaluation_tokens, work.evaluation_heaviest_tokens) == (2, 7, 7)
    assert work.reference_tokens == 0


def test_accumulated_device_steps_are_padded_one_by_one() -> None:
    lengths = [4, 5, 9, 10]
    wanted = spec("sft", gradient_accumulation_steps=2)
    work = count(wanted, [row(example(str(length), length)) for length in lengths], [])
    schedule = make_schedule(lengths, lengths, wanted.optimizer, wanted.seed)
    batches = [[lengths[row] for row in schedule.order[start : start + 2]] for start in (0, 2)]
    assert work.steps == 1
    assert work.padded_tokens == sum(2 * max(batch) for batch in batches)
    assert work.heaviest_step_tokens == max(2 * max(batch) for batch in batches)
    assert work.evaluations == 0


def test_a_pair_is_two_sequences_and_the_reference_sees_every_sequence_once() -> None:
    pairs = [row(example("a", 6), example("a", 9)), row(example("b", 7), example("b", 8))]
    validation = [row(example("v", 3), example("v", 5))]
    work = count(spec("dpo", epochs=3), pairs, validation)
    assert work.padded_tokens == 3 * 4 * 9
    assert work.trained_tokens == 3 * (6 + 9 + 7 + 8 - 4 * 2)
    assert work.evaluation_tokens == 2 * 5
    assert work.reference_tokens == 6 + 9 + 7 + 8 + 3 + 5
    assert count(spec("dpo"), pairs, validation, reference_stored=True).reference_tokens == 0
    assert count(spec("orpo"), pairs, validation).reference_tokens == 0


def test_prompts_that_a_batch_has_again_are_counted_batch_by_batch() -> None:
    """Chosen and rejected have one; the second pair's is the first one's in the same step, but not in a step of its own."""

    def pair(prompt: tuple[int, ...]) -> EncodedRow:
        ends = ((*prompt, end, 2) for end in (7, 8))
        return row(*(Example(question_id="q", ids=ids, prompt_tokens=len(prompt)) for ids in ends))

    pairs, validation = [pair((1, 1, 1)), pair((1, 1, 1))], [pair((3, 3))]
    work = count(spec("dpo", epochs=2), pairs, validation)
    assert (work.repeated_tokens, work.repeated_heaviest_tokens) == (2 * 3 * 3, 3 * 3)
    assert work.repeated_evaluation_tokens == 2
    assert work.repeated_reference_tokens == 3 + 2, "the equal pairs are two sequences, not four"
    assert count(spec("dpo", batch_size=1), pairs, []).repeated_tokens == 2 * 3
    once = work.without_repeats()
    assert once.padded_tokens == work.padded_tokens - 18
    assert once.heaviest_step_tokens == work.heaviest_step_tokens - 9
    assert once.evaluation_tokens == work.evaluation_tokens - 2
    assert once.reference_tokens == work.reference_tokens - 5


def test_a_kto_row_goes_through_with_its_own_answer_and_with_the_other_one_s() -> None:
    rows = [row(Example(question_id="a", ids=(1, 2, 3, 4, 5), prompt_tokens=2)),
            row(Example(question_id="b", ids=(6, 7, 8, 9, 9, 9, 9), prompt_tokens=3))]  # fmt: skip
    work = count(spec("kto"), rows, [])
    assert work.padded_tokens == 2 * 7 + 2 * max(2 + 4, 3 + 3)
    assert work.trained_tokens == 3 + 4
    assert work.reference_tokens == 5 + 7 + 6 + 6
