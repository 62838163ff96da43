"""Answers on disk: the log of a run, and the cache that runs share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from unit.evaluation.questions import make_answer

from burnish.errors import CorruptDataError, PreconditionError
from burnish_client.evaluation.asking.answers import AnswerCache, AnswerLog, cache_key

BASE = "sha256:aa"


def test_log_drops_a_line_cut_short_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with AnswerLog(path) as log:
        log.extend([make_answer(1), make_answer(2)])
    path.write_bytes(path.read_bytes()[:-9])
    with AnswerLog(path) as log:
        assert log.get(make_answer(1).key) == make_answer(1)
        assert log.get(make_answer(2).key) is None
        log.append(make_answer(2))
    with AnswerLog(path) as log:
        assert log.get(make_answer(2).key) == make_answer(2)


def test_log_names_a_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(make_answer(1).model_dump_json().encode() + b"\n{}\n")
    with pytest.raises(CorruptDataError, match=r"a\.jsonl line 2"), AnswerLog(path):
        pass


def test_log_has_one_writer(tmp_path: Path) -> None:
    with AnswerLog(tmp_path / "a.jsonl"), pytest.raises(PreconditionError, match="another run"):
        AnswerLog(tmp_path / "a.jsonl").__enter__()


def test_errors_are_logged_but_count_as_not_asked(tmp_path: Path) -> None:
    with AnswerLog(tmp_path / "a.jsonl") as log:
        log.append(make_answer(1, text=None, error="HTTP 500"))
        assert log.get(make_answer(1).key) is None


def test_the_first_answer_stays(tmp_path: Path) -> None:
    key = cache_key(BASE, 0, "p", "s", {"seed": 0})
    with AnswerCache(tmp_path) as cache:
        cache.put(key, make_answer(1))
        cache.put(key, make_answer(2))
    with AnswerCache(tmp_path) as cache:
        assert cache.get(key) == make_answer(1)
        assert cache.get(cache_key(BASE, 1, "p", "s", {"seed": 0}) or "") is None


def test_several_writers_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:  # a connection each, as two processes have
        list(pool.map(partial(write_hundred, tmp_path), (0, 50)))
    with AnswerCache(tmp_path) as cache:
        assert all(cache.get(str(number)) == make_answer(number) for number in range(150))


def write_hundred(folder: Path, first: int) -> None:
    with AnswerCache(folder) as cache:
        for number in range(first, first + 100):
            cache.put(str(number), make_answer(number))


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "answers.sqlite3").write_bytes(b"not a database" * 100)
    with pytest.raises(CorruptDataError, match=r"answers\.sqlite3 is no cache of answers"):
        AnswerCache(tmp_path).__enter__()


def test_only_answers_that_model_and_parameters_fix_have_a_key() -> None:
    greedy, seeded = {"temperature": 0.0}, {"temperature": 0.7, "seed": 0}
    assert cache_key(BASE, 0, "p", "s", greedy)
    assert cache_key(BASE, 0, "p", "s", seeded)
    assert cache_key(BASE, 0, "p", "s", {"temperature": 0.7}) is None
    assert cache_key(BASE, 0, "p", "s", {}) is None
    assert cache_key(None, 0, "p", "s", greedy) is None
    different = {
        cache_key(*key, greedy)
        for key in (
            (BASE, 0, "p", "s"),
            ("b", 0, "p", "s"),
            (BASE, 1, "p", "s"),
            (BASE, 0, "q", "s"),
            (BASE, 0, "p", "t"),
        )
    }
    assert len(different) == 5
