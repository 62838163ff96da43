"""The review's history and leases on SQLite and on PostgreSQL: conflicts, undo, second opinions, erasure, and old databases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, text

import burnish_curator.database
from burnish.curation.review.items import Correction
from burnish.schemas.review import Choice, Preference, ReviewState, TeacherSuggestion
from burnish_curator.database import open_database
from burnish_curator.database.tables import Base
from burnish_curator.reviews.leases import LEASE_SECONDS, LeaseRepository
from burnish_curator.reviews.opinions import agreement
from burnish_curator.reviews.repository import CorrectionRepository, Decided
from burnish_curator.reviews.suggestions.repository import SuggestionRepository

MIGRATIONS = Path(burnish_curator.database.__file__).parent / "migrations"
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        f"sqlite:///{tmp_path / 'curator.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    )


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_database(url)
    yield engine
    with engine.begin() as connection:
        Base.metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
    engine.dispose()


@pytest.fixture
def reviews(engine: Engine) -> CorrectionRepository:
    return CorrectionRepository(engine)


def decided(
    question_id: str = "q1", state: ReviewState = "corrected", words: str = "right", **fields: object
) -> Decided:
    output, reason = (words, "") if state in ("corrected", "accepted") else ("", "" if state == "open" else words)
    return Decided(question_id, "not-json", state, output, reason, **fields)  # type: ignore[arg-type]


def states(reviews: CorrectionRepository) -> dict[str, str]:
    return {question_id: event.state for question_id, event in reviews.standing("log").items()}


def test_only_corrections_go_to_datasets(reviews: CorrectionRepository) -> None:
    reviews.record(
        "log", [decided("q1"), decided("q2", "accepted"), decided("q3", "dismissed"), decided("q4", "flagged")], "mia"
    )
    reviews.record("log", [decided("q5"), decided("q1", "unsure")], "mia")
    assert set(reviews.current("log")) == {"q2", "q5"}
    assert reviews.current("log")["q2"] == Correction("q2", "not-json", "right")
    assert reviews.counts() == {"log": 5}


def test_what_was_looked_at_must_still_stand(reviews: CorrectionRepository) -> None:
    first = reviews.record("log", [decided(version=0, words="mia's")], "mia")
    assert not first.conflicts
    late = reviews.record("log", [decided(version=0, words="tom's"), decided("q2", version=0)], "tom")
    [(_, standing)] = late.conflicts
    assert (standing.author, standing.output, standing.sequence) == ("mia", "mia's", first.events[0].sequence)
    assert [event.question_id for event in late.events] == ["q2"]
    assert reviews.current("log")["q1"].corrected_output == "mia's"
    whole = reviews.record("log", [decided(version=0, words="tom's"), decided("q3")], "tom", any_conflict=False)
    assert (len(whole.conflicts), "q3" in reviews.current("log")) == (1, False)
    again = reviews.record("log", [decided(version=standing.sequence, words="tom's")], "tom")
    assert (again.replaced, reviews.current("log")["q1"].corrected_output) == (1, "tom's")


def test_the_same_decision_again_is_no_event(reviews: CorrectionRepository) -> None:
    reviews.record("log", [decided()], "mia")
    assert reviews.record("log", [decided(), decided("q2", "open")], "tom").events == []
    assert len(reviews.history("log", None, None, 10)) == 1


def test_undo_goes_back_action_by_action(reviews: CorrectionRepository) -> None:
    reviews.record("log", [decided(words="one")], "mia")
    reviews.record("log", [decided(words="two")], "mia")
    reviews.record("log", [decided("q1", "dismissed", "unclear"), decided("q2", "dismissed", "unclear")], "mia")
    reviews.record("log", [decided("q3")], "tom")
    assert states(reviews) == {"q1": "dismissed", "q2": "dismissed", "q3": "corrected"}
    reviews.undo("log", "mia")
    assert (states(reviews)["q2"], reviews.current("log")["q1"].corrected_output) == ("open", "two")
    reviews.undo("log", "mia")
    assert reviews.current("log")["q1"].corrected_output == "one"
    reviews.record("log", [decided("q1", "flagged")], "mia")
    reviews.undo("log", "mia")
    reviews.undo("log", "mia")
    assert states(reviews) == {"q1": "open", "q2": "open", "q3": "corrected"}
    assert reviews.undo("log", "mia") is None
    assert len(reviews.history("log", "q1", None, 100)) == 8, "nothing was taken out of the history"


def test_undo_leaves_what_another_person_decided_since(reviews: CorrectionRepository) -> None:
    reviews.record("log", [decided("q1", "dismissed"), decided("q2", "dismissed")], "mia")
    reviews.record("log", [decided("q1", words="tom's")], "tom")
    undone = reviews.undo("log", "mia")
    assert undone
    assert [standing.author for _, standing in undone.conflicts] == ["tom"]
    assert states(reviews) == {"q1": "corrected", "q2": "open"}


def test_changes_since_an_earlier_look(reviews: CorrectionRepository) -> None:
    reviews.record("log", [decided("q1"), decided("q2")], "mia")
    first = reviews.changes("log", 0, 0)
    assert sorted(first.states) == [("q1", "corrected"), ("q2", "corrected")]
    assert reviews.changes("log", first.generation, first.sequence).states == []
    reviews.record("log", [decided("q2", "unsure")], "mia")
    assert reviews.changes("log", first.generation, first.sequence).states == [("q2", "unsure")]
    reviews.erase("log", ["q2"])
    after = reviews.changes("log", first.generation, 99)
    assert (after.generation != first.generation, after.states) == (True, [("q1", "corrected")])


def test_changes_are_seen_in_the_order_of_commits(reviews: CorrectionRepository) -> None:
    """Six writers, and a reader that only asks for what is new: it has missed none at the end."""
    seen: dict[str, str] = {}
    generation = sequence = 0

    def write(writer: int) -> None:
        for number in range(15):
            reviews.record(
                "log", [decided(f"q{number}", words=f"{writer}"), decided(f"w{writer}-{number}")], f"{writer}"
            )

    with ThreadPoolExecutor(6) as pool:
        writing = [pool.submit(write, writer) for writer in range(6)]
        while not all(each.done() for each in writing):
            found = reviews.changes("log", generation, sequence)
            seen |= dict(found.states)
            generation, sequence = found.generation, found.sequence
        for each in writing:
            each.result()
    seen |= dict(reviews.changes("log", generation, sequence).states)
    assert seen == states(reviews)
    assert len(seen) == 15 + 90


def test_second_opinions_agree_or_make_the_item_unsure(reviews: CorrectionRepository) -> None:
    reviews.record("log", [decided("q1"), decided("q2"), decided("q3", "dismissed", "unclear")], "mia")
    reviews.record("log", [decided("q1", "accepted", "other words")], "tom", second=True)
    assert reviews.current("log")["q1"].corrected_output == "right", "the first reviewer's text stands"
    reviews.record("log", [decided("q2", "dismissed", "nobody knows")], "tom", second=True)
    assert (states(reviews)["q2"], "q2" in reviews.current("log")) == ("unsure", False)
    assert reviews.standing("log")["q2"].reason == "Reviewers disagree. mia: corrected; tom: dismissed (nobody knows)"
    assert [(a.question_id, a.state, b.state, b.author) for a, b in reviews.opinions("log")] == [
        ("q1", "corrected", "accepted", "tom"),
        ("q2", "corrected", "dismissed", "tom"),
    ]
    reviews.undo("log", "tom")
    assert reviews.current("log")["q2"].corrected_output == "right"
    assert len(reviews.opinions("log")) == 1


def preferred(question_id: str, choice: Choice, a: str = "ünï\x00 one", b: str = "two", **fields: object) -> Decided:
    is_thumb = choice in ("up", "down")
    preference = Preference(
        choice=choice, a=a, b="" if is_thumb else b, a_source="m1", b_source="" if is_thumb else "m2"
    )
    state: ReviewState = "rated" if is_thumb else "compared"
    return Decided(question_id, "not-json", state, preference=preference, **fields)  # type: ignore[arg-type]


def test_preferences_are_decisions_like_all_others(reviews: CorrectionRepository) -> None:
    """Kept as they are, once; with versions, undo, time and erasure; and no dataset takes them for corrections."""
    done = reviews.record(
        "log", [preferred("q1", "b", seconds=3.0), preferred("q2", "up"), preferred("q3", "tie")], "mia"
    )
    assert [event.preference for event in done.events] == [
        preferred(*each).preference for each in (("q1", "b"), ("q2", "up"), ("q3", "tie"))
    ]
    assert {q: (j.failure_label, j.preference.pair) for q, j in reviews.judgements("log").items()} == {
        "q1": ("not-json", ("two", "ünï\x00 one")),
        "q2": ("not-json", None),
        "q3": ("not-json", None),
    }
    assert (reviews.current("log"), reviews.counts()) == ({}, {"log": 3})
    assert reviews.record("log", [preferred("q1", "b")], "tom").events == []
    [(_, standing)] = reviews.record("log", [preferred("q1", "a", version=0)], "tom").conflicts
    assert (standing.author, standing.preference) == ("mia", preferred("q1", "b").preference)
    reviews.record("log", [decided("q1")], "mia")
    assert set(reviews.judgements("log")) == {"q2", "q3"}
    reviews.undo("log", "mia")
    restored = reviews.standing("log")["q1"]
    assert (restored.state, restored.preference) == ("compared", preferred("q1", "b").preference)
    assert reviews.effort("log").items == 1
    assert reviews.changes("log", 0, 0).states
    reviews.undo("log", "mia")
    assert (set(states(reviews).values()), reviews.judgements("log")) == ({"open"}, {})


def test_second_opinions_about_preferences(reviews: CorrectionRepository) -> None:
    """Which answer is preferred counts, not the side on which each saw it."""
    reviews.record("log", [preferred(q, c) for q, c in (("q1", "a"), ("q2", "a"), ("q3", "tie"), ("q4", "up"))], "mia")  # type: ignore[arg-type]
    swapped = preferred("q1", "b", a="two", b="ünï\x00 one")
    reviews.record(
        "log", [swapped, preferred("q2", "b"), preferred("q3", "neither"), preferred("q4", "up")], "tom", second=True
    )
    assert states(reviews) == {"q1": "compared", "q2": "unsure", "q3": "unsure", "q4": "rated"}
    standing = reviews.standing("log")
    assert standing["q2"].reason == "Reviewers disagree. mia: preferred A (m1); tom: preferred B (m2)"
    assert standing["q3"].reason == "Reviewers disagree. mia: a tie of A and B; tom: neither A nor B"
    found = agreement(reviews.opinions("log"))
    assert found
    assert (found.items, found.same) == (4, 2)


def test_effort_counts_what_was_measured(reviews: CorrectionRepository) -> None:
    reviews.record("log", [decided("q1", seconds=10.0), decided("q2", seconds=4.0), decided("q3")], "mia")
    reviews.record("log", [decided("q1", words="better", seconds=2.5)], "tom")
    assert reviews.effort("log").model_dump() == {"items": 2, "seconds": 16.5, "reviewers": 2}
    assert reviews.effort("log", ["q2", "q3", "nobody"]).model_dump() == {"items": 1, "seconds": 4.0, "reviewers": 1}
    assert reviews.recent_seconds("log") == [2.5, 4.0, 10.0]


def test_an_erased_question_leaves_no_text(reviews: CorrectionRepository, engine: Engine, tmp_path: Path) -> None:
    reviews.record("log", [decided("q1", words="secret-of-q1"), decided("q2", words="kept-of-q2")], "mia")
    reviews.record("log", [decided("q1", "flagged", "secret-reason")], "mia")
    assert reviews.erase("log", ["q1", "nobody"]) == (1, 0)
    assert set(reviews.current("log")) == {"q2"}
    assert reviews.history("log", "q1", None, 10) == []
    if engine.dialect.name == "sqlite":
        stored = b"".join(path.read_bytes() for path in tmp_path.glob("curator.db*"))
        assert (b"secret" in stored, b"kept-of-q2" in stored) == (False, True)


def test_a_review_that_was_removed_starts_anew(reviews: CorrectionRepository) -> None:
    reviews.record("log", [decided("q1"), decided("q2", "dismissed")], "mia")
    before = reviews.changes("log", 0, 0)
    assert reviews.remove_all("log") == 1
    assert (states(reviews), reviews.counts()) == ({}, {})
    assert reviews.changes("log", before.generation, before.sequence).generation != before.generation


def test_a_lease_is_one_persons_until_it_ends(engine: Engine) -> None:
    leases = LeaseRepository(engine)
    mine = leases.take("log", "q1", "mia", NOON)
    later = NOON + timedelta(seconds=LEASE_SECONDS / 2)
    assert leases.take("log", "q1", "tom", later) == mine
    renewed = leases.take("log", "q1", "mia", later)
    assert (renewed.since, renewed.until) == (NOON, later + timedelta(seconds=LEASE_SECONDS))
    leases.take("log", "q2", "tom", later)
    assert {q: lease.holder for q, lease in leases.held("log", later).items()} == {"q1": "mia", "q2": "tom"}
    leases.release("log", "q1", "tom")
    leases.release("log", "q2", "tom")
    assert set(leases.held("log", later)) == {"q1"}
    taken = leases.take("log", "q1", "tom", renewed.until)
    assert (taken.holder, taken.since) == ("tom", renewed.until)


def test_a_correction_keeps_the_prompt_that_it_is_for(reviews: CorrectionRepository) -> None:
    """The same text without a prompt leaves it as it is; with another prompt it is for that one, and undo brings the first back."""
    one, other = "1" * 64, "2" * 64
    reviews.record("log", [decided(prompt_key=one)], "mia")
    assert reviews.current("log")["q1"] == Correction("q1", "not-json", "right", one)
    assert not reviews.record("log", [decided()], "tom").events
    assert reviews.record("log", [decided(state="accepted")], "tom").events[0].prompt_key == one
    assert reviews.record("log", [decided(state="accepted", prompt_key=other)], "tom").events[0].prompt_key == other
    reviews.undo("log", "tom")
    assert reviews.current("log")["q1"].prompt_key == one
    assert reviews.record("log", [decided(words="otherwise")], "tom").events[0].prompt_key is None
    reviews.record("log", [decided("q2", "dismissed", prompt_key=one)], "mia")
    assert not reviews.record("log", [decided("q2", "dismissed", prompt_key=other)], "mia").events


def test_an_old_database_keeps_its_corrections(url: str) -> None:
    """What the first version of the tables held is there after opening, as decisions of nobody in particular."""
    old = create_engine(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with old.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for number, (log, question) in enumerate([("log", "q1"), ("log", "q2"), ("other", "q1")]):
            connection.execute(
                text("INSERT INTO corrections VALUES (:log, :question, 'not-json', :output, :at)"),
                {"log": log, "question": question, "output": f"ünï {number}", "at": str(NOON)},
            )
    migrated = open_database(url)
    reviews = CorrectionRepository(migrated)
    assert reviews.current("log") == {
        "q1": Correction("q1", "not-json", "ünï 0"),
        "q2": Correction("q2", "not-json", "ünï 1"),
    }
    assert reviews.current("other")["q1"].corrected_output == "ünï 2"
    assert reviews.standing("log")["q1"].at == NOON
    assert reviews.record("log", [decided("q3")], "mia").events[0].sequence == 3
    reviews.record("log", [decided("q2", "dismissed"), preferred("q9", "a")], "mia")
    with migrated.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        undone = connection.execute(text("SELECT question_id, state FROM review_items WHERE run_log_id = 'log'")).all()
        assert ("q9", "open") in [tuple(row) for row in undone]
        command.downgrade(config, "0001")
        kept = connection.execute(text("SELECT run_log_id, question_id FROM corrections ORDER BY 1, 2")).all()
        assert [tuple(row) for row in kept] == [("log", "q1"), ("log", "q3"), ("other", "q1")]
        connection.execute(text("DROP TABLE corrections"))
        connection.execute(text("DROP TABLE alembic_version"))
    migrated.dispose()
    old.dispose()


def suggestion(question_id: str = "q1", text: str = "ünï", **fields: object) -> TeacherSuggestion:
    known = {
        "question_id": question_id, "failure_label": "not-json", "text": text, "model": "big", "host": "a:1",
        "prompt_key": "0" * 64, "sampling": {"seed": 0}, "grade": "passed", "at": NOON,
    }  # fmt: skip
    return TeacherSuggestion.model_validate(known | fields)


def test_of_each_teacher_the_newest_suggestion_is_kept_until_it_is_erased(
    engine: Engine, reviews: CorrectionRepository
) -> None:
    suggestions = SuggestionRepository(engine)
    later = NOON + timedelta(hours=1)
    suggestions.keep("log", [])
    suggestions.keep(
        "log", [suggestion(text="old"), suggestion("q2"), suggestion(host="b", grade="failed", detail="no")]
    )
    suggestions.keep("log", [suggestion(text="new", at=later), suggestion(prompt_key="1" * 64, grade="ungraded")])
    suggestions.keep("other", [suggestion()])
    found = suggestions.of("log")
    assert [(each.grade, each.text) for each in found["q1"]] == [
        ("passed", "new"),
        ("ungraded", "ünï"),
        ("failed", "ünï"),
    ]
    assert found["q1"][0] == suggestion(text="new", at=later)
    assert list(suggestions.of("log", ["q2", "q9"])) == ["q2"]
    assert suggestions.answered("log", "big", "a:1") == {"q1": {"0" * 64, "1" * 64}, "q2": {"0" * 64}}
    assert suggestions.counts("log") == {"passed": 2, "ungraded": 1, "failed": 1}
    reviews.record("log", [decided("q2")], "mia")
    assert reviews.erase("log", ["q1", "q2"]) == (1, 4)
    assert suggestions.of("log") == {}
    assert reviews.remove_all("other") == 0
    assert suggestions.of("other") == {}
