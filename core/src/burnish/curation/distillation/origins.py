"""Who is behind each row that is made from a failure: a person, a grader that passed a teacher's answer, or a teacher alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from burnish.curation.distillation.taken import Suggestions, Taken
from burnish.curation.review.items import Correction
from burnish.curation.targets import BY_A_PERSON, Example
from burnish.schemas.dataset import RowOrigin, RowOriginKind

FROM_TEACHER = "a teacher's answer, accepted by a person"
VERIFIED = "a teacher's answer that a grader passed"
UNVERIFIED = "a teacher's answer that nothing graded"
MOSTLY = 0.5  # more of the targeted rows than this share: it is warned of
NAMED = 3


def attributed(examples: Iterable[Example], taken: Taken, suggestions: Suggestions) -> list[Example]:
    """The examples, each with who wrote its answer, also where that was a teacher."""
    found = []
    for example in examples:
        answer = taken.answers.get(example.question_id)
        if answer is not None:
            passed = answer.grade == "passed"
            example = replace(example, provenance=VERIFIED if passed else UNVERIFIED, is_verified=passed)
        elif example.provenance == BY_A_PERSON and _suggested(example, suggestions):
            example = replace(example, provenance=FROM_TEACHER)
        found.append(example)
    return found


def row_origins(
    trained: Iterable[Example], corrections: Mapping[str, Correction], taken: Taken, suggestions: Suggestions
) -> list[RowOrigin]:
    """Of every corrected question that is trained on, in groups of one kind and one teacher."""
    groups: dict[tuple[RowOriginKind, str | None], list[str]] = defaultdict(list)
    for example in trained:
        question_id = example.question_id
        answer = taken.answers.get(question_id)
        if answer is not None:
            kind: RowOriginKind = "grader-verified" if answer.grade == "passed" else "teacher"
            groups[kind, answer.teacher].append(question_id)
        elif question_id in corrections:
            teacher = _suggested(example, suggestions) if example.provenance == FROM_TEACHER else None
            groups[_by_a_person(corrections[question_id]), teacher].append(question_id)
    return [
        RowOrigin(kind=kind, teacher=teacher, questions=sorted(questions))
        for (kind, teacher), questions in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1] or ""))
    ]


def mostly_taught(origins: Sequence[RowOrigin]) -> str | None:
    """A warning if most of the corrections were read by nobody."""
    total = sum(len(each.questions) for each in origins)
    unread = [each for each in origins if each.kind in ("grader-verified", "teacher")]
    count = sum(len(each.questions) for each in unread)
    if not count or count <= MOSTLY * total:
        return None
    teachers = list(dict.fromkeys(each.teacher for each in unread if each.teacher))
    named = ", ".join(teachers[:NAMED]) + (f" and {len(teachers) - NAMED} more" if len(teachers) > NAMED else "")
    ungraded = sum(len(each.questions) for each in unread if each.kind == "teacher")
    graded = "a grader passed all of them" if not ungraded else f"nothing has graded {ungraded} of them"
    share = f"All {count}" if count == total else f"{count} of {total}"
    return (
        f"{share} corrections are a teacher's ({named}) that no person has read; {graded}. The adapter learns the teacher's mistakes too, "
        "those above all that the grader does not see: read a sample on the review page, and evaluate on answers that are not the teacher's."
    )


def _by_a_person(correction: Correction) -> RowOriginKind:
    return "accepted" if correction.state == "accepted" else "corrected"


def _suggested(example: Example, suggestions: Suggestions) -> str | None:
    """The teacher whose answer this is word for word, to this prompt."""
    given = suggestions.get(example.question_id, ())
    return next((s.teacher for s in given if s.text == example.correction and s.prompt_key == example.key), None)
