"""The review state on SQLite and on PostgreSQL: one suite for both."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, text

from burnish.curation.review import Correction
from burnish.errors import InvalidInputError, UnavailableError
from burnish_curator.database import open_database
from burnish_curator.database.tables import Base
from burnish_curator.reviews.repository import CorrectionRepository


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


def correction(question_id: str, text: str = "right") -> Correction:
    return Correction(question_id, "not-json", text)


def test_the_newest_correction_is_the_current_one_and_is_counted(engine: Engine) -> None:
    repository = CorrectionRepository(engine)
    assert repository.save("log", [correction("q1"), correction("q2", "ünï\n'\"; --")]) == (0, 0)
    assert repository.save("log", [correction("q1", "better"), correction("q2", "ünï\n'\"; --"), correction("q3")]) == (
        1,
        0,
    )
    assert repository.save("other", [correction("q1", "elsewhere")]) == (0, 0)
    assert repository.current("log") == {
        "q1": correction("q1", "better"),
        "q2": correction("q2", "ünï\n'\"; --"),
        "q3": correction("q3"),
    }
    assert repository.save("log", [], ["q1", "never there"]) == (0, 1)
    assert set(repository.current("log")) == {"q2", "q3"}
    assert repository.current("other") == {"q1": correction("q1", "elsewhere")}


def test_a_large_review_is_saved_whole(engine: Engine) -> None:
    repository = CorrectionRepository(engine)
    assert repository.save("log", [correction(f"q{n}") for n in range(2500)]) == (0, 0)
    assert len(repository.current("log")) == 2500
    assert repository.save("log", []) == (0, 0)


def test_writers_wait_for_each_other(engine: Engine) -> None:
    repository = CorrectionRepository(engine)

    def save(writer: int) -> int:
        return sum(repository.save("log", [correction(f"q{n}", f"by {writer}")])[0] for n in range(20))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(save, range(6)))
    saved = repository.current("log")
    assert len(saved) == 20
    assert all(c.corrected_output.startswith("by ") for c in saved.values())


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
