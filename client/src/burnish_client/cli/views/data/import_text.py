"""How an import of traces reads on a screen: what was recognised, what came of it, and its first lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish.runlogs.traces.importing import Report
    from burnish.runlogs.traces.scores import Scores
    from burnish_client.evaluation.judging.run_logs import JudgedLines
    from burnish_client.sdk.log_grading import GradedLog

SHOWN_KEYS = 20


def show_report(report: Report) -> None:
    """Formats with their reasons, counts, and what could not be read."""
    for found in report.recognised:
        console.note(f"[bold]{console.one_line(str(found.file))}[/] is {found.format}: {console.one_line(found.why)}")
    console.out().print(console.facts(_counts(report)))
    for problem in report.problems:
        console.note(f"[yellow]not read:[/] {console.one_line(problem)}")
    if report.unread > len(report.problems):
        console.note(f"[dim]… and {report.unread - len(report.problems):,} more[/]")


def show_preview(report: Report, scores: Scores, as_json: bool) -> None:
    if as_json:
        return console.print_json(
            {
                "recognised": [{"file": str(f.file), "format": f.format, "why": f.why} for f in report.recognised],
                "records": report.records,
                "traces": report.traces,
                "lines": report.lines,
                "grades": report.grades,
                "retrieval": report.retrieval,
                "unmapped": report.unmapped,
                "unread": report.unread,
                "problems": report.problems,
                "scores": {name: str(seen) for name, seen in scores.seen.items()},
                "rules": {name: f"{name}:{rule.text}" for name, rule in scores.used.items()},
                "need_rule": list(scores.open),
                "rows": report.preview,
            }
        )
    show_report(report)
    rows = console.table(
        "~question",
        "grade",
        "~graded by",
        "retrieval",
        "~answer",
        title=f"first {len(report.preview)} of {report.lines:,} lines",
    )
    for line in report.preview:
        by: Mapping[str, Any] = line.get("graded_by") or {}
        hit = line.get("retrieval_hit")
        rows.add_row(
            console.one_line(str(line.get("question", "")))[:80],
            str(line.get("grade") or "ungraded"),
            console.one_line(" ".join(str(by[key]) for key in ("source", "rule") if key in by)),
            "unknown" if hit is None else "hit" if hit else "miss",
            console.one_line(str(line.get("answer", "")))[:120],
        )
    console.show_table(rows)
    for name, seen in scores.seen.items():
        rule = scores.used.get(name)
        said = (
            f"[red]needs a rule[/] ({scores.open[name]})"
            if name in scores.open
            else f"rule {console.one_line(rule.text)}"
            if rule
            else "kept as feedback"
        )
        console.note(f"score [bold]{console.one_line(name)}[/], {console.one_line(str(seen))}: {said}")
    if scores.open:
        options = console.one_line(scores.options)
        console.note(f"set what passes: {options}; `NAME:ignore` keeps a score as feedback alone")
    console.note("[dim]nothing was imported; the same command without --preview imports it[/]")


def show_graded(done: GradedLog, run_log_id: str) -> None:
    out = console.out()
    if done.answer is None:
        out.print(f"nothing was found in {done.lines:,} lines of {run_log_id}: no run log was made")
        return
    out.print(
        f"[bold green]graded[/] {done.answer.manifest.id}  {done.changed:,} of {done.lines:,} lines have got a grade or a label"
    )
    if done.resumed:
        console.note(f"[dim]{done.resumed:,} lines were graded by an earlier call[/]")
    table = console.table("grade", "~failure label", ">lines")
    for (grade, label), count in done.found.most_common():
        table.add_row(grade, console.one_line(label), f"{count:,}")
    console.show_table(table)


def show_judged(judged: JudgedLines, is_calibrated: bool) -> None:
    more = f"; {judged.left:,} more wait: raise --judge-most" if judged.left else ""
    problems = f", no judgement of {judged.problems:,}" if judged.problems else ""
    console.note(f"judged {len(judged.verdicts):,} lines{problems}{more}")
    if not is_calibrated:
        console.note(
            "[yellow]the judge is not calibrated,[/] and its grades say so: `burnish judge calibrate` measures it"
        )


def _counts(report: Report) -> list[tuple[str, object]]:
    spans = ", ".join(f"{count:,} {kind}" for kind, count in report.spans.items())
    unmapped = ", ".join(
        f"{console.one_line(name)} ({count:,})" for name, count in report.unmapped.most_common(SHOWN_KEYS)
    )
    return [
        (
            "read",
            f"{report.records:,} records, {report.traces:,} traces"
            + (f" of {spans} spans, {report.feedback:,} scores" if spans else ""),
        ),
        (
            "lines",
            f"{report.lines:,}: " + ", ".join(f"{count:,} {grade}" for grade, count in report.grades.most_common()),
        ),
        ("retrieval", ", ".join(f"{count:,} {said}" for said, count in report.retrieval.most_common())),
        ("kept apart", f"{unmapped}, in `metadata`" if unmapped else None),
        ("no call", f"{report.without_calls:,} traces have no model call: left out" if report.without_calls else None),
        ("not read", f"{report.unread:,} records" if report.unread else None),
    ]
