"""Seeded defects: each is put into an otherwise clean set, and must be found under its code, naming its rows and no others."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from unit.trainer.made import assistant
from unit.trainer.preflight.sets import clean, look, manifest, parted, stdlib, user

from burnish.schemas.base import Message
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.training.tuning import Finding
from burnish_trainer.data.rows import StoredRow
from burnish_trainer.preflight.base_model import BaseModel
from burnish_trainer.preflight.types import CheckReport

pytestmark = pytest.mark.model

Rows = list[StoredRow]
LONG = "The clause on termination says that " + " ".join(f"party {n} gives notice in {n} days;" for n in range(3, 12))
AWS_KEY = "AKIA" + "Q7VJ2M4XK9PL3ZTR"  # in two parts, so that no scanner takes this file for a leak


@dataclass(frozen=True)
class Defect:
    """seed: changes rows in place and gives the ids that must be named. alone: no other finding may come with it."""

    code: str
    seed: Callable[[Rows], list[str]]
    method: str = "sft"
    severity: str = "refusal"
    spec: dict[str, Any] = field(default_factory=dict)
    comes_with: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.code}-{self.method}-{self.seed.__name__}"


def change(rows: Rows, place: int, **fields: Any) -> str:
    rows[place] = rows[place].model_copy(update=fields)
    return rows[place].question_id


def answer_field(row: StoredRow) -> str:
    return "chosen" if hasattr(row, "chosen") else "completion"


def set_answer(rows: Rows, place: int, text: str) -> str:
    return change(rows, place, **{answer_field(rows[place]): assistant(text)})


def answer(row: StoredRow) -> str:
    messages: list[Message] = getattr(row, answer_field(row))
    return messages[-1].content


def append(rows: Rows, like: int, question_id: str, **fields: Any) -> str:
    rows.append(rows[like].model_copy(update={"question_id": question_id, **fields}))
    return question_id


def reworded(row: StoredRow, change_text: Callable[[str], str]) -> list[Message]:
    *before, last = row.prompt
    return [*before, last.model_copy(update={"content": change_text(last.content)})]


def empty_completion(rows: Rows) -> list[str]:
    return [set_answer(rows, 3, "")]


def blank_completion(rows: Rows) -> list[str]:
    return [set_answer(rows, 3, " \n\t")]


def empty_prompt(rows: Rows) -> list[str]:
    return [change(rows, 4, prompt=[])]


def blank_system(rows: Rows) -> list[str]:
    return [change(rows, 4, prompt=[Message(role="system", content="  "), rows[4].prompt[-1]])]


def no_completion_message(rows: Rows) -> list[str]:
    return [change(rows, 5, **{answer_field(rows[5]): []})]


def wrongly_decoded(rows: Rows) -> list[str]:
    return [set_answer(rows, 2, "caf\ufffd"), set_answer(rows, 6, "it\x92s")]


def control_character(rows: Rows) -> list[str]:
    return [change(rows, 2, prompt=reworded(rows[2], lambda text: text + "\x1b[0m"))]


def template_token_in_answer(rows: Rows) -> list[str]:
    return [set_answer(rows, 9, "yes<|im_end|>\n<|im_start|>user\nand then?")]


def user_completes(rows: Rows) -> list[str]:
    return [change(rows, 7, **{answer_field(rows[7]): user("Which one, then?")})]


def system_in_the_middle(rows: Rows) -> list[str]:
    return [change(rows, 1, prompt=[*user("First"), Message(role="system", content="Be brief."), *user("Second")])]


def two_users_in_a_row(rows: Rows) -> list[str]:
    return [change(rows, 1, prompt=[*user("One thing."), *user("And another.")])]


def prompt_ends_with_assistant(rows: Rows) -> list[str]:
    return [change(rows, 8, prompt=[*user("Who wrote it?"), *assistant("Let me see.")])]


def too_long(rows: Rows) -> list[str]:
    return [set_answer(rows, 11, "a b c d " * 600)]


def longer_than_the_model(rows: Rows) -> list[str]:
    return [change(rows, 11, prompt=user("one two three four five six " * 1500))]


def prompt_ends_with_answer(rows: Rows) -> list[str]:
    return [
        change(
            rows, place, prompt=reworded(rows[place], lambda text, row=rows[place]: f"{text}\n\nAnswer: {answer(row)}")
        )
        for place in (3, 12)
    ]


def prompt_announces_answer_by_a_heading(rows: Rows) -> list[str]:
    return [change(rows, 3, prompt=reworded(rows[3], lambda text: f"{text}\n### Response:\n{answer(rows[3])}\n"))]


def answer_is_a_turn_already(rows: Rows) -> list[str]:
    return [change(rows, 3, prompt=[*rows[3].prompt, *assistant(answer(rows[3])), rows[3].prompt[-1]])]


def long_answer_ends_prompt(rows: Rows) -> list[str]:
    set_answer(rows, 3, LONG)
    return [change(rows, 3, prompt=user(f"What does it say?\n\n{LONG}"))]


def long_answer_in_evidence(rows: Rows) -> list[str]:
    set_answer(rows, 3, LONG)
    return [change(rows, 3, prompt=user(f"§ 1 {LONG} § 2 None.\n\nQuote the clause on termination."))]


def repeated(rows: Rows) -> list[str]:
    originals = [rows[place].question_id for place in range(5)]
    return originals + [append(rows, place, f"again-{place}") for place in range(5)]


def repeated_but_for_white_space(rows: Rows) -> list[str]:
    names = []
    for place in range(5):
        spaced = reworded(rows[place], lambda text: text.replace(" ", "  ") + "\n")
        names += [rows[place].question_id, append(rows, place, f"again-{place}", prompt=spaced)]
    return names


def one_repeated(rows: Rows) -> list[str]:
    return [rows[0].question_id, append(rows, 0, "again")]


def nearly_repeated(rows: Rows) -> list[str]:
    longest = max(range(len(rows)), key=lambda place: len(rows[place].prompt[-1].content))
    prompt = reworded(rows[longest], lambda text: text.replace("?", " ?").replace("Answer", "Answar", 1) + " !")
    return [rows[longest].question_id, append(rows, longest, "nearly", prompt=prompt)]


def contradicted(rows: Rows) -> list[str]:
    return [rows[2].question_id, append(rows, 2, "other", **{answer_field(rows[2]): assistant("quite another answer")})]


def swapped(rows: Rows) -> list[str]:
    row = rows[2]
    return [row.question_id, append(rows, 2, "swapped", chosen=row.rejected, rejected=row.chosen)]  # type: ignore[union-attr]


def both_thumbs(rows: Rows) -> list[str]:
    return [rows[2].question_id, append(rows, 2, "other", label=not rows[2].label)]  # type: ignore[union-attr]


def same_chosen_and_rejected(rows: Rows) -> list[str]:
    texts = (answer(rows[4]), answer(rows[6]).replace(" ", "  ").upper())
    return [change(rows, place, rejected=assistant(text)) for place, text in zip((4, 6), texts, strict=True)]


def chosen_is_verbose(rows: Rows) -> list[str]:
    return [
        change(
            rows, place, chosen=assistant(answer(row) + " which is what the ticket says, as far as I can see it" * 4)
        )
        for place, row in enumerate(rows)
    ]


def preferred_is_verbose(rows: Rows) -> list[str]:
    """Pairs of a person's preferences are checked as any other."""
    found = chosen_is_verbose(rows)
    for place in range(len(rows)):
        change(rows, place, source="preference")
    return found


