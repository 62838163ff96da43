"""Rows as tokens by the real tokenizer and its chat template: what carries loss, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from unit.trainer.made import assistant, encode, user

from burnish.errors import InvalidInputError
from burnish.schemas.base import Message
from burnish_trainer.data.tokens import MASKED, Example, require_trainable

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
    import copy

    endless = copy.deepcopy(tokenizer)
    endless.chat_template = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    with pytest.raises(InvalidInputError, match="would not learn to stop"):
        encode(endless, user("Hi"), assistant("Hello"))


def example(question_id: str, length: int, prompt: int = 1) -> Example:
    return Example(question_id=question_id, ids=tuple(range(length)), prompt_tokens=prompt)


def test_rows_as_long_as_allowed_pass_and_longer_ones_are_named() -> None:
    require_trainable([example("fits", 10)], max_length=10)
    with pytest.raises(
        InvalidInputError, match=r"2 rows are longer than max_length 10 tokens .the longest has 12.*a, b"
    ):
        require_trainable([example("fits", 10), example("a", 11), example("b", 12)], max_length=10)


def test_many_long_rows_are_counted_not_listed() -> None:
    with pytest.raises(InvalidInputError, match="q9 and 20 more"):
        require_trainable([example(f"q{number}", 11) for number in range(30)], max_length=10)


def test_rows_with_nothing_to_learn_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"empty completion.*only-eos"):
        require_trainable([example("only-eos", 10, prompt=9)], max_length=10)
