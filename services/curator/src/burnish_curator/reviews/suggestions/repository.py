"""Suggestions in the database: of each question, prompt and teacher the newest."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.dialects import postgresql, sqlite

from burnish.curation.distillation.graded import best_first
from burnish.schemas.review import SuggestionGrade, TeacherSuggestion
from burnish_curator.database import transaction
from burnish_curator.reviews.history import SUGGESTIONS, pieces

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

    def of(self, run_log_id: str, question_ids: Collection[str] | None = None) -> dict[str, list[TeacherSuggestion]]:
        """By question (None: of all), those that passed first."""
        found: dict[str, list[TeacherSuggestion]] = defaultdict(list)
        with transaction(self._database) as connection:
            for chosen in pieces(question_ids):
                query = select(SUGGESTIONS).where(SUGGESTIONS.c.run_log_id == run_log_id)
                if chosen is not None:
                    query = query.where(SUGGESTIONS.c.question_id.in_(chosen))
                for row in connection.execute(query):
                    found[row.question_id].append(_suggestion(row._mapping))
        return {question_id: best_first(given) for question_id, given in sorted(found.items())}

    def answered(self, run_log_id: str, model: str, host: str) -> dict[str, set[str]]:
        """Question id -> keys of its prompts that this teacher has answered."""
        query = select(SUGGESTIONS.c.question_id, SUGGESTIONS.c.prompt_key).where(
            SUGGESTIONS.c.run_log_id == run_log_id, SUGGESTIONS.c.model == model, SUGGESTIONS.c.host == host
        )
        found: dict[str, set[str]] = defaultdict(set)
        with transaction(self._database) as connection:
            for question_id, key in connection.execute(query):
                found[question_id].add(key)
        return found

    def counts(self, run_log_id: str) -> dict[SuggestionGrade, int]:
        """How many there are, by grade."""
        query = (
            select(SUGGESTIONS.c.grade, func.count())
            .where(SUGGESTIONS.c.run_log_id == run_log_id)
            .group_by(SUGGESTIONS.c.grade)
        )
        with transaction(self._database) as connection:
            return {row[0]: row[1] for row in connection.execute(query)}


def _suggestion(row: Any) -> TeacherSuggestion:
    at = row["at"]
    known = {name: row[name] for name in TeacherSuggestion.model_fields}
    known |= {"at": at if at.tzinfo else at.replace(tzinfo=UTC), "sampling": json.loads(row["sampling"])}
    return TeacherSuggestion(**known)
