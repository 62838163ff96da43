"""Which teachers' answers a dataset takes where no person has decided. One that a grader failed is never among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from burnish.curation.distillation.graded import best_first
from burnish.curation.own_grader import OwnGrader, objection, passes
from burnish.curation.targets import Target
from burnish.schemas.review import SuggestionGrade, TeacherSuggestion

FAILED = "no correction, and its grader fails the teacher's answer"
UNGRADED = "no correction, and nothing has graded the teacher's answer"
OTHER_PROMPT = "no correction, and the teacher's answer is to another prompt of this question"
OwnGraders = Mapping[str, OwnGrader]


@dataclass(frozen=True)
class Taken:
    """answers: question id -> the answer that is taken, with the grade that counts. refused: question id -> why none is."""

    answers: dict[str, TeacherSuggestion] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def take_answers(
    targets: Iterable[Target],
    suggestions: Mapping[str, Sequence[TeacherSuggestion]],
    own_graders: OwnGraders,
    *,
    ungraded: bool,
) -> Taken:
    """Of each target the best answer to its own prompt: one that passed, the newest; with `ungraded` else one that nothing has graded.

    own_graders: question id -> its grader in the benchmark, which goes before the run log's. It is asked again here: an answer
    that it fails, or failed when it came, is out.
    """
    taken = Taken()
    for target in targets:
        given = suggestions.get(target.question_id, ())
        if not given:
            continue
        own = own_graders.get(target.question_id, target.own_grader)
        fitting = [each for each in given if each.prompt_key == target.key]
        graded = best_first(each.model_copy(update={"grade": _grade(each, target, own)}) for each in fitting)
        usable = [each for each in graded if each.grade == "passed" or (ungraded and each.grade == "ungraded")]
        if usable:
            taken.answers[target.question_id] = usable[0]
        elif not fitting:
            taken.refused[target.question_id] = OTHER_PROMPT
        else:
            taken.refused[target.question_id] = UNGRADED if graded[0].grade == "ungraded" else FAILED
    return taken


def _grade(answer: TeacherSuggestion, target: Target, own: OwnGrader | None) -> SuggestionGrade:
    repeats = answer.text.strip() == target.wrong_answer.strip()
    if repeats or answer.grade == "failed" or objection(own, answer.text):
        return "failed"
    return "passed" if answer.grade == "passed" or passes(own, answer.text) else "ungraded"
