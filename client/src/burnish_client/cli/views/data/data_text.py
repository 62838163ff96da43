"""How run logs, diagnoses and datasets read on a screen. Used by the data commands and the demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from burnish_client.cli.views import console

if TYPE_CHECKING:
    from pathlib import Path

    from burnish.curation.benchmarks.drafting import Draft
    from burnish.schemas.dataset import DatasetCounts, DatasetManifest, LeftOut, RowOrigin
    from burnish.schemas.runlog import Diagnosis, RunLogManifest
    from burnish_client.sdk.curator import RunLogRows
    from burnish_client.sdk.dataset_diff import DatasetDiff

SHOWN_REJECTED = 5
SHOWN_CLUSTERS = 12
SHOWN_QUESTIONS = 8
SHOWN_GRADES = 200  # characters


def show_run_log(manifest: RunLogManifest) -> None:
    counts = f"{manifest.accepted:,} taken, {manifest.rejected:,} rejected, {console.size(manifest.size_bytes)}"
    pairs = [
        ("id", manifest.id),
        ("name", manifest.name),
        ("imported", console.when(manifest.created_at)),
        ("lines", counts),
        ("erased", f"{manifest.erased:,} lines" if manifest.erased else None),
        ("grades", ", ".join(f"{count:,} {name}" for name, count in manifest.grades.items())),
    ]
    console.out().print(console.facts(pairs))
    show_rejected(manifest)


def show_rejected(manifest: RunLogManifest) -> None:
    for line in manifest.rejected_lines[:SHOWN_REJECTED]:
        console.note(f"[yellow]line {line.line_number}:[/] {console.one_line(line.reason)}")
    if manifest.rejected > SHOWN_REJECTED:
        console.note(f"[dim]… and {manifest.rejected - SHOWN_REJECTED:,} more: burnish runs rejected {manifest.id}[/]")


def show_grades(manifest: RunLogManifest) -> None:
    """A warning if lines have no grade, or one that is no known word."""
    from burnish.schemas.runlog import FAILING_GRADES, NO_GRADE, PASSING_GRADES

    known = {*PASSING_GRADES, *FAILING_GRADES}
    if manifest.grades.get(NO_GRADE):
        console.note(f"[yellow]{manifest.grades[NO_GRADE]:,} lines have no grade:[/] neither passing nor failing")
    others = {grade: n for grade, n in manifest.grades.items() if grade.strip().casefold() not in known | {NO_GRADE}}
    if others:
        console.note(f"[yellow]other grades:[/] {_unknown(others)}")


def show_rows(page: RunLogRows, offset: int) -> None:
    rows = page.rows
    title = f"rows {offset + 1}–{offset + len(rows)} of {page.total:,}" if rows else "no rows"
    shown = console.table(">line", "~question", "grade", "~label", "~answer", title=title)
    for row, number in zip_longest(rows, page.line_numbers, fillvalue=None):
        assert row is not None
        cells = (
            "" if number is None else str(number),
            console.one_line(row.question_id),
            console.one_line(row.grade or ""),
            console.one_line(row.failure_label),
        )
        shown.add_row(*cells, console.one_line(row.answer)[:200])
    console.show_table(shown)


def show_diagnosis(found: Diagnosis) -> None:
    """Counts, clusters, the first example of each candidate, and why the others are no candidates."""
    unlabelled = f"{found.unlabelled:,} of the model's have no failure_label" if found.unlabelled else None
    failing = f"{found.failing:,}: {found.model_attributed:,} the model's, {found.retrieval_failures:,} retrieval's"
    unknown = (
        f"unknown of {found.retrieval_unknown:,} failures: they count as the model's (log `retrieval_hit` if you retrieve)"
        if found.retrieval_unknown
        else None
    )
    pairs = [
        ("run log", found.run_log_id),
        ("runs", f"{found.lines:,} lines, {found.questions:,} questions"),
        ("passing", f"{found.passing:,}"),
        ("failing", f"{failing} (fix retrieval for those)"),
        ("retrieval", unknown),
        ("unlabelled", unlabelled),
        ("no grade", f"{found.ungraded:,} lines: neither passing nor failing" if found.ungraded else None),
        ("other grades", _unknown(found.unknown_grades)),
    ]
    out = console.out()
    out.print(console.facts(pairs))
    clusters = console.table("~failure label", ">failures", ">questions", ">repeated", ">share", "candidate")
    for cluster in found.clusters:
        clusters.add_row(
            console.one_line(cluster.label),
            f"{cluster.size:,}",
            f"{cluster.questions:,}",
            f"{cluster.repeated_questions:,}",
            console.percent(cluster.share_of_failures),
            "[green]yes[/]" if cluster.candidate else "[dim]no[/]",
        )
    console.show_table(clusters)
    if any(cluster.candidate and not cluster.repeated_questions for cluster in found.clusters):
        out.print(
            "[dim]repeated 0: most of these questions were asked once. `burnish try` asks some again, and shows whether they fail again.[/]"
        )
    for cluster in found.clusters:
        if cluster.why_not:
            out.print(f"[dim]{console.one_line(cluster.label)}: {console.one_line(cluster.why_not)}[/]")
        elif cluster.examples:
            _show_example(cluster.label, cluster.examples[0])


def show_advice(found: Diagnosis) -> None:
    """Whether it is a fine-tuning problem: of each cluster the problem, what was counted, and what to try first."""
    if not found.advice:
        return
    out = console.out()
    out.print("\n[bold]Is it a fine-tuning problem?[/]")
    for advice in found.advice:
        name = console.one_line(advice.label) if advice.label is not None else "the log"
        answer = "[yellow]do not fine-tune[/]" if advice.tune == "no" else "[green]not yet[/]"
        out.print(
            f"[bold]{name}[/]: {answer}. {console.one_line(_sentence(advice.evidence))} {console.one_line(_sentence(advice.first))}"
        )
        if advice.command:
            out.print(f"  [dim]{console.one_line(advice.command)}[/]")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _unknown(grades: Mapping[str, int]) -> str | None:
    """What to do about grades that are no known word."""
    from burnish.schemas.runlog import FAILING_GRADES, PASSING_GRADES

    if not grades:
        return None
    counted = console.one_line(", ".join(f"{count:,} {grade!r}" for grade, count in grades.items()))[:SHOWN_GRADES]
    known = f"{', '.join(PASSING_GRADES)} pass; {', '.join(FAILING_GRADES)} fail"
    return f"{counted}: neither passing nor failing. Use the known words ({known}) and import again"


def _show_example(label: str, example: dict[str, object]) -> None:
    pairs = [
        (key, console.fold(str(example[name]))[:300])
        for key, name in (("asked", "question"), ("answered", "answer"), ("expected", "expected_answer"))
        if example.get(name)
    ]
    question = console.one_line(str(example.get("question_id", "")))
    console.out().print(f"[bold]{console.one_line(label)}[/], for example {question}")
    console.out().print(console.facts(pairs))


def show_dataset(manifest: DatasetManifest) -> None:
    counts, lengths = manifest.counts, manifest.lengths
    sizes = f"{lengths.minimum:,} to {lengths.maximum:,} {lengths.unit}, median {lengths.median:,.0f}, total {lengths.total:,}"
    pairs: list[tuple[str, object]] = [
        ("dataset", f"{manifest.name}@{manifest.version}"),
        ("format", manifest.spec.format),
        ("labels", ", ".join(manifest.spec.labels)),
        ("rows", f"{counts.train:,} to train on, {counts.validation:,} for validation loss"),
        ("made of", _made_of(counts)),
        ("clusters", _shares(counts.by_label, counts.effective_clusters)),
        ("written by", ", ".join(f"{who}: {count:,}" for who, count in counts.provenance.items())),
        ("behind", _behind(manifest.origins)),
        ("verified", _verified(counts)),
        ("held out", f"{counts.held_out:,} targeted questions, for evaluation only"),
        ("left out", "; ".join(f"{count:,} {reason}" for reason, count in counts.discarded.items()) or "nothing"),
        ("masked", "; ".join(f"{count:,} {reason}" for reason, count in counts.masked.items())),
        ("secrets", ", ".join(f"{kind} in {count:,}" for kind, count in counts.secrets.items())),
        ("personal", ", ".join(f"{kind} in {count:,}" for kind, count in counts.personal_data.items())),
        ("doubted", "; ".join(f"{count:,} {reason}" for reason, count in counts.doubted.items())),
        ("lengths", sizes),
        ("built", console.when(manifest.created_at)),
    ]
    pairs += [("from", f"{parent.kind} {parent.name} {parent.digest[:23]}") for parent in manifest.parents]
    console.out().print(console.facts(pairs))
    show_warnings(manifest)


def _made_of(counts: DatasetCounts) -> str:
    preferred = f", {counts.preferences:,} preferences" if counts.preferences else ""
    return f"{counts.corrections:,} corrections, {counts.anchors:,} anchor examples{preferred}"


def _shares(by_label: dict[str, int], effective: float | None) -> str:
    if not by_label or effective is None:
        return ""
    named = ", ".join(f"{label} {count:,}" for label, count in list(by_label.items())[:SHOWN_CLUSTERS])
    more = f" and {len(by_label) - SHOWN_CLUSTERS:,} more" if len(by_label) > SHOWN_CLUSTERS else ""
    return f"{named}{more}; as varied as {effective:.1f} of one size"


def _behind(origins: Sequence[RowOrigin]) -> str:
    """Shares of the corrections: a person's, a grader's, a teacher's alone."""
    total = sum(len(each.questions) for each in origins)
    return ", ".join(
        f"{each.kind} {len(each.questions):,} ({len(each.questions) / total:.0%})"
        + (f" of {console.one_line(each.teacher)}" if each.teacher else "")
        for each in origins
    )


