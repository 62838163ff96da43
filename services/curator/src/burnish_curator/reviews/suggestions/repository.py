"""Suggestions in the database: of each question, prompt and teacher the newest."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, case, delete, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from burnish.curation.distillation.graded import best_first
from burnish.schemas.review import (
    CORRECTIONS,
    SuggestionGrade,
    SuggestionRemoval,
    SuggestionTeacher,
    TeacherSuggestion,
)
from burnish_curator.database import transaction
from burnish_curator.reviews.history import EVENTS, SUGGESTIONS, pieces
from burnish_curator.reviews.repository import lock_log

KEY = ("run_log_id", "question_id", "prompt_key", "model", "host")
COLUMNS = tuple(SUGGESTIONS.c.keys())


class SuggestionRepository:
    """Thread-safe, and safe beside other processes. Whoever erases or removes a review removes these too (`CorrectionRepository`)."""

    def __init__(self, database: Engine) -> None:
        self._database = database

    def keep(self, run_log_id: str, suggestions: Sequence[TeacherSuggestion]) -> None:
        """Each replaces what the same teacher answered to the same prompt before."""
        by_key = {(each.question_id, each.prompt_key, each.model, each.host): each for each in suggestions}
        if not by_key:
            return
        rows = [
            each.model_dump() | {"run_log_id": run_log_id, "sampling": json.dumps(each.sampling, sort_keys=True)}
            for each in by_key.values()
        ]
        with transaction(self._database) as connection:
            dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
            statement = dialect.insert(SUGGESTIONS)
            changed = {name: statement.excluded[name] for name in COLUMNS if name not in KEY}
            connection.execute(statement.on_conflict_do_update(index_elements=KEY, set_=changed), rows)

    def of(
        self, run_log_id: str, question_ids: Collection[str] | None = None, *, withdrawn: bool = False
    ) -> dict[str, list[TeacherSuggestion]]:
        """By question (None: of all), those that passed first. withdrawn: also those that were removed and say whose a correction's text is."""
        found: dict[str, list[TeacherSuggestion]] = defaultdict(list)
        with transaction(self._database) as connection:
            for chosen in pieces(question_ids):
                query = select(SUGGESTIONS).where(SUGGESTIONS.c.run_log_id == run_log_id)
                if not withdrawn:
                    query = query.where(~SUGGESTIONS.c.withdrawn)
                if chosen is not None:
                    query = query.where(SUGGESTIONS.c.question_id.in_(chosen))
                for row in connection.execute(query):
                    found[row.question_id].append(_suggestion(row._mapping))
        return {question_id: best_first(given) for question_id, given in sorted(found.items())}

    def answered(self, run_log_id: str, model: str, host: str) -> dict[str, set[str]]:
        """Question id -> keys of its prompts that this teacher has answered."""
        query = select(SUGGESTIONS.c.question_id, SUGGESTIONS.c.prompt_key).where(_of_teacher(run_log_id, model, host))
        found: dict[str, set[str]] = defaultdict(set)
        with transaction(self._database) as connection:
            for question_id, key in connection.execute(query):
                found[question_id].add(key)
        return found

    def counts(self, run_log_id: str) -> dict[SuggestionGrade, int]:
        """How many there are, by grade."""
        query = (
            select(SUGGESTIONS.c.grade, func.count())
            .where(SUGGESTIONS.c.run_log_id == run_log_id, ~SUGGESTIONS.c.withdrawn)
            .group_by(SUGGESTIONS.c.grade)
        )
        with transaction(self._database) as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def teachers(self, run_log_id: str) -> list[SuggestionTeacher]:
        """By model and host."""
        teacher = (SUGGESTIONS.c.model, SUGGESTIONS.c.host)
        accepted = func.sum(case((_accepted(), 1), else_=0))
        query = (
            select(*teacher, SUGGESTIONS.c.grade, func.count(), accepted, func.max(SUGGESTIONS.c.at))
            .where(SUGGESTIONS.c.run_log_id == run_log_id, ~SUGGESTIONS.c.withdrawn)
            .group_by(*teacher, SUGGESTIONS.c.grade)
        )
        found: dict[tuple[str, str], list[Any]] = defaultdict(list)
        with transaction(self._database) as connection:
            for model, host, *counted in connection.execute(query):
                found[model, host].append(counted)
        return [
            SuggestionTeacher(
                model=model,
                host=host,
                grades={grade: count for grade, count, _, _ in counted},
                accepted=sum(count for _, _, count, _ in counted),
                newest=max(_in_utc(at) for *_, at in counted),
            )
            for (model, host), counted in sorted(found.items())
        ]

    def remove(self, run_log_id: str, model: str, host: str | None = None) -> SuggestionRemoval:
        """Remove what this teacher suggested; host None: on all hosts. What a correction has word for word is withdrawn instead.

        A correction that was taken back counts too, since an undo can restore it.
        """
        mine = _of_teacher(run_log_id, model, host)
        with transaction(self._database) as connection:
            lock_log(connection, run_log_id)  # nobody accepts one meanwhile
            accepted = connection.execute(update(SUGGESTIONS).where(mine, _accepted()).values(withdrawn=True)).rowcount
            removed = connection.execute(delete(SUGGESTIONS).where(mine)).rowcount
        return SuggestionRemoval(removed=removed + accepted, accepted=accepted)


def _of_teacher(run_log_id: str, model: str, host: str | None) -> Any:
    """Those that were not removed."""
    mine = (SUGGESTIONS.c.run_log_id == run_log_id) & (SUGGESTIONS.c.model == model) & ~SUGGESTIONS.c.withdrawn
    return mine if host is None else mine & (SUGGESTIONS.c.host == host)


def _accepted() -> Any:
    """Whether a correction of the history has the suggestion's text, to its prompt."""
    same = [EVENTS.c[name] == SUGGESTIONS.c[name] for name in ("run_log_id", "question_id")]
    prompt = EVENTS.c.prompt_key.is_(None) | (EVENTS.c.prompt_key == SUGGESTIONS.c.prompt_key)
    text = EVENTS.c.output == SUGGESTIONS.c.text
    return exists().where(*same, prompt, text, EVENTS.c.state.in_(CORRECTIONS)).correlate(SUGGESTIONS)


def _in_utc(at: datetime) -> datetime:
    """SQLite forgets the zone."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _suggestion(row: Any) -> TeacherSuggestion:
    known = {name: row[name] for name in TeacherSuggestion.model_fields}
    known |= {"at": _in_utc(row["at"]), "sampling": json.loads(row["sampling"])}
    return TeacherSuggestion(**known)
