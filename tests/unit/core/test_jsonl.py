"""A log survives the process that writes it: whole lines count, a torn last one does not."""

from __future__ import annotations

import gzip
import json
import re
import resource
import signal
from pathlib import Path
from threading import Thread

import pytest

from burnish.errors import CorruptDataError, InvalidInputError, PreconditionError
from burnish.jsonl import AppendLog, check_is_jsonl, to_jsonl, whole_lines
from burnish.schemas.base import Message


def test_lines_without_their_newline_are_not_whole() -> None:
    assert whole_lines(b"") == ([], 0)
    assert whole_lines(b"torn") == ([], 0)
    assert whole_lines(b"one\ntwo\n") == ([b"one", b"two"], 8)
    assert whole_lines(b"one\n\ntorn") == ([b"one", b""], 5)
    assert whole_lines(b"a\rb\n") == ([b"a\rb"], 4)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('[{"question_id": "a"}]', "one JSON array, and one object a line is wanted: `jq -c"),
        ('\n[\n  {"question_id": "a"}\n]', "one JSON array"),
        ("question_id,answer\na,b\n", "begins with 'question_id,answer': write one JSON object a line, also for CSV"),
    ],
)
def test_what_is_no_jsonl_is_told_with_what_to_do(tmp_path: Path, content: str, told: str) -> None:
    for file, packed in (("rows.jsonl", content.encode()), ("rows.jsonl.gz", gzip.compress(content.encode()))):
        (tmp_path / file).write_bytes(packed)
        with pytest.raises(InvalidInputError, match=re.escape(told)):
            check_is_jsonl(tmp_path / file)
    (tmp_path / "torn.gz").write_bytes(gzip.compress(content.encode())[:-9])
    with pytest.raises(InvalidInputError, match="no whole gzip file"):
        check_is_jsonl(tmp_path / "torn.gz")


@pytest.mark.parametrize("content", ["", "\n", '{"a": 1}\n', '\ufeff{"a": 1}\n', 'a bad line\n{"a": 1}\n'])
def test_a_bad_line_among_good_ones_is_left_to_the_reader(tmp_path: Path, content: str) -> None:
    (tmp_path / "rows.jsonl").write_text(content)
    check_is_jsonl(tmp_path / "rows.jsonl")


def test_rows_become_lines() -> None:
    rows = [Message(role="user", content="a\nb"), Message(role="assistant", content="ß")]
    assert to_jsonl(rows).decode() == '{"role":"user","content":"a\\nb"}\n{"role":"assistant","content":"ß"}\n'


@pytest.mark.parametrize("sync_every_seconds", [0.0, 60.0])
def test_what_was_appended_is_there_when_opened_again(tmp_path: Path, sync_every_seconds: float) -> None:
    path = tmp_path / "new" / "answers.jsonl"
    with AppendLog(path, sync_every_seconds=sync_every_seconds) as log:
        assert log.lines == []
        log.append(b"[1]")
        assert path.read_bytes() == b"[1]\n"
    with AppendLog(path) as log:
        log.append(b"[2]")
    with AppendLog(path) as log:
        assert log.parsed(json.loads, "a list") == [[1], [2]]


def test_a_torn_last_line_is_cut_off_and_the_next_line_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"[1]\n[2")
    with AppendLog(path) as log:
        assert log.lines == [b"[1]"]
        log.append(b"[3]")
    assert path.read_bytes() == b"[1]\n[3]\n"


def test_a_bad_line_before_the_last_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"role":"user","content":"x"}\n{"role":"user"}\n')
    with (
        AppendLog(path) as log,
        pytest.raises(CorruptDataError, match=r"log\.jsonl line 2: not a message: content: Field required"),
    ):
        log.parsed(Message.model_validate_json, "a message")
    path.write_bytes(b"[1]\n[\n")
    with AppendLog(path) as log, pytest.raises(CorruptDataError, match="line 2: not a list"):
        log.parsed(json.loads, "a list")


def test_a_second_exclusive_writer_is_refused_until_the_first_has_closed(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with AppendLog(path, exclusive=True) as first:
        first.append(b"[1]")
        with pytest.raises(PreconditionError, match="another run"):
            AppendLog(path, exclusive=True)
    with AppendLog(path, exclusive=True) as second:
        assert second.lines == [b"[1]"]


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with AppendLog(path, sync_every_seconds=60) as log:
        threads = [Thread(target=lambda n=n: [log.append(b"%d" % n * 50) for _ in range(50)]) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines, _ = whole_lines(path.read_bytes())
    assert sorted(lines) == sorted([b"%d" % n * 50 for n in range(4) for _ in range(50)])


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """A limit on the file's size stands for the disk that is full."""
    path = tmp_path / "log.jsonl"
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with AppendLog(path) as log:
        log.append(b"[1]")
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                log.append(b"[2, 2, 2, 2, 2, 2]")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, ignored)
        log.append(b"[3]")
    assert path.read_bytes() == b"[1]\n[3]\n"