def _verified(counts: DatasetCounts) -> str:
    found = counts.grader_verified
    return "" if not found else f"{found:,} corrections pass their question's own grader"


def show_left_out(lines: Sequence[LeftOut], *, json: bool) -> None:
    """A line each, whole at any width; as JSON, all of them."""
    if json:
        return console.print_json(lines)
    if not lines:
        return console.note("nothing was left out, masked or doubted")
    out = console.out()
    for line in lines:
        alike = "" if line.similarity is None else f" ({line.similarity:.2f})"
        like = "" if line.like is None else f"; like {console.one_line(line.like)}{alike}"
        name = console.one_line(line.question_id)
        out.print(f"[yellow]{name}[/] {line.action}: {console.one_line(line.reason)}{like}", soft_wrap=True)
    return None


def show_warnings(manifest: DatasetManifest) -> None:
    """What the build of a dataset warned of, on stderr: few replay rows, a verdict that is out of reach."""
    for warning in manifest.warnings:
        console.note(f"[yellow]warning:[/] {console.one_line(warning)}")


def show_diff(diff: DatasetDiff) -> None:
    """Each list with its length and its first questions; then a table of the counts that differ."""
    lists = {
        "added": diff.added,
        "removed": diff.removed,
        "changed": diff.changed,
        "moved between train and validation": diff.moved,
        "newly held out": diff.held_out_added,
        "no longer held out": diff.held_out_removed,
    }
    out = console.out()
    out.print(console.facts([("from", diff.a), ("to", diff.b)]))
    out.print(console.facts((name, _some(questions)) for name, questions in lists.items() if questions))
    for name, (one, other) in diff.spec.items():
        out.print(console.facts([(f"spec: {name}", f"{one} → {other}")]))
    if not any([*lists.values(), diff.spec]):
        console.note("the rows are the same")
    if diff.counts:
        shown = console.table("count", "of", ">from", ">to")
        for field, pairs in diff.counts.items():
            for name, (one, other) in pairs.items():
                shown.add_row(field, console.fold(name), f"{one:,}", f"{other:,}")
        console.show_table(shown)


def _some(questions: Sequence[str]) -> str:
    more = f" and {len(questions) - SHOWN_QUESTIONS:,} more" if len(questions) > SHOWN_QUESTIONS else ""
    return f"{len(questions):,}: {', '.join(questions[:SHOWN_QUESTIONS])}{more}"


def note_draft(draft: Draft, file: Path) -> None:
    """Where the answers of a drafted benchmark come from, which are open, and what was left out."""
    from burnish.curation.benchmarks.drafting import Origin

    told = {
        Origin.REVIEWED: "with a reviewer's answer",
        Origin.EXPECTED: "with the log's expected answer",
        Origin.PASSED: "with the answer of a run that passed",
        Origin.OPEN: "open",
    }
    counts = ", ".join(f"{draft.origins[origin]:,} {text}" for origin, text in told.items() if draft.origins[origin])
    console.note(f"[bold green]wrote[/] {console.path_text(file)}: {len(draft.known):,} questions, {counts}")
    for reason, count in draft.left_out.items():
        console.note(f"[dim]left out:[/] {count:,} {reason}")
    if draft.origins[Origin.OPEN]:
        console.note(
            "The open questions come first: fill in their `expected_answer`, or take the lines out. Set another `grader` where the "
            "usual one does not fit."
        )
