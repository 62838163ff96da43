"""Groups model-attributed failures by label and says of each group whether training on it makes sense, and why not.

Model-attributed: the grade is a failing one, and retrieval did not miss (it hit, or nothing is known of it). Pure numpy over a handful of
columns, so that half a million lines take well under two seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from burnish.diagnosis.problems import MINIMUM_QUESTIONS, SAMPLE, Sample, advise, may_be_chance, retrieval_advice
from burnish.errors import InvalidInputError
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.runlog import FAILING_GRADES, PASSING_GRADES, UNLABELLED, Advice, Diagnosis, FailureCluster

EXAMPLES = 3
CLUSTERS_WITH_EXAMPLES = 100
CLUSTERS_WITH_ADVICE = 20
RUNS_LOOKED_AT = 4  # of each question
NO_SLICE = "(none)"
_ABSENT = -1
_EXAMPLE_COLUMNS = ["line_number", "question_id", "question", "answer", "expected_answer", "slice"]


@dataclass(frozen=True)
class RunCodes:
    """The rows of a run log as integer codes, one array entry a row (axis R). Code -1: absent.

    A row without a known grade neither passes nor fails.
    """

    passing_R: np.ndarray
    failing_R: np.ndarray
    retrieval_hit_R: np.ndarray
    retrieval_unknown_R: np.ndarray
    question_R: np.ndarray
    run_R: np.ndarray
    label_R: np.ndarray
    slice_R: np.ndarray
    grade_R: np.ndarray
    model_R: np.ndarray
    questions: list[str]
    labels: list[str]
    slices: list[str]
    grades: list[str]
    models: list[str]

    @property
    def attributed_R(self) -> np.ndarray:
        """Rows whose failure is the model's."""
        attributed: np.ndarray = self.failing_R & (self.retrieval_hit_R | self.retrieval_unknown_R)
        return attributed

    @property
    def has_run_ids(self) -> bool:
        return bool((self.run_R != _ABSENT).any())

    def in_slices(self, slices: Sequence[str]) -> np.ndarray:
        """Which rows are in one of these slices (NO_SLICE: those without one); none given: all."""
        wanted = set(slices)
        chosen = np.array([name in wanted for name in self.slices] + [NO_SLICE in wanted], dtype=bool)
        inside: np.ndarray = chosen[self.slice_R] if slices else np.ones(len(self.slice_R), dtype=bool)
        return inside

    def rows_of(self, question_ids: Iterable[str]) -> np.ndarray:
        """Every row of these questions, ascending; an unknown id has none."""
        chosen = np.zeros(len(self.questions), dtype=bool)
        chosen[[self.code_of[question] for question in question_ids if question in self.code_of]] = True
        return np.flatnonzero(chosen[self.question_R])

    @cached_property
    def code_of(self) -> dict[str, int]:
        """Question id -> its code."""
        return {question: code for code, question in enumerate(self.questions)}


def diagnose(run_log_id: str, log: RunLogReader, codes: RunCodes, slices: Sequence[str] = ()) -> Diagnosis:
    """Counts and clusters of a run log (codes: read_codes(log)); clusters largest first, then by label. The same log gives the same diagnosis.

    slices: only the runs of these (see check_slices); empty: of all.

    A cluster is a candidate when at least 5 distinct questions fail that way and it repeats (ADR 0030): a question failed so in two
    runs, or the log cannot tell, since most of its questions were asked once, and then the five are the repetition. In a log without
    run ids each line is a run. The first 100 clusters carry examples.
    """
    inside = codes.in_slices(slices)
    codes = replace(codes, passing_R=codes.passing_R & inside, failing_R=codes.failing_R & inside)
    failing = int(codes.failing_R.sum())
    groups = _groups(codes)
    was_asked_again_Q = np.zeros(len(codes.questions), dtype=bool)
    was_asked_again_Q[_in_several_runs(np.flatnonzero(codes.passing_R | codes.failing_R), codes)] = True
    clusters = sorted(
        (_cluster(label, rows, codes, failing, was_asked_again_Q) for label, rows in groups.items()),
        key=lambda c: (-c.size, c.label),
    )
    examples = _examples(log, codes, groups, [cluster.label for cluster in clusters[:CLUSTERS_WITH_EXAMPLES]])
    return Diagnosis(
        run_log_id=run_log_id,
        lines=int(inside.sum()),
        questions=_distinct(codes.question_R[inside]),
        runs=_distinct(codes.run_R[inside]),
        passing=int(codes.passing_R.sum()),
        failing=failing,
        model_attributed=int(codes.attributed_R.sum()),
        retrieval_failures=int((codes.failing_R & ~codes.attributed_R).sum()),
        retrieval_unknown=int((codes.failing_R & codes.retrieval_unknown_R).sum()),
        unlabelled=int((codes.attributed_R & (codes.label_R == _ABSENT)).sum()),
        ungraded=int((inside & (codes.grade_R == _ABSENT)).sum()),
        unknown_grades=_unknown_grades(codes, inside),
        clusters=[c.model_copy(update={"examples": examples.get(c.label, [])}) for c in clusters],
        advice=_advice(run_log_id, log, codes, groups, clusters[:CLUSTERS_WITH_ADVICE], failing),
    )


