"""`burnish review export|import` with everything that a person can decide, as a file and as a table, and which dataset the import points to. What other models suggested is listed and removed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from curator_thread import TOKEN, curator_thread
from runlog_making import jsonl, run

from burnish.schemas.review import TeacherAnswer
from burnish.schemas.runlog import ReviewItem
from burnish_client import ClientSettings
from burnish_client.cli import app as cli
from burnish_client.evaluation.suggesting import replies_file
from burnish_client.sdk.curator import CuratorClient
from burnish_client.sdk.review_files import from_csv, is_csv, to_csv

FILLED: dict[str, dict[str, str]] = {
    "p0": {"preference": "a"},
    "p1": {"preference": "b"},
    "p2": {"preference": "tie"},
    "p3": {"preference": "neither"},
    "p4": {"preference": "up"},
    "p5": {"preference": "down"},
    "p6": {"corrected_output": "=the right answer,\n\"quoted\" 'so'"},
    "p7": {"state": "dismissed", "reason": "asked twice"},
    "p8": {},
}
STATES = ["compared"] * 4 + ["rated", "rated", "corrected", "dismissed", "open"]
Burnish = Callable[..., str]


@pytest.fixture(scope="module")
def curator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CuratorClient]:
    folder = tmp_path_factory.mktemp("curator")
    with curator_thread(folder) as url, CuratorClient(url, TOKEN) as client, pytest.MonkeyPatch.context() as patch:
        for name, value in (("HOME", str(folder / "home")), ("CURATOR_URL", url), ("TOKEN", TOKEN)):
            patch.setenv(f"BURNISH_{name}", value)
        yield client


@pytest.fixture
def asked(curator: CuratorClient, tmp_path: Path) -> str:
    """The id of a run log of its own: nine questions that two models failed, so that there are two answers to each."""
    lines = [
        run(
            f"p{n}",
            answer=f"-answer of {model} to {n}",
            model=model,
            run_id=model,
            failure_label="not json",
            test=tmp_path.name,
        )
        for n in range(9)
        for model in ("one", "two")
    ]
    (tmp_path / "log.jsonl").write_bytes(jsonl(lines))
    return curator.import_run_log(tmp_path / "log.jsonl", "asked").manifest.id


@pytest.fixture
def burnish(curator: CuratorClient, capsys: pytest.CaptureFixture[str]) -> Burnish:
    def said(*words: str, code: int = 0) -> str:
        assert cli.run(list(words)) == code, capsys.readouterr().err
        printed = capsys.readouterr()
        return " ".join((printed.out + printed.err).split())

    return said


def read(file: Path) -> dict[str, ReviewItem]:
    content = file.read_bytes()
    items = from_csv(content) if is_csv(file) else map(ReviewItem.model_validate_json, content.splitlines())
    return {item.question_id: item for item in items}


def write(file: Path, items: list[ReviewItem]) -> None:
    file.write_bytes(to_csv(items) if is_csv(file) else jsonl([item.model_dump(mode="json") for item in items]))


def exported(burnish: Burnish, asked: str, file: Path) -> dict[str, ReviewItem]:
    burnish("review", "export", asked, "--label", "not json", "--out", str(file))
    return read(file)


def import_filled(burnish: Burnish, asked: str, file: Path, filled: dict[str, dict[str, str]]) -> str:
    items = exported(burnish, asked, file)
    write(file, [items[question].model_copy(update=fields) for question, fields in filled.items()])
    return burnish("review", "import", str(file), "--run-log", asked, "--author", "mia")


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_every_state_goes_out_and_comes_back(
    curator: CuratorClient, burnish: Burnish, asked: str, tmp_path: Path, suffix: str
) -> None:
    said = import_filled(burnish, asked, tmp_path / f"filled.{suffix}", FILLED)
    assert "1 corrections" in said
    assert "6 preferences, 0 taken back, 1 set aside; 1 lines still empty, 0 rejected" in said
    first = exported(burnish, asked, tmp_path / f"first.{suffix}")
    assert [item.state for item in first.values()] == STATES
    for question, fields in FILLED.items():
        assert first[question].model_dump(include=fields.keys()) == fields
    # The file changes nothing where it stands already, and restores all of it where it was removed.
    events = len(list(curator.review_history(asked)))
    burnish("review", "import", str(tmp_path / f"first.{suffix}"), "--run-log", asked, "--author", "tom")
    assert len(list(curator.review_history(asked))) == events == 8
    burnish("review", "rm", asked)
    assert {item.state for item in exported(burnish, asked, tmp_path / "none.jsonl").values()} == {"open"}
    burnish("review", "import", str(tmp_path / f"first.{suffix}"), "--run-log", asked, "--author", "mia")
    second = exported(burnish, asked, tmp_path / f"second.{suffix}")
    assert [_kept(item) for item in second.values()] == [_kept(item) for item in first.values()]
    sources = {event.question_id: event.preference for event in curator.review_history(asked) if event.preference}
    assert {sources["p0"].a_source, sources["p0"].b_source} == {"one", "two"}


def _kept(item: ReviewItem) -> dict[str, Any]:
    return item.model_dump(exclude={"version"})


def test_a_teachers_suggestions_are_listed_and_removed(
    curator: CuratorClient, burnish: Burnish, asked: str, tmp_path: Path
) -> None:
    assert "no suggestions yet" in burnish("review", "suggestions", "ls", asked)
    answers = [
        TeacherAnswer(
            question_id=prompt.question_id,
            failure_label=prompt.failure_label,
            prompt_key=prompt.prompt_key,
            text="yes",
            model=model,
            host="a.example.org",
        )
        for prompt in curator.review_prompts(asked)
        for model in ("big", "small")
    ]
    curator.suggest(asked, answers)
    import_filled(burnish, asked, tmp_path / "review.jsonl", {"p0": {"corrected_output": "yes"}})
    listed = json.loads(burnish("review", "suggestions", "ls", asked, "--json"))
    assert [(one["model"], one["grades"], one["accepted"]) for one in listed] == [
        ("big", {"ungraded": 9}, 1),
        ("small", {"ungraded": 9}, 1),
    ]
    assert "a.example.org 9 0 9 0 1" in burnish("review", "suggestions", "ls", asked)
    # What a call that was cut short left behind would come back with the next call.
    left = replies_file(ClientSettings().home, asked, "a.example.org", "big")
    left.parent.mkdir(parents=True)
    left.write_text("{}")
    said = burnish("review", "suggestions", "rm", asked, "--model", "big")
    assert "removed 9 suggestions of big" in said
    assert "corrections have the text of 1 of them, and stay" in said
    assert not left.exists()
    assert {each.model for each in curator.suggestions(asked)} == {"small"}
    assert curator.review_progress(asked).states["accepted"] == 1
    assert "those of small at a.example.org" in burnish("review", "suggestions", "rm", asked, "--model", "big", code=1)


COMPARED, RATED, CORRECTED = {"preference": "a"}, {"preference": "up"}, {"corrected_output": "{}"}


def test_the_next_command_builds_what_was_imported(burnish: Burnish, asked: str, tmp_path: Path) -> None:
    """Of several formats that which most items make rows of; the other is named."""
    questions = (f"p{n % 9}" for n in count())
    build = f"next: burnish dataset build NAME --run-log {asked} --label 'not json'"
    for filled, ending in (
        ([RATED], f"{build} --format kto"),
        ([COMPARED, CORRECTED, COMPARED, RATED], f"{build} --format dpo Thumbs (1) make rows with --format kto only."),
        ([CORRECTED, CORRECTED, COMPARED], f"{build} Comparisons (1) make rows with --format dpo only."),
        ([CORRECTED], build),
        (
            [{"preference": "tie"}],
            "Ties and `neither` make no rows of a dataset: somebody must prefer, rate or correct.",
        ),
    ):
        numbered = {next(questions): fields for fields in filled}
        assert import_filled(burnish, asked, tmp_path / "review.csv", numbered).endswith(ending)


def test_a_build_can_leave_preferences_out(
    curator: CuratorClient, burnish: Burnish, asked: str, tmp_path: Path
) -> None:
    compared, corrected = dict.fromkeys(list(FILLED)[:6], COMPARED), dict.fromkeys(["p6", "p7"], CORRECTED)
    import_filled(burnish, asked, tmp_path / "review.jsonl", compared | corrected)
    build = ("dataset", "build", "chosen", "--run-log", asked, "--label", "not json", "--format", "dpo")
    burnish(*build)
    assert curator.dataset("chosen").counts.preferences > 0
    burnish(*build, "--preferences", "drop")
    without = curator.dataset("chosen")
    assert (without.spec.preferences, without.counts.preferences) == (False, 0)
    assert set(without.split.targeted) == {"p6", "p7"}
