"""Small words of the command line: durations, sizes, references, tables, hints, output files."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from burnish.errors import InternalError, NotFoundError, PreconditionError, UnauthenticatedError
from burnish_client.cli.views import console


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (125, "2:05 min"), (3725, "1:02:05 h")],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert console.duration(seconds) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (19_600_000, "19.6 MB"),
        (500_000_000, "500 MB"),
        (2_340_000_000, "2.34 GB"),
    ],
)
def test_size(size_bytes: int, text: str) -> None:
    assert console.size(size_bytes) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fixes", ("fixes", None)),
        ("fixes@abc", ("fixes", "abc")),
        ("fixes/abc", ("fixes", "abc")),
        ("fixes@", ("fixes", None)),
    ],
)
def test_name_and_version(text: str, expected: tuple[str, str | None]) -> None:
    assert console.name_and_version(text) == expected


def test_a_table_cuts_the_columns_that_may_be_cut_and_keeps_ids_and_numbers_whole() -> None:
    table = console.table("id", "~name", ">lines")
    table.add_row("0123456789abcdef", "a very long name " * 10, "1,234,567")
    terminal = Console(width=80)
    with terminal.capture() as capture:
        console.show_table(table, terminal)
    text = capture.get()
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "0123456789abcdef" in text
    assert "1,234,567" in text
    assert "a very long name a very" in text


def test_text_from_users_is_never_read_as_markup() -> None:
    terminal = Console(width=80)
    with terminal.capture() as capture:
        terminal.print(console.one_line("a [bold]b[/]\n c"))
        terminal.print(console.facts([("answer", "[red]x")]))
    assert capture.get().splitlines()[0] == "a [bold]b[/] c"
    assert "[red]x" in capture.get()


def test_a_hint_is_given_only_where_the_message_has_none() -> None:
    assert console.hint_of(PreconditionError("first: run `burnish up`")) is None
    assert "BURNISH_TOKEN" in (console.hint_of(UnauthenticatedError("wrong token")) or "")
    assert "`ls`" in (console.hint_of(NotFoundError("no such thing")) or "")


def test_the_request_id_is_shown_for_a_defect_of_a_service_only(capsys: pytest.CaptureFixture[str]) -> None:
    console.burnish_error(InternalError("defect", request_id="r1"))
    console.burnish_error(NotFoundError("gone", request_id="r2"))
    told = capsys.readouterr().err
    assert "(request r1)" in told
    assert "r2" not in told


def test_an_output_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"

    def breaking() -> object:
        yield b"one\n"
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        console.write_output(breaking(), target)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    assert console.write_output([b"one\ntwo", b"\n"], target) == 2
    assert target.read_bytes() == b"one\ntwo\n"