def all_up(rows: Rows) -> list[str]:
    for place in range(len(rows)):
        change(rows, place, label=True)
    return []


def nearly_all_up(rows: Rows) -> list[str]:
    for place in range(len(rows)):
        change(rows, place, label=place > 1)
    return []


def key_in_prompt(rows: Rows) -> list[str]:
    return [change(rows, 5, prompt=reworded(rows[5], lambda text: f"export AWS_ACCESS_KEY_ID={AWS_KEY}\n{text}"))]


def password_in_answer(rows: Rows) -> list[str]:
    return [set_answer(rows, 5, "db_password = 'kT7#qpZ2vRw9LmX4sB'")]


def token_in_url(rows: Rows) -> list[str]:
    return [set_answer(rows, 5, "git clone https://build:kT7qpZ2vRw9L@git.internal/app.git")]


def nothing(rows: Rows) -> list[str]:
    return []


def cut_prompts(rows: Rows) -> list[str]:
    words = ["red", "blue", "green", "black", "white", "brown", "pink", "orange", "yellow", "gold"]
    for place in range(len(rows)):
        first, second, third = words[place % 10], words[place // 10 % 10], words[place // 100 % 10]
        change(rows, place, prompt=user(f"The {first} {second} {third} one"))
    return []


def few(rows: Rows) -> list[str]:
    del rows[6:]
    return []


WITH_EMPTY = frozenset({"every-label-masked"})
DEFECTS = [
    *(Defect("field-empty", empty_completion, method, comes_with=WITH_EMPTY) for method in ("sft", "dpo", "kto")),
    Defect("every-label-masked", empty_completion, comes_with=frozenset({"field-empty"})),
    Defect("field-empty", blank_completion, comes_with=WITH_EMPTY),
    Defect("field-empty", empty_prompt),
    Defect("field-empty", blank_system),
    Defect("field-empty", no_completion_message),
    Defect("text-damaged", wrongly_decoded),
    Defect("text-damaged", control_character),
    Defect("control-token-in-text", template_token_in_answer),
    *(Defect("completion-not-by-assistant", user_completes, m, comes_with=frozenset({"roles-out-of-order"}))
      for m in ("sft", "dpo", "kto")),
    *(Defect("roles-out-of-order", seed) for seed in (system_in_the_middle, two_users_in_a_row, prompt_ends_with_assistant)),
    *(Defect("completion-cut", too_long, method) for method in ("sft", "dpo", "kto")),
    Defect("longer-than-context", longer_than_the_model, spec={"optimizer": {"max_length": 100_000}}),
    *(Defect("prompt-holds-completion", prompt_ends_with_answer, method) for method in ("sft", "dpo", "kto")),
    Defect("prompt-holds-completion", prompt_announces_answer_by_a_heading),
    Defect("prompt-holds-completion", answer_is_a_turn_already),
    Defect("prompt-holds-completion", long_answer_ends_prompt),
    Defect("completion-copied-from-prompt", long_answer_in_evidence, severity="warning"),
    *(Defect("duplicate-rows", repeated, method) for method in ("sft", "dpo", "kto")),
    Defect("duplicate-rows", repeated_but_for_white_space),
    Defect("duplicate-rows", one_repeated, severity="warning"),
    Defect("near-duplicate-rows", nearly_repeated, severity="warning"),
    Defect("conflicting-corrections", contradicted),
    Defect("conflicting-corrections", swapped, "dpo"),
    Defect("conflicting-corrections", both_thumbs, "kto"),
    Defect("chosen-equals-rejected", same_chosen_and_rejected, "dpo"),
    Defect("chosen-longer-throughout", chosen_is_verbose, "dpo", "warning"),
    Defect("chosen-longer-throughout", preferred_is_verbose, "dpo", "warning"),
    Defect("one-label-only", all_up, "kto"),
    Defect("labels-unbalanced", nearly_all_up, "kto", "warning"),
    *(Defect("secret-in-text", key_in_prompt, method) for method in ("sft", "dpo", "kto")),
    Defect("secret-in-text", password_in_answer),
    Defect("secret-in-text", token_in_url),
    Defect("adapter-not-servable", nothing, spec={"lora": {"use_dora": True}}),
    Defect("rank-above-serving-default", nothing, severity="warning", spec={"lora": {"rank": 48}}),
    Defect("few-rows", few, severity="warning", comes_with=frozenset({"no-anchors", "batch-larger-than-rows"})),
    Defect("batch-larger-than-rows", nothing, severity="warning",
           spec={"optimizer": {"batch_size": 1024, "max_steps": 1}}),
    Defect("many-epochs", nothing, severity="warning", spec={"optimizer": {"epochs": 30}}),
    Defect("learning-rate-high", nothing, severity="warning", spec={"optimizer": {"learning_rate": 0.02}}),
    Defect("prompts-of-one-length", cut_prompts, severity="warning"),
]  # fmt: skip


def by_code(preparation: CheckReport) -> dict[str, Finding]:
    return {finding.code: finding for finding in preparation.findings}


@pytest.fixture(scope="module")
def small() -> dict[str, Rows]:
    """Sixth of the big set: enough for every defect, and quick."""
    return {"sft": list(stdlib(size=120)), "dpo": list(clean("dpo")), "kto": list(clean("kto"))}


@pytest.mark.parametrize("defect", DEFECTS, ids=str)
def test_a_seeded_defect_is_found_and_its_rows_are_named(
    base: BaseModel, small: dict[str, Rows], defect: Defect
) -> None:
    train, validation = parted(small[defect.method])
    expected = defect.seed(train)
    found = by_code(look(base, train, validation, defect.method, **defect.spec))
    assert defect.code in found, found
    assert found[defect.code].severity == defect.severity
    assert set(found[defect.code].question_ids) == set(expected[:20])
    if expected:
        assert found[defect.code].count == len(expected)
    assert set(found) - {defect.code} <= defect.comes_with


def test_a_secret_is_never_told(base: BaseModel, small: dict[str, Rows]) -> None:
    train, validation = parted(small["sft"])
    key_in_prompt(train)
    finding = by_code(look(base, train, validation))["secret-in-text"]
    assert "AWS Access Key in 1" in finding.message
    assert AWS_KEY not in finding.model_dump_json()


def test_an_accepted_refusal_is_a_warning_that_says_so(base: BaseModel, small: dict[str, Rows]) -> None:
    train, validation = parted(small["sft"])
    repeated(train)
    found = by_code(look(base, train, validation, accepted_findings=["duplicate-rows"]))
    assert found["duplicate-rows"].severity == "warning"
    assert found["duplicate-rows"].message.startswith("accepted by the caller: ")


def test_what_cannot_be_accepted_stays_a_refusal(base: BaseModel, small: dict[str, Rows]) -> None:
    train, validation = parted(small["sft"])
    empty_completion(train)
    found = by_code(look(base, train, validation, accepted_findings=["every-label-masked"]))
    assert found["every-label-masked"].severity == "refusal"
    assert found["every-label-masked"].message.endswith("(every-label-masked cannot be accepted)")


def test_a_refused_job_is_still_counted_where_its_rows_can_be(base: BaseModel, small: dict[str, Rows]) -> None:
    train, validation = parted(small["sft"])
    repeated(train)
    assert look(base, train, validation).workload is not None


# What the rows are held against: split, benchmark, manifest, serving


def question(row: StoredRow, question_id: str, **fields: Any) -> BenchmarkQuestion:
    return BenchmarkQuestion(
        question_id=question_id,
        messages=row.prompt,
        expected_answer="x",
        grader=GraderSpec(name="contains"),
        **fields,
    )


@pytest.mark.parametrize("method", ["sft", "dpo", "kto"])
def test_a_held_out_question_among_the_rows_by_id_and_by_prompt(
    base: BaseModel, small: dict[str, Rows], method: str
) -> None:
    train, validation = parted(small[method])
    stated = manifest([*train, *validation], split={"held_out": [train[3].question_id, "elsewhere"]})
    found = by_code(look(base, train, validation, method, [question(train[5], "elsewhere")], stated=stated))
    assert set(found) == {"held-out-in-training"}
    assert found["held-out-in-training"].question_ids == [train[3].question_id, train[5].question_id]


def test_a_benchmark_prompt_under_another_id_or_benchmark_only(base: BaseModel, small: dict[str, Rows]) -> None:
    train, validation = parted(small["sft"])
    shouted = [message.model_copy(update={"content": message.content.upper()}) for message in train[1].prompt]
    questions = [
        question(train[0], train[0].question_id),  # trained under its own id: allowed
        question(train[1].model_copy(update={"prompt": shouted}), "theirs"),
        question(train[2], train[2].question_id, benchmark_only=True),
    ]
    found = by_code(look(base, train, validation, questions=questions))
    assert found["benchmark-in-training"].question_ids == [train[1].question_id, train[2].question_id]


def test_a_validation_prompt_that_is_trained_on(base: BaseModel, small: dict[str, Rows]) -> None:
    train, validation = parted(small["sft"])
    change(validation, 0, prompt=train[0].prompt)
    found = by_code(look(base, train, validation))
    assert found["validation-in-training"].question_ids == [validation[0].question_id]


def test_another_base_model_than_the_dataset_s(base: BaseModel, small: dict[str, Rows]) -> None:
    train, validation = parted(small["sft"])
    same = manifest(train, lengths={"base_model_digest": base.ref.digest})
    other = manifest(train, lengths={"base_model_digest": "sha256:" + "0" * 64, "tokenizer": "another-7b"})
    parent = manifest(train, parents=[{"kind": "base_model", "name": "another-7b", "digest": "sha256:1"}])
    assert by_code(look(base, train, validation, stated=same)) == {}
    for stated in (other, parent):
        finding = by_code(look(base, train, validation, stated=stated))["base-model-unlike-dataset"]
        assert "another-7b" in finding.message
        assert base.ref.digest in finding.message


def test_other_token_counts_than_the_manifest_s(base: BaseModel, small: dict[str, Rows]) -> None:
    train, validation = parted(small["sft"])
    tokens = sum(
        len(base.tokenizer.apply_chat_template([m.model_dump() for m in [*row.prompt, *row.completion]])["input_ids"])  # type: ignore[union-attr]
        for row in [*train, *validation]
    )
    right, wrong = (manifest(train, lengths={"unit": "tokens", "total": total}) for total in (tokens, tokens * 2))
    assert by_code(look(base, train, validation, stated=right)) == {}
    assert by_code(look(base, train, validation, stated=wrong))["lengths-unlike-dataset"].severity == "warning"


@pytest.mark.parametrize(
    ("rank", "served", "code"), [(64, 64, None), (65, 64, "adapter-not-servable"), (32, None, None)]
)
def test_the_rank_that_serving_is_set_to(
    base: BaseModel, small: dict[str, Rows], rank: int, served: int | None, code: str | None
) -> None:
    train, validation = parted(small["sft"])
    found = by_code(look(base, train, validation, served_rank=served, lora={"rank": rank}))
    assert set(found) == ({code} if code else set())


def test_a_module_that_the_base_model_has_not(base: BaseModel, small: dict[str, Rows]) -> None:
    train, validation = parted(small["sft"])
    fused = replace(base, tensors={name: shape for name, shape in base.tensors.items() if "gate_proj" not in name})
    finding = by_code(look(fused, train, validation))["target-module-missing"]
    assert "has no gate_proj" in finding.message


# The chat template

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def with_template(base: BaseModel, template: str | None) -> BaseModel:
    tokenizer = copy.deepcopy(base.tokenizer)
    tokenizer.chat_template = template
    return replace(base, tokenizer=tokenizer, folder=base.folder / "none")


TEMPLATES = [
    ("every-label-masked", CHATML.replace("{{ m.content }}", "{{ '' if m.role == 'assistant' else m.content }}"), "refusal"),
    ("chat-template-missing", None, "refusal"),
    ("eos-not-trained", CHATML.replace("<|im_end|>", "<|endoftext|>"), "refusal"),
    ("chat-template-drops-text", CHATML.replace("in messages", "in messages if m.role != 'system'"), "refusal"),
    ("generation-prompt-differs", CHATML.replace("assistant\n{%", "assistant\n<think>\n{%"), "refusal"),
    ("chat-template-dated", "{{ strftime_now('%d %b %Y') }}" + CHATML, "warning"),
    ("chat-template-fails", "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML,
     "refusal"),
    ("chat-template-unlike-serving",
     CHATML.replace("{{ m.content }}", "{% if m.content is string %} {{ m.content }}{% else %}"
                                       "{% for part in m.content %}{{ part.text }}{% endfor %}{% endif %}"), "refusal"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "template", "severity"), TEMPLATES, ids=[code for code, *_ in TEMPLATES])
def test_a_chat_template_that_cannot_be_right(
    base: BaseModel, small: dict[str, Rows], code: str, template: str | None, severity: str
) -> None:
    train, validation = parted(small["sft"])
    found = by_code(look(with_template(base, template), train, validation))
    assert set(found) - {"chat-template-drops-text"} <= {code}
    assert found[code].severity == severity


@pytest.mark.parametrize(
    "template",
    [
        CHATML,
        CHATML.replace("{{ m.content }}", "{{ m.content | trim }}"),
        CHATML.replace(
            "{{ m.content }}",
            "{% if m.content is string %}{{ m.content }}{% else %}"
            "{% for part in m.content %}{{ part.text }}{% endfor %}{% endif %}",
        ),
    ],
)
def test_a_chat_template_that_is_right(base: BaseModel, small: dict[str, Rows], template: str) -> None:
    train, validation = parted(small["sft"])
    assert by_code(look(with_template(base, template), train, validation)) == {}


def test_a_second_chat_template_in_the_folder(base: BaseModel, small: dict[str, Rows], tmp_path: Any) -> None:
    (tmp_path / "chat_template.jinja").write_text(str(base.tokenizer.chat_template))
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    train, validation = parted(small["sft"])
    finding = by_code(look(replace(base, folder=tmp_path), train, validation))["chat-template-unlike-serving"]
    assert finding.message.startswith("tokenizer_config.json holds another chat template")
