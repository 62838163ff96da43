"""The review state on SQLite and on PostgreSQL: one suite for both."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, text

from burnish.curation.review.items import Correction
from burnish.errors import InvalidInputError, UnavailableError
from burnish.schemas.review import SuggestionRemoval, TeacherSuggestion
from burnish_curator.database import open_database
from burnish_curator.database.tables import Base
from burnish_curator.reviews.repository import CorrectionRepository, Decided
from burnish_curator.reviews.suggestions.repository import SuggestionRepository


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new folder' / 'curator.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_database(url)
    yield engine
    with engine.begin() as connection:
        Base.metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
    engine.dispose()


def correction(question_id: str, text: str = "right") -> Decided:
    return Decided(question_id, "not-json", "corrected", text)


def test_a_large_review_is_saved_whole(engine: Engine) -> None:
    repository = CorrectionRepository(engine)
    assert (
        len(repository.record("log", [correction(f"q{n}", "ünï\n'\"; --") for n in range(2500)], "mia").events) == 2500
    )
    assert set(repository.current("log").values()) == {
        Correction(f"q{n}", "not-json", "ünï\n'\"; --") for n in range(2500)
    }
    assert repository.record("log", [], "mia").events == []


def test_writers_wait_for_each_other(engine: Engine) -> None:
    repository = CorrectionRepository(engine)

    def save(writer: int) -> int:
        return repository.record("log", [correction(f"q{n}", f"by {writer}") for n in range(20)], f"{writer}").replaced

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(save, range(6))) == [0, 20, 20, 20, 20, 20]
    saved = repository.current("log")
    assert len({c.corrected_output for c in saved.values()}) == 1


def test_suggestions_of_a_teacher_are_removed_but_for_whose_a_correction_is(engine: Engine) -> None:
    suggestions, at = SuggestionRepository(engine), datetime(2026, 11, 30, 12, tzinfo=UTC)
    common = {"failure_label": "odd", "prompt_key": "0" * 64, "text": "right", "at": at}
    suggestions.keep(
        "log",
        [
            TeacherSuggestion(question_id=question, model=model, host="a.example.org", grade=grade, **common)
            for model in ("big", "small")
            for question, grade in (("q1", "passed"), ("q2", "failed"))
        ],
    )
    CorrectionRepository(engine).record("log", [correction("q1")], "mia")
    [big, small] = suggestions.teachers("log")
    assert (big.model, big.grades, big.accepted, big.newest) == ("big", {"passed": 1, "failed": 1}, 1, at)
    assert suggestions.remove("log", "big") == SuggestionRemoval(removed=2, accepted=1)
    assert suggestions.remove("log", "small", "b.example.org").removed == 0
    assert suggestions.teachers("log") == [small]
    assert [len(given) for given in suggestions.of("log").values()] == [1, 1]
    assert {q: [s.model for s in given] for q, given in suggestions.of("log", withdrawn=True).items()} == {
        "q1": ["big", "small"],
        "q2": ["small"],
    }


def test_several_processes_may_open_a_new_database_at_once(url: str, engine: Engine) -> None:
    with engine.begin() as connection:
        Base.metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(open_database, [url] * 4))
    for opened in engines:
        assert CorrectionRepository(opened).current("log") == {}
        opened.dispose()


def test_migrations_lead_to_the_tables(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []


@pytest.mark.parametrize("url", ["nonsense", "oracle://x/y", ""])
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError, match="BURNISH_CURATOR_DATABASE_URL"):
        open_database(url)


def test_a_server_that_does_not_answer_is_unavailable_and_keeps_its_password() -> None:
    with pytest.raises(UnavailableError, match="cannot be opened") as caught:
        open_database("postgresql+psycopg://me:hunter2@127.0.0.1:1/x?connect_timeout=2")
    assert "hunter2" not in caught.value.message
