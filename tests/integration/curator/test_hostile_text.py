"""A log whose texts talk to terminals and turn lines round: no command and no page passes that on."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import httpx
from integration.client.homes import Home
from integration.curator.process import TOKEN, CuratorProcess
from runlog_making import jsonl, run

import burnish_client

HOSTILE = "\x1b]52;c;cm0gLXJm\x07 \x1b[2J \x9b31m \u202egnp.exe\u2066 \x7f \x85"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
LINES = [
    run(
        f"q{number}{HOSTILE}",
        question=f"what {HOSTILE}",
        answer=f"no {HOSTILE}",
        failure_label=f"odd {HOSTILE}",
        slice=f"s{HOSTILE}",
        model=f"m{HOSTILE}",
    )
    for number in range(6)
]


def test_what_a_log_says_reaches_no_terminal(curator: CuratorProcess, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(jsonl([*LINES, {"question_id": HOSTILE}]))

    def burnish(*words: str) -> str:
        done = Home(tmp_path / "home").burnish(*words, BURNISH_CURATOR_URL=curator.url, BURNISH_TOKEN=TOKEN)
        assert "Traceback" not in done.stderr
        assert not OBEYED.search(done.stdout + done.stderr), words
        return done.stdout + done.stderr

    said = burnish("runs", "import", str(log), "--name", "hostile")
    assert "6" in said
    for words in (
        ("runs", "ls"),
        ("runs", "show", "hostile"),
        ("diagnose", "hostile"),
        ("runs", "show", "hostile", "--json"),
        ("diagnose", "hostile", "--json"),
        ("dataset", "build", HOSTILE, "--label", "odd"),
    ):
        said += burnish(*words)
    assert "‹U+202E›" in said
    assert "‹U+001B›" in said


def test_the_review_page_shows_it_and_sends_back_what_it_got(curator: CuratorProcess) -> None:
    with curator.client() as client:
        made = client.post("/v1/runlogs", params={"name": "hostile"}, content=jsonl(LINES)).json()["manifest"]["id"]
    with httpx.Client(base_url=curator.url, trust_env=False, timeout=60) as browser:
        browser.post("/review/sign-in", data={"token": TOKEN, "next": f"/review/{made}"})
        page = browser.get(f"/review/{made}").text
    shown = re.sub(r'<input type="hidden"[^>]*>', "", page)
    assert not OBEYED.search(shown)
    assert "‹U+202E›gnp.exe" in shown
    assert re.search(r'name="question_id" value="q\d[^"]*\u202egnp', page), (
        "the form names the question as the log does"
    )


def test_every_command_prints_through_the_console_that_spells_out() -> None:
    for path in Path(burnish_client.__file__).parent.rglob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not {call.id for call in calls if isinstance(call, ast.Name)} & {"Console", "print"}, path
