"""Is it a fine-tuning problem? For each failure cluster the cheapest thing to try first, on evidence from a sample of its lines."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from burnish.grading.line_signatures import line_signature
from burnish.runlogs.prompts import prompt_messages
from burnish.schemas.runlog import (
    FAILING_GRADES,
    PASSING_GRADES,
    Advice,
    FailureCluster,
    Problem,
    RunLogLine,
)

MINIMUM_QUESTIONS = 5  # to train on some and hold out others
SAMPLE = 50  # lines of a cluster
HALF = 0.5
SURE = 0.7  # confidence of a grade
SHORT_ANSWER = 300  # characters, of an expected answer that is looked for in the evidence
FORM = {
    "invalid-json",
    "schema-violation",
    "not-json",
    "json-in-prose",
    "answer-in-prose",
    "schema-mismatch",
    "extra-field",
    "no-choice",
    "several-choices",
    "no-number",
    "several-numbers",
    "not-in-list",
}
INSTRUCTIONS = {"refusal", "wrong-language", "repetition", "empty"}


@dataclass(frozen=True)
class Sample:
    """Lines of a cluster, their signatures, and every line of their questions, failing or not."""

    lines: Sequence[RunLogLine]
    of_questions: Sequence[RunLogLine]

    def signed(self, labels: Iterable[str]) -> int:
        """How many of the lines have one of these signatures."""
        wanted = set(labels)
        found = (line_signature(line, prompt_messages(line)) for line in self.lines)
        return sum(each is not None and each.label in wanted for each in found)

    def is_most(self, count: int) -> bool:
        return bool(self.lines) and count >= HALF * len(self.lines)


Look = Callable[[FailureCluster, Sample], tuple[Problem, str] | None]


def advise(cluster: FailureCluster, sample: Sample, run_log_id: str, *, is_unlabelled: bool) -> Advice:
    """The first problem that is there, from the one that training can do least about on."""
    found: tuple[Problem, str] | None = ("unlabelled", "nobody has said how they fail") if is_unlabelled else None
    for look in LOOKS:
        found = found or look(cluster, sample)
    problem, evidence = found or (
        "behaviour",
        f"{cluster.questions:,} questions fail this way, and no cheaper cause was seen in the failures looked at",
    )
    what, command = REMEDIES[problem]
    label, log = shlex.quote(cluster.label), run_log_id
    return Advice(
        label=cluster.label,
        problem=problem,
        evidence=evidence,
        first=what,
        command=command.format(log=log, label=label) if command else None,
        tune="no" if problem in NEVER else "not-yet",
    )


def retrieval_advice(failing: int, missed: int, run_log_id: str) -> Advice | None:
    """Of a log in which retrieval missed for some of the failures."""
    if not missed:
        return None
    what, command = REMEDIES["retrieval"]
    evidence = f"retrieval missed for {missed:,} of {failing:,} failures, and no training puts the evidence there"
    return Advice(
        problem="retrieval",
        evidence=evidence,
        first=what,
        command=command.format(log=run_log_id) if command else None,
        tune="no",
    )


def _service(_cluster: FailureCluster, sample: Sample) -> tuple[Problem, str] | None:
    count = sample.signed(["error"])
    return ("service", f"{_of(count, sample)} are errors of the service") if sample.is_most(count) else None


def _cut_off(_cluster: FailureCluster, sample: Sample) -> tuple[Problem, str] | None:
    count = sample.signed(["cut-off"])
    return ("cut-off", f"{_of(count, sample)} were cut off by their length") if sample.is_most(count) else None


def _unsure(_cluster: FailureCluster, sample: Sample) -> tuple[Problem, str] | None:
    """The same answer passed and failed, or whoever graded was not sure."""
    graded: dict[tuple[str, str], set[bool]] = defaultdict(set)
    for line in sample.of_questions:
        word = (line.grade or "").strip().casefold()
        if word in PASSING_GRADES or word in FAILING_GRADES:
            graded[line.question_id, line.answer.strip()].add(word in PASSING_GRADES)
    both = {key for key, passed in graded.items() if len(passed) > 1}
    count = sum((line.question_id, line.answer.strip()) in both for line in sample.lines)
    if sample.is_most(count):
        return (
            "unsure-grader",
            f"{_of(count, sample)} have an answer that was also graded as right for the same question",
        )
    unsure = sum(
        line.graded_by is not None and line.graded_by.confidence is not None and line.graded_by.confidence < SURE
        for line in sample.lines
    )
    if sample.is_most(unsure):
        return "unsure-grader", f"whoever graded was less than {SURE:.0%} sure of {_of(unsure, sample)}"
    return None


def _contradictory(_cluster: FailureCluster, sample: Sample) -> tuple[Problem, str] | None:
    expected: dict[str, set[str]] = defaultdict(set)
    for line in sample.of_questions:
        if line.expected_answer:
            expected[line.question_id].add(_folded(line.expected_answer))
    count = sum(len(expected[line.question_id]) > 1 for line in sample.lines)
    if sample.is_most(count):
        return "contradictory", f"{_of(count, sample)} are of questions that have several expected answers"
    return None


def _few(cluster: FailureCluster, _sample: Sample) -> tuple[Problem, str] | None:
    if cluster.questions >= MINIMUM_QUESTIONS:
        return None
    return "too-few", f"{cluster.questions} questions fail this way, and {MINIMUM_QUESTIONS} are needed"


def may_be_chance(cluster: FailureCluster) -> bool:
    """Most of its questions were asked again, and not one failed this way twice. Production traffic rarely asks again, and then nothing is known."""
    return not cluster.repeated_questions and cluster.asked_again >= HALF * cluster.questions


def _once(cluster: FailureCluster, _sample: Sample) -> tuple[Problem, str] | None:
    if not may_be_chance(cluster):
        return None
    again = f"{cluster.asked_again:,} of {cluster.questions:,} questions were asked again"
    return "one-off", f"{again}, and none failed this way twice, so it may be chance"


def _form(cluster: FailureCluster, sample: Sample) -> tuple[Problem, str] | None:
    count = sample.signed(FORM)
    if sample.is_most(count):
        return "form", f"{_of(count, sample)} break the form that is asked for"
    return ("form", f"the grader says {cluster.label}") if cluster.label in FORM else None


def _evidence(_cluster: FailureCluster, sample: Sample) -> tuple[Problem, str] | None:
    """Whether the expected answer, if it is short, stands in the evidence word by word."""
    known = [
        line
        for line in sample.lines
        if line.evidence_text and line.expected_answer and len(line.expected_answer) <= SHORT_ANSWER
    ]
    if not sample.is_most(len(known)):
        return None
    there = sum(_folded(line.expected_answer or "") in _folded(line.evidence_text) for line in known)
    if there >= HALF * len(known):
        return "evidence-misuse", f"the expected answer stands in the evidence of {there} of {len(known)} failures"
    if there == 0 and any(line.retrieval_hit for line in known):
        return (
            "unlabelled-evidence",
            f"the expected answer stands in the evidence of none of {len(known)} failures that count as retrieved",
        )
    return None


def _instructions(cluster: FailureCluster, sample: Sample) -> tuple[Problem, str] | None:
    count = sample.signed(INSTRUCTIONS)
    if sample.is_most(count):
        return "instructions", f"{_of(count, sample)} refuse, repeat, say nothing or speak another language"
    return ("instructions", f"the grader says {cluster.label}") if cluster.label in INSTRUCTIONS else None


LOOKS: tuple[Look, ...] = (
    _service,
    _unsure,
    _contradictory,
    _few,
    _once,
    _cut_off,
    _form,
    _evidence,
    _instructions,
)
TRY = "burnish try {log} {label}"
REMEDIES: Mapping[Problem, tuple[str, str | None]] = {
    "retrieval": ("fix retrieval for these questions", "burnish runs show {log} --grade incorrect"),
    "unlabelled": ("group them by how they fail", "burnish clusters find {log}"),
    "service": ("mend the service, or take these lines out of the log", None),
    "unsure-grader": (
        "grade again with a grader that gives one answer one grade",
        "burnish runs grade {log} --grader GRADER",
    ),
    "contradictory": ("settle which answer is right before anything is taught", None),
    "too-few": ("correct them by hand, or log more runs", "burnish runs show {log} --label {label}"),
    "one-off": ("ask some of them again: if the model passes as it is, there is nothing to mend", TRY),
    "cut-off": ("raise the answer budget (max_tokens)", TRY + " --max-tokens 1024"),
    "form": ("hold the answer to a schema, or show examples", TRY + " --control schema,few-shot"),
    "evidence-misuse": (
        "put the evidence after the question, and say that the answer is in it",
        TRY + " --control evidence-last,prompt",
    ),
    "unlabelled-evidence": ("look whether retrieval really hit: the log says so, the evidence does not", None),
    "instructions": ("say it in the prompt, or show examples", TRY + " --control prompt,few-shot"),
    "behaviour": ("show examples; if they do not do it, fine-tuning may", TRY),
}
NEVER: set[Problem] = {
    "retrieval",
    "unlabelled",
    "service",
    "unsure-grader",
    "contradictory",
    "too-few",
    "one-off",
    "cut-off",
    "unlabelled-evidence",
}


def _of(count: int, sample: Sample) -> str:
    return f"{count} of {len(sample.lines)} failures looked at"


def _folded(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().casefold()