def check_slices(codes: RunCodes, slices: Sequence[str]) -> list[str]:
    """InvalidInputError for a slice that no run of the log has; it names those that exist. NO_SLICE: runs without one."""
    known = [*codes.slices, NO_SLICE]
    for name in slices:
        if name not in known:
            raise InvalidInputError(
                f"no run has the slice {name!r}; this run log has {', '.join(sorted(known))}", field="slice"
            )
    return list(slices)


def read_codes(log: RunLogReader) -> RunCodes:
    """The columns that diagnosis needs. A label of white space only, or our own "(unlabelled)", counts as absent."""
    table = log.columns(["question_id", "run_id", "grade", "failure_label", "retrieval_hit", "slice", "model"])
    question_R, questions = _encode(table["question_id"])
    run_R, _ = _encode(table["run_id"])
    grade_R, grades = _encode(table["grade"])
    label_R, labels = _encode(table["failure_label"])
    slice_R, slices = _encode(table["slice"])
    model_R, models = _encode(table["model"])
    passing = np.array([_word(grade) in PASSING_GRADES for grade in grades] + [False], dtype=bool)
    failing = np.array([_word(grade) in FAILING_GRADES for grade in grades] + [False], dtype=bool)
    blank = np.array([label.strip() in ("", UNLABELLED) for label in labels] + [True], dtype=bool)
    return RunCodes(
        passing_R=passing[grade_R],
        failing_R=failing[grade_R],
        retrieval_hit_R=pc.fill_null(table["retrieval_hit"], False).to_numpy(),
        retrieval_unknown_R=pc.is_null(table["retrieval_hit"]).to_numpy(),
        question_R=question_R,
        run_R=run_R,
        label_R=np.where(blank[label_R], _ABSENT, label_R),
        slice_R=slice_R,
        grade_R=grade_R,
        model_R=model_R,
        questions=questions,
        labels=labels,
        slices=slices,
        grades=grades,
        models=models,
    )


def _word(grade: str) -> str:
    return grade.strip().casefold()


