"""`burnish diagnose`: which failures are the model's, and which of them repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from burnish_client.cli.commands.data.runs import RunLog, resolve_run_log
from burnish_client.cli.views import console
from burnish_client.cli.views.console import JsonFlag

if TYPE_CHECKING:
    from burnish.schemas.runlog import Diagnosis


def diagnose(run_log: RunLog = None, json: JsonFlag = False) -> None:
    """Find the failures that are the model's and repeat.

    Grouped by label: which repeat enough to train on, and why the others do not.
    """
    from burnish_client.sdk.curator import CuratorClient

    with CuratorClient.from_settings() as client, console.working("counting failures"):
        found = client.diagnosis(resolve_run_log(client, run_log).id)
    if json:
        return console.print_json(found.model_dump(mode="json"))
    show(found)
    candidates = [cluster for cluster in found.clusters if cluster.candidate]
    if candidates:
        console.next_step(f"burnish review export {found.run_log_id} --label {candidates[0].label} --out review.jsonl")


def show(found: Diagnosis) -> None:
    """Counts, clusters, the candidates' first examples, and why the others are none."""
    out = console.out()
    out.print(
        console.facts(
            [
                ("run log", found.run_log_id),
                ("runs", f"{found.lines:,} lines, {found.questions:,} questions"),
                ("passing", f"{found.passing:,}"),
                (
                    "failing",
                    f"{found.failing:,}: {found.model_attributed:,} the model's, {found.retrieval_failures:,} retrieval's (fix retrieval for those)",
                ),
                (
                    "unlabelled",
                    f"{found.unlabelled:,} of the model's have no failure_label" if found.unlabelled else None,
                ),
            ]
        )
    )
    clusters = console.table("~failure label", ">failures", ">questions", ">repeated", ">share", "candidate")
    for cluster in found.clusters:
        mark = "[green]yes[/]" if cluster.candidate else "[dim]no[/]"
        clusters.add_row(
            console.one_line(cluster.label),
            f"{cluster.size:,}",
            f"{cluster.questions:,}",
            f"{cluster.repeated_questions:,}",
            console.percent(cluster.share_of_failures),
            mark,
        )
    out.print(clusters)
    for cluster in found.clusters:
        if cluster.why_not:
            out.print(f"[dim]{console.one_line(cluster.label)}: {console.one_line(cluster.why_not)}[/]")
        elif cluster.examples:
            _show_example(cluster.label, cluster.examples[0])


def _show_example(label: str, example: dict[str, object]) -> None:
    pairs = [
        (key, console.fold(str(example[name]))[:300])
        for key, name in (("asked", "question"), ("answered", "answer"), ("expected", "expected_answer"))
        if example.get(name)
    ]
    out = console.out()
    out.print(
        f"[bold]{console.one_line(label)}[/], for example {console.one_line(str(example.get('question_id', '')))}"
    )
    out.print(console.facts(pairs))
