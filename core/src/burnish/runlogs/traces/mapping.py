"""The one mapper: a neutral trace to run log lines, one a model call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from burnish.digests import VERSION_LENGTH, prompt_key
from burnish.runlogs.traces.pieces import Feedback, Span, Trace
from burnish.runlogs.traces.scores import HIT, IGNORE, MISS, Scores
from burnish.schemas.logged import UNGRADED, iso_time, text_of

RANK = {"human": 0, "code": 1, "model": 2}
CORRECTION = "correction"


@dataclass
class Mapper:
    """scores: the rules. labels: names of scores whose words are failure labels, the first that there is."""

    scores: Scores = field(default_factory=Scores)
    labels: Sequence[str] = ()

    def lines(self, trace: Trace) -> Iterator[dict[str, Any]]:
        """A line for every model call, as a JSON object. A trace without one: of its outermost span that has both texts."""
        calls = sorted((span for span in trace.spans if span.kind == "llm"), key=lambda span: span.order)
        if not calls:
            calls = [span for span in trace.spans if span.kind == "other" and span.messages and span.answer][:1]
        if not calls:
            for feedback in trace.feedback:  # so that what needs a rule is known
                self.scores.meaning(feedback)
            return
        retrieved = [span for span in trace.spans if span.kind == "retrieval"]
        for call in calls:
            trace.feedback += self._in_metadata(call)
        feedback_of = _assigned(trace, calls, retrieved)
        of_retrieval = [self.scores.meaning(said)[0] for said in feedback_of.pop("", [])]
        hit = _retrieval_hit(retrieved, of_retrieval)
        for call in calls:
            yield self._line(trace, call, retrieved, hit, feedback_of.get(call.id, []))

    def _line(
        self, trace: Trace, call: Span, retrieved: Sequence[Span], hit: bool | None, feedback: list[Feedback]
    ) -> dict[str, Any]:
        spoken = [message for message in call.messages if message["role"] not in ("system", "developer")]
        users = [text_of(message.get("content")) for message in spoken if message["role"] == "user"]
        documents = [document for span in (*retrieved, call) for document in span.documents]
        corrections = [said for said in feedback if said.correction is not None]
        expected = call.expected or next((said.expected for said in feedback if said.expected is not None), None)
        correction = corrections[-1].correction if corrections else None
        grade, graded_by, said_of_retrieval = self._grade(call.answer, feedback)
        line = {
            "question_id": call.question_id or f"q-{_key(spoken or call.messages)}",
            "question": users[-1] if users else "",
            "messages": call.messages or None,
            "answer": call.answer,
            "tool_calls": call.tool_calls,
            "evidence_text": "\n\n".join(document.text for document in documents if document.text) or None,
            "evidence_files": [document.id for document in documents if document.id] or None,
            "retrieval_hit": hit if said_of_retrieval is None else said_of_retrieval,
            "failure_label": self._label(feedback),
            "run_id": call.run_id or trace.id,
            "expected_answer": expected if expected is not None else correction,
            "correction": correction,
            "slice": call.slice,
            "model": call.model,
            "timestamp": _time(call.started),
            "latency_ms": call.latency_ms,
            "user_id": call.user_id or next((span.user_id for span in trace.spans if span.user_id), None),
            "trace_id": trace.id,
            "finish_reason": call.finish_reason,
            "feedback": [said.as_logged() for said in feedback] or None,
            "graded_by": graded_by,
            "session_id": call.session_id or next((span.session_id for span in trace.spans if span.session_id), None),
            "error": call.error,
            "metadata": call.metadata or None,
        }
        return {"grade": grade} | {name: value for name, value in line.items() if value is not None}

    def _grade(
        self, answer: str, feedback: Sequence[Feedback]
    ) -> tuple[str | None, dict[str, Any] | None, bool | None]:
        """(grade, who gave it, what was said of retrieval): of a human before code before a model, then the newest."""
        graded: list[tuple[int, str, int, str, dict[str, Any]]] = []
        hit = None
        for number, said in enumerate(feedback):
            meaning, rule = self.scores.meaning(said)
            if meaning in (HIT, MISS):
                hit = meaning == HIT
            elif meaning is not None and meaning != UNGRADED and rule is not None:
                by = {"source": said.source, "rule": f"{rule.name}:{rule.text}", "confidence": said.confidence}
                graded.append((-RANK[said.source], said.at or "", number, meaning, by))
            elif meaning is None and rule is None and said.correction is not None:
                same = said.correction.strip() == answer.strip()
                by = {"source": said.source, "rule": CORRECTION, "confidence": None}
                graded.append((-RANK[said.source], said.at or "", number, "correct" if same else "incorrect", by))
        if not graded:
            return None, None, hit
        *_, grade, by = max(graded, key=lambda found: found[:3])
        return grade, {name: value for name, value in by.items() if value is not None}, hit

    def _in_metadata(self, call: Span) -> Iterator[Feedback]:
        """Keys of a call that a rule or a label names: some exports have their scores as columns."""
        for name in {*self.scores.rules, *self.labels} & call.metadata.keys():
            value = call.metadata[name]
            if isinstance(value, bool | int | float | str):
                yield Feedback(name, value, trace_id=call.trace_id, span_id=call.id)

    def _label(self, feedback: Sequence[Feedback]) -> str | None:
        for name in self.labels:
            for said in feedback:
                if said.name == name and isinstance(said.value, str) and said.value.strip():
                    return said.value.strip()
        return None


def ignored(names: Iterable[str]) -> list[str]:
    """Rules that keep these scores as feedback alone."""
    return [f"{name}:{IGNORE}" for name in names]


def _assigned(trace: Trace, calls: Sequence[Span], retrieved: Sequence[Span]) -> dict[str, list[Feedback]]:
    """Span id of a call -> its feedback. Under "": that of retrieval spans.

    Feedback of the trace, or of a span around the calls, is of the last call inside it alone.
    """
    own = {call.id for call in calls}
    fetching = {span.id for span in retrieved}
    parents = {span.id: span.parent_id for span in trace.spans}
    last_inside: dict[str, str] = {}
    for call in calls:
        seen: set[str] = set()
        parent = parents.get(call.id)
        while parent and parent not in seen:
            seen.add(parent)
            last_inside[parent] = call.id
            parent = parents.get(parent)
    found: dict[str, list[Feedback]] = {}
    for said in trace.feedback:
        if said.span_id in own:
            target = said.span_id or ""
        elif said.span_id in fetching:
            target = ""
        else:
            target = last_inside.get(said.span_id or "", calls[-1].id)
        found.setdefault(target, []).append(said)
    return found


def _retrieval_hit(retrieved: Sequence[Span], said: Sequence[str | None]) -> bool | None:
    """What was said of it; else a search that found nothing is a miss, and one that found something is unknown."""
    if MISS in said or HIT in said:
        return MISS not in said
    return False if retrieved and not any(span.documents for span in retrieved) else None


def _key(messages: Sequence[dict[str, Any]]) -> str:
    return prompt_key({"role": m["role"], "content": text_of(m.get("content"))} for m in messages)[:VERSION_LENGTH]


def _time(started: str | float | None) -> str | None:
    if started is None or isinstance(started, str):
        return started
    try:
        return str(iso_time(started))
    except ValueError:
        return None
