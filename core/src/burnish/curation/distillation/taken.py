"""Which teachers' answers a dataset takes where no person has decided. One that a grader failed is never among them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from burnish.curation.distillation.graded import best_first
from burnish.curation.own_grader import OwnGrader, objection, passes
from burnish.curation.review.items import Correction
from burnish.curation.targets import Target
from burnish.schemas.review import SuggestionGrade, TeacherSuggestion

FAILED = "no correction, and a grader fails the teacher's answer"
UNGRADED = "no correction, and nothing has graded the teacher's answer"
OTHER_PROMPT = "no correction, and the teacher's answer is to another prompt of this question"
Suggestions = Mapping[str, Sequence[TeacherSuggestion]]
OwnGraders = Mapping[str, OwnGrader]


@dataclass(frozen=True)
class Taken:
    """answers: question id -> the answer that is taken, with the grade that counts. refused: question id -> why none is."""

    answers: dict[str, TeacherSuggestion] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def corrections(self) -> dict[str, Correction]:
        return {
            q: Correction(q, answer.failure_label, answer.text, answer.prompt_key) for q, answer in self.answers.items()
        }


def take_answers(
    targets: Iterable[Target],
    corrections: Mapping[str, Correction],
    suggestions: Suggestions,
    own_graders: OwnGraders,
    *,
    ungraded: bool,
) -> Taken:
    """One answer for each prompt that no person has corrected: one that passed, the newest; with `ungraded` else one that nothing has graded.

    suggestions: of questions that nobody has decided about. own_graders: question id -> its grader in the benchmark, which goes
    before the run log's. It is asked again here: an answer that it fails, or that failed when it came, is out.
    """
    taken = Taken()
    groups: dict[str, list[Target]] = defaultdict(list)
    for target in targets:
        groups[target.key].append(target)
    for group in groups.values():
        if not suggestions.keys().isdisjoint(t.question_id for t in group) and not any(
            target.question_id in corrections for target in group
        ):
            _take(sorted(group, key=lambda target: target.question_id), suggestions, own_graders, ungraded, taken)
    return taken


def _take(
    group: Sequence[Target], suggestions: Suggestions, own_graders: OwnGraders, ungraded: bool, taken: Taken
) -> None:
    """The first question of one prompt that has an answer to take; else why each has none."""
    for target in group:
        given = [each for each in suggestions.get(target.question_id, ()) if not each.withdrawn]
        own = own_graders.get(target.question_id, target.own_grader)
        fitting = [each for each in given if each.prompt_key == target.key]
        graded = best_first(each.model_copy(update={"grade": _grade(each, target, own)}) for each in fitting)
        usable = [each for each in graded if each.grade == "passed" or (ungraded and each.grade == "ungraded")]
        if usable:
            taken.answers[target.question_id] = usable[0]
            return
        if given:
            reason = OTHER_PROMPT if not graded else UNGRADED if graded[0].grade == "ungraded" else FAILED
            taken.refused[target.question_id] = reason


def _grade(answer: TeacherSuggestion, target: Target, own: OwnGrader | None) -> SuggestionGrade:
    repeats = answer.text.strip() == target.wrong_answer.strip()
    if repeats or answer.grade == "failed" or objection(own, answer.text):
        return "failed"
    return "passed" if answer.grade == "passed" or passes(own, answer.text) else "ungraded"