def _unknown_grades(codes: RunCodes, inside: np.ndarray) -> dict[str, int]:
    """Grade -> lines, most first."""
    rows = inside & ~codes.passing_R & ~codes.failing_R & (codes.grade_R != _ABSENT)
    values, counts = np.unique(codes.grade_R[rows], return_counts=True)
    found = {codes.grades[value]: int(count) for value, count in zip(values, counts, strict=True)}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _encode(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """(code of each row, value of each code); an absent value has code -1."""
    dictionary = column.combine_chunks()
    if isinstance(dictionary, pa.ChunkedArray):
        dictionary = pa.concat_arrays(dictionary.chunks)
    codes = pc.fill_null(dictionary.indices, _ABSENT).to_numpy(zero_copy_only=False)
    return codes.astype(np.int64), dictionary.dictionary.to_pylist()


def _groups(codes: RunCodes) -> dict[str, np.ndarray]:
    """Label -> its model-attributed rows, ascending."""
    rows = np.flatnonzero(codes.attributed_R)
    if not len(rows):
        return {}
    label = codes.label_R[rows]
    order = np.argsort(label, kind="stable")
    values, starts = np.unique(label[order], return_index=True)
    pieces = np.split(rows[order], starts[1:])
    return {
        UNLABELLED if value == _ABSENT else codes.labels[value]: piece
        for value, piece in zip(values, pieces, strict=True)
    }


def _cluster(
    label: str, rows: np.ndarray, codes: RunCodes, failing: int, was_asked_again_Q: np.ndarray
) -> FailureCluster:
    found = FailureCluster(
        label=label,
        size=len(rows),
        questions=_distinct(codes.question_R[rows]),
        runs=_distinct(codes.run_R[rows]),
        asked_again=int(was_asked_again_Q[np.unique(codes.question_R[rows])].sum()),
        repeated_questions=len(_in_several_runs(rows, codes)),
        share_of_failures=len(rows) / failing,
        slices=_slices(rows, codes),
        candidate=True,
    )
    why_not = _why_not(found)
    return found.model_copy(update={"candidate": why_not is None, "why_not": why_not})


def _slices(rows: np.ndarray, codes: RunCodes) -> dict[str, int]:
    """Slice -> rows, most first."""
    slices, counts = np.unique(codes.slice_R[rows], return_counts=True)
    named = {NO_SLICE if s == _ABSENT else codes.slices[s]: int(n) for s, n in zip(slices, counts, strict=True)}
    return dict(sorted(named.items(), key=lambda item: (-item[1], item[0])))


def _in_several_runs(rows: np.ndarray, codes: RunCodes) -> np.ndarray:
    """The questions that these rows have in two or more runs; in a log without run ids, on two or more lines.

    In a log that has run ids, lines without one count as one more run together.
    """
    question, run = codes.question_R[rows], codes.run_R[rows]
    if codes.has_run_ids:
        width = int(run.max(initial=_ABSENT)) + 2
        question = np.unique(question * width + (run + 1)) // width
    found, runs = np.unique(question, return_counts=True)
    several: np.ndarray = found[runs >= 2]
    return several


def _why_not(cluster: FailureCluster) -> str | None:
    """One sentence if the cluster is no candidate."""
    questions = cluster.questions
    if cluster.label == UNLABELLED:
        return (
            "These failures have no failure_label: `burnish clusters find` groups them by how they fail, and the groups' names "
            "become their labels."
        )
    if questions < MINIMUM_QUESTIONS:
        return (
            f"Only {questions} distinct question{'s' if questions > 1 else ''} fail{'' if questions > 1 else 's'} this way and "
            f"{MINIMUM_QUESTIONS} are needed to train on some and hold out others: log more runs or fix these by hand."
        )
    if may_be_chance(cluster):
        return (
            f"It does not repeat: {cluster.asked_again:,} of its {questions:,} questions were asked again, and none failed this way "
            "twice."
        )
    return None


def _examples(
    log: RunLogReader, codes: RunCodes, groups: dict[str, np.ndarray], labels: list[str]
) -> dict[str, list[dict[str, Any]]]:
    """Label -> the first failing row of its first three questions."""
    chosen = {label: _first_rows(groups[label], codes) for label in labels}
    wanted = np.unique(np.concatenate([*chosen.values(), np.empty(0, dtype=np.int64)]))
    shown = dict(zip(wanted.tolist(), log.table(wanted, _EXAMPLE_COLUMNS).to_pylist(), strict=True))
    return {label: [shown[row] for row in rows.tolist()] for label, rows in chosen.items()}


def _first_rows(rows: np.ndarray, codes: RunCodes) -> np.ndarray:
    _, first = np.unique(codes.question_R[rows], return_index=True)
    return rows[np.sort(first)[:EXAMPLES]]


def _advice(
    run_log_id: str,
    log: RunLogReader,
    codes: RunCodes,
    groups: dict[str, np.ndarray],
    clusters: Sequence[FailureCluster],
    failing: int,
) -> list[Advice]:
    """What to try first, by the first lines of each cluster and other lines of the same questions."""
    missed = int((codes.failing_R & ~codes.attributed_R).sum())
    found = [retrieval_advice(failing, missed, run_log_id)]
    own = [groups[cluster.label][:SAMPLE] for cluster in clusters]
    asked = [_of_same_questions(rows, codes) for rows in own]
    wanted = np.unique(np.concatenate([*own, *asked, np.empty(0, dtype=np.int64)]))
    lines = dict(zip(wanted.tolist(), log.lines(wanted), strict=True))  # each row group is read once
    for cluster, rows, others in zip(clusters, own, asked, strict=True):
        sample = Sample([lines[row] for row in rows.tolist()], [lines[row] for row in others.tolist()])
        found.append(advise(cluster, sample, run_log_id, is_unlabelled=cluster.label == UNLABELLED))
    return [each for each in found if each is not None]


def _of_same_questions(rows: np.ndarray, codes: RunCodes) -> np.ndarray:
    """Rows of the questions of these rows, passing or failing, the first of them."""
    wanted = np.zeros(len(codes.questions), dtype=bool)
    wanted[codes.question_R[rows]] = True
    return np.flatnonzero(wanted[codes.question_R])[: len(rows) * RUNS_LOOKED_AT]


def _distinct(codes: np.ndarray) -> int:
    return len(np.unique(codes[codes != _ABSENT]))
