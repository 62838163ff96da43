"""Every format's own files come to the same three run log lines: what the SDKs wrote is read whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from trace_making import FIXTURES, lines_of, written

from burnish.errors import InvalidInputError
from burnish.runlogs.readers import registry
from burnish.runlogs.traces.importing import recognise
from burnish.schemas.runlog import RunLogLine

QUESTIONS = ["Which plan has SSO?", "What is the state of ticket 7?", "Who is on call?"]
ANSWERS = ['{"plan": "Pro"}', "Sure! Ticket 7 is open.", '{"on_call": null}']
GRADED = ["correct", "incorrect", None]
FILES = {
    "langfuse": ["langfuse-observations.json", "langfuse-scores.json"],
    "langsmith": ["langsmith-runs.jsonl", "langsmith-feedback.jsonl"],
    "otel": ["otel.jsonl"],
    "openinference": ["openinference.jsonl"],
    "mlflow": ["mlflow.jsonl"],
    "inspect": ["inspect.eval"],
    "openai": ["openai-stored.jsonl"],
    "helicone": ["helicone.jsonl"],
    "promptfoo": ["promptfoo.json"],
}
RULES = ["user_score:>=1=correct", "length:ignore"]


def files(name: str) -> list[Path]:
    return [FIXTURES / file for file in FILES[name]]


@pytest.mark.parametrize("name", FILES)
def test_what_the_tools_write_becomes_lines(name: str) -> None:
    lines, report = lines_of(files(name), *RULES)
    assert {found.format for found in report.recognised} == {name}
    assert (report.unread, report.problems) == (0, [])
    assert [line["question"] for line in lines] == QUESTIONS
    assert [line["answer"] for line in lines] == ANSWERS
    for line in lines:
        assert [message["role"] for message in line["messages"]] == ["system", "user"]
        assert line["model"].endswith("small-1")
        RunLogLine.read(line)


@pytest.mark.parametrize("name", ["langfuse", "langsmith", "otel", "openinference", "mlflow", "helicone"])
def test_feedback_becomes_grades_and_nobodys_word_is_no_grade(name: str) -> None:
    lines, _ = lines_of(files(name), *RULES)
    assert [line["grade"] for line in lines] == GRADED
    assert [line["user_id"] for line in lines if name != "otel" or "user_id" in line] == ["user-0", "user-1", "user-2"]
    assert "graded_by" not in lines[2]
    assert lines[0]["feedback"][0]["source"] == lines[0]["graded_by"]["source"]


@pytest.mark.parametrize("name", ["langfuse", "langsmith", "otel", "openinference", "mlflow"])
def test_documents_are_the_evidence_and_a_search_without_any_is_a_miss(name: str) -> None:
    lines, _ = lines_of(files(name), *RULES)
    assert [line.get("evidence_files") for line in lines] == [["plans.md"], ["tickets.md"], None]
    assert [line.get("retrieval_hit") for line in lines] == [None, None, False]


@pytest.mark.parametrize("name", ["langfuse", "langsmith"])
def test_a_correction_is_kept_and_expected(name: str) -> None:
    lines, _ = lines_of(files(name), *RULES)
    assert [line.get("correction") for line in lines] == [None, '{"state": "open"}', None]
    assert lines[1]["expected_answer"] == '{"state": "open"}'


def test_an_expectation_is_the_expected_answer() -> None:
    assert [line.get("expected_answer") for line in lines_of(files("mlflow"))[0]] == [None, '{"state": "open"}', None]
    assert lines_of(files("inspect"))[0][1]["expected_answer"] == '{"state": "open"}'


def test_graded_samples_are_graded() -> None:
    for name in ("inspect", "promptfoo"):
        lines, _ = lines_of(files(name))
        assert [line["grade"] for line in lines] == ["correct", "incorrect", "correct"]
    assert [line["question_id"] for line in lines] == ["test-0", "test-1", "test-2"]
    labelled, _ = lines_of(files("promptfoo"), labels=["assertion"])
    assert [line.get("failure_label") for line in labelled] == [None, "is-json", None]


def test_the_events_before_1_36_are_read() -> None:
    lines, _ = lines_of([FIXTURES / "otel-old-events.jsonl"])
    assert [(line["question"], line["answer"]) for line in lines] == list(zip(QUESTIONS, ANSWERS, strict=True))
    assert {line["finish_reason"] for line in lines} == {"stop"}


def test_one_question_has_one_id_in_every_format() -> None:
    ids = {
        tuple(line["question_id"] for line in lines_of(files(name), *RULES)[0])
        for name in ("langfuse", "otel", "mlflow")
    }
    assert len(ids) == 1


def test_feedback_of_a_trace_is_its_last_calls_alone(tmp_path: Path) -> None:
    def observation(number: int, answer: str) -> dict[str, object]:
        return {
            "id": f"o{number}",
            "traceId": "t",
            "type": "GENERATION",
            "startTime": f"2026-11-02T08:0{number}:00Z",
            "input": f"step {number}",
            "output": answer,
        }

    score = {"id": "s", "traceId": "t", "name": "user-feedback", "dataType": "BOOLEAN", "value": 0, "source": "API"}
    lines, _ = lines_of([written(tmp_path / "o.jsonl", [score, observation(2, "b"), observation(1, "a")])])
    assert [(line["question"], line["grade"]) for line in lines] == [("step 1", None), ("step 2", "incorrect")]


def test_chat_with_thumbs(tmp_path: Path) -> None:
    def chat(answer: str, **fields: object) -> dict[str, object]:
        return {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": answer}]} | fields

    rows = [
        chat("a", thumbs="up"),
        chat("b", thumbs="👎", id=7),
        chat("c"),
        {"messages": [{"role": "user", "content": "hi"}]},
    ]
    lines, report = lines_of([written(tmp_path / "chat.jsonl", rows)])
    assert [(line["answer"], line["grade"]) for line in lines] == [("a", "correct"), ("b", "incorrect"), ("c", None)]
    assert [line["graded_by"]["source"] for line in lines[:2]] == ["human", "human"]
    assert lines[1]["run_id"] == "7"
    assert report.problems[0].endswith(
        "record 4: the conversation does not end in an answer: the last message must be the assistant's"
    )


def test_tool_calls_of_a_chat_are_kept(tmp_path: Path) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    [line], _ = lines_of([written(tmp_path / "chat.jsonl", [{"messages": messages}])])
    assert line["messages"] == messages[:-1]
    assert (line["answer"], line["tool_calls"]) == ("", [call])


def test_anthropic_and_gemini_bodies_are_read(tmp_path: Path) -> None:
    rows = [
        {
            "request": {
                "system": "Be brief.",
                "model": "m",
                "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
            },
            "response": {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "yes"},
                    {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}},
                ],
                "stop_reason": "tool_use",
            },
        },
        {
            "request": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
            "response": {
                "candidates": [{"content": {"role": "model", "parts": [{"text": "yes"}]}, "finishReason": "STOP"}]
            },
        },
    ]
    first, second = lines_of([written(tmp_path / "pairs.jsonl", rows)])[0]
    assert first["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert (first["answer"], first["finish_reason"], first["tool_calls"][0]["function"]) == (
        "yes",
        "tool_use",
        {"name": "f", "arguments": '{"a":1}'},
    )
    assert (second["question"], second["answer"], second["finish_reason"]) == ("hi", "yes", "STOP")


def test_a_format_that_nobody_knows_is_named_by_its_keys(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInputError,
        match=r"not recognised; it has the keys weather, place. Say what it is with --from \(burnish, ",
    ):
        recognise(written(tmp_path / "x.jsonl", [{"weather": 1, "place": 2}, {"weather": 2}]))
    with pytest.raises(InvalidInputError, match="the keys " + "k" * 40 + r"\. Say"):
        recognise(written(tmp_path / "y.jsonl", [{"k" * 5000: 1}]))


def test_a_record_of_another_shape_is_told_and_the_rest_read(tmp_path: Path) -> None:
    good = {"id": "o1", "traceId": "t", "type": "GENERATION", "input": "q", "output": "a"}
    lines, report = lines_of(
        [written(tmp_path / "o.jsonl", [good, {"id": "x", "type": "GENERATION"}])], source="langfuse"
    )
    assert len(lines) == 1
    assert report.problems == [f"{tmp_path / 'o.jsonl'}, record 2: not as langfuse writes it (KeyError: 'trace_id')"]


def test_score_columns_of_langfuse_s_own_export_are_scores(tmp_path: Path) -> None:
    """As the UI writes them: a column a score name, its cell a list; a column of another kind is metadata."""
    file = tmp_path / "observations.csv"
    file.write_text(
        "id,traceId,type,input,output,userFeedback,quality,plan,tags,toolCallNames\n"
        'o1,t1,GENERATION,Which plan?,Pro,"[""True""]","[0.9,0.7]",gold,"[""a""]","[""look_up""]"\n'
        'o2,t2,GENERATION,Which day?,Monday,"[""False""]",,gold,[],\n'
    )
    with pytest.raises(InvalidInputError, match=r"'quality' \(a number\): 2 from 0.7 to 0.9"):
        lines_of([file])
    lines, report = lines_of([file], "quality:ignore")
    assert [line["grade"] for line in lines] == ["correct", "incorrect"]
    assert lines[0]["graded_by"]["source"] == "human"
    assert [(one["name"], one["value"]) for one in lines[0]["feedback"]] == [
        ("userFeedback", "True"), ("quality", 0.9), ("quality", 0.7)
    ]  # fmt: skip
    assert lines[0]["metadata"] == {"plan": "gold", "tags": '["a"]'}
    assert report.problems == []


def test_every_reader_has_a_format_and_a_file() -> None:
    folder = Path(registry.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__", "registry"} == set(registry.READERS)


def test_spans_of_another_shape_are_a_problem_of_their_record(tmp_path: Path) -> None:
    """One that no reader can unpack stands before those that can be read."""
    value = {"arrayValue": {"values": 3}}
    odd = {"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": [{"key": "a", "value": value}]}]}]}]}
    file = written(tmp_path / "rows.jsonl", [odd])
    with pytest.raises(InvalidInputError, match="not as otel writes it"):
        lines_of([file], source="otel")
    file.write_text(file.read_text() + (FIXTURES / "otel.jsonl").read_text())
    lines, report = lines_of([file], *RULES)
    assert (len(lines), report.unread, report.recognised[0].format) == (3, 1, "otel")
