"""Texts are found however a file writes them, and nothing else is taken for them."""

from __future__ import annotations

import gzip
import html
import json
import random
import string
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from burnish.erasure.documents import redacted
from burnish.erasure.scan import find_in, find_in_file
from burnish.erasure.texts import PIECE, Texts, pieces, texts_of, with_whole_lines
from burnish.schemas.runlog import RunLogLine

SECRET = 'Mein Zeichen "Ä-7" & <Straße>\nist seit März in Köln, 日本語もあります。'
OTHER = "Ein ganz anderer Text, der nichts davon sagt, aber auch von März und Köln handelt"


@pytest.mark.parametrize(
    "write",
    [
        str,
        json.dumps,
        lambda text: json.dumps(text, ensure_ascii=False),
        lambda text: json.dumps({"a": json.dumps({"b": text})}),
        html.escape,
        lambda text: html.escape(text).replace("&quot;", "&#34;"),
        lambda text: text[:50],
        lambda text: " ".join(text.split("\n")),
    ],
)
def test_found_however_it_is_written(write) -> None:
    texts = Texts(pieces(SECRET))
    document = f"{OTHER} {write(SECRET)} {OTHER}".encode()
    assert texts.found_in(document)
    assert not texts.found_in(f"{OTHER} {write(OTHER)}".encode())
    assert not texts.found_in(texts.replaced(document))


def test_found_across_blocks_in_parquet_and_in_gzip(tmp_path: Path) -> None:
    texts = Texts(pieces(SECRET))
    whole = SECRET.encode()
    assert find_in([bytes([byte]) for byte in whole], texts) == texts.found_in(whole) == set(range(len(texts.pieces)))
    pq.write_table(pa.table({"n": [1], "text": [SECRET], "list": [[SECRET]]}), tmp_path / "a.parquet")
    (tmp_path / "a.gz").write_bytes(gzip.compress(whole))
    for name in ("a.parquet", "a.gz"):
        assert find_in_file(tmp_path / name, name, texts)


def test_many_texts_against_the_plain_way() -> None:
    dice = random.Random(3)
    words = ["".join(dice.choices(string.ascii_lowercase, k=dice.randint(3, 9))) for _ in range(300)]
    wanted = {piece for _ in range(200) for piece in pieces(" ".join(dice.choices(words, k=12)))}
    texts = Texts(wanted)
    data = " ".join([*dice.choices(words, k=3000), *sorted(wanted)[::3]])
    assert texts.found_in(data.encode()) == {n for n, piece in enumerate(texts.pieces) if piece in data}


def test_pieces_cover_a_text_and_leave_short_ones() -> None:
    text = "".join(chr(97 + n % 26) for n in range(PIECE * 3 + 5))
    assert all(any(text.startswith(piece, at) for piece in pieces(text)) for at in (0, PIECE, 2 * PIECE, PIECE * 2 + 5))
    assert pieces("too short") == set()
    assert Texts(with_whole_lines(pieces(text), [text])).replaced(f"<{text}>".encode()) == b"<[erased]>"


def test_every_text_of_a_line_counts_and_no_id() -> None:
    line = RunLogLine.read(
        {
            "question_id": "q", "question": "asked", "answer": "said", "grade": None, "run_id": "run", "user_id": "user",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "part"}], "tool_calls": [{"x": "call"}]}],
            "feedback": [{"comment": "comment"}], "mine": {"deep": ["extra"]},
        }
    )  # fmt: skip
    assert {"asked", "said", "part", "call", "comment", "extra"} <= texts_of(line)
    assert not {"q", "run", "user"} & texts_of(line)


def test_a_document_keeps_what_is_not_erased() -> None:
    texts = Texts(pieces(SECRET))
    rows = b"".join(
        json.dumps({"question_id": q, "answer": a}).encode() + b"\n" for q, a in (("1", SECRET), ("2", OTHER))
    )
    first, second = redacted(rows, texts).splitlines()
    assert (json.loads(first), second) == ({"question_id": "1", "answer": "[erased]"}, rows.splitlines()[1])
    assert [json.loads(row)["answer"] for row in redacted(rows, Texts(()), {"2"}).splitlines()] == [SECRET, "[erased]"]
    assert redacted(b"PAR1" + SECRET.encode(), texts) == b"PAR1" + SECRET.encode()
