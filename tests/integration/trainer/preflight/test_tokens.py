"""Rows as tokens by the real tokenizer and its chat template: what carries loss, and what is refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from unit.trainer.made import assistant, encode, user

from burnish.errors import InvalidInputError
from burnish.schemas.base import Message
from burnish.schemas.dataset import SftRow
from burnish_trainer.data.rows import Record, record_of
from burnish_trainer.data.tokens import MASKED, encode_records

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def tokenizer(base_model_dir: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base_model_dir)


def test_exactly_the_prompt_is_masked(tokenizer: Any) -> None:
    prompt = [Message(role="system", content="Be brief."), *user("Which file?")]
    example = encode(tokenizer, prompt, assistant('{"file": "os.py"}'))
    trained = [token for token, label in zip(example.ids, example.labels, strict=True) if label != MASKED]
    assert tokenizer.decode(trained) == '{"file": "os.py"}<|im_end|>'
    masked = example.ids[: example.prompt_tokens]
    assert tokenizer.decode(masked) == tokenizer.apply_chat_template(
        [message.model_dump() for message in prompt], tokenize=False, add_generation_prompt=True
    )


def test_the_end_of_the_answer_is_trained_and_nothing_after_it(tokenizer: Any) -> None:
    example = encode(tokenizer, user("Hi"), assistant("Hello"))
    assert example.labels[-1] == tokenizer.eos_token_id == example.ids[-1]
    assert example.trained_tokens == len([label for label in example.labels if label != MASKED])


def test_a_completion_of_several_messages_is_trained_to_its_last_end(tokenizer: Any) -> None:
    completion = [*assistant("One moment."), *user("Yes?"), *assistant("Done.")]
    example = encode(tokenizer, user("Go"), completion)
    assert tokenizer.decode(example.ids[example.prompt_tokens :]).endswith("Done.<|im_end|>")


def test_a_template_that_never_ends_an_answer_is_refused(tokenizer: Any) -> None:
    endless = copy.deepcopy(tokenizer)
    endless.chat_template = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    with pytest.raises(InvalidInputError, match=r"have no <.im_end.> behind the completion.*: q"):
        encode(endless, user("Hi"), assistant("Hello"))


def rows(*questions: str, answer: str = "Yes.") -> list[Record]:
    return [
        record_of(SftRow(question_id=q, source="correction", prompt=user(q), completion=assistant(answer)))
        for q in questions
    ]


def test_rows_as_long_as_allowed_pass_and_longer_ones_are_named(tokenizer: Any) -> None:
    short, long = rows("Why?"), rows("Why on earth, then?")
    length = len(encode_records(tokenizer, short, max_length=100)[0].examples[0].ids)
    assert len(encode_records(tokenizer, short, max_length=length)) == 1
    with pytest.raises(
        InvalidInputError, match=rf"1 rows .*longer than max_length {length},.*: Why on earth, then\?\."
    ) as refusal:
        encode_records(tokenizer, [*short, *long], max_length=length)
    assert refusal.value.metadata["question_ids"] == "Why on earth, then?"


def test_many_faulty_rows_are_counted_and_not_all_listed(tokenizer: Any) -> None:
    with pytest.raises(InvalidInputError, match="30 rows") as refusal:
        encode_records(tokenizer, rows(*(f"q{number}" for number in range(30))), max_length=3)
    assert len(refusal.value.metadata["question_ids"].split(",")) == 10


def test_rows_with_nothing_to_learn_are_refused(tokenizer: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"nothing before it: empty"):
        encode_records(tokenizer, rows("empty", answer=""), max_length=100)
