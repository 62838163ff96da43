"""How tuning jobs read on a screen: states, findings, estimates beside measurements, parameters. Used by train, jobs, following."""

from __future__ import annotations

from collections.abc import Iterable

from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from burnish_client.cli.views import console
from burnish_client.sdk.trainer import (
    Finding,
    RunEstimate,
    RunMeasurement,
    TuningJob,
    TuningJobPreview,
    TuningSpec,
    state_name,
    to_dict,
)

COLOURS = {
    "pending": "dim",
    "preparing": "blue",
    "running": "cyan",
    "paused": "magenta",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
}
SEVERITIES = {Finding.SEVERITY_REFUSAL: ("refused", "red"), Finding.SEVERITY_WARNING: ("warning", "yellow")}
LINE_ROWS = 5  # rows that a single line names


def state_markup(state: TuningJob.State | int) -> str:
    name = state_name(state)
    return f"[{COLOURS[name]}]{name}[/]"


def finding_word(finding: Finding) -> tuple[str, str]:
    """What its severity is called, and the colour of that."""
    return SEVERITIES.get(finding.severity, ("finding", "dim"))


def rows_text(finding: Finding, limit: int | None = None) -> str:
    """`rows q1, q2 and 10 more`; empty where the finding is about the job as a whole."""
    named = list(finding.question_ids)[:limit]
    if not named:
        return ""
    more = finding.count - len(named)
    tail = f" and {more} more" if more > 0 else ""
    return f"{'row' if finding.count == 1 else 'rows'} {', '.join(console.fold(name) for name in named)}{tail}"


def finding_line(finding: Finding) -> str:
    """A finding as one line of plain text."""
    rows = rows_text(finding, LINE_ROWS)
    return f"{finding_word(finding)[0]} {finding.code}: {console.fold(finding.message)}{f' ({rows})' if rows else ''}"


def show_findings(findings: Iterable[Finding]) -> None:
    """Refusals first: severity and code, what is wrong, and the rows by name."""
    out = console.out()
    for finding in sorted(findings, key=lambda finding: finding.severity):
        word, colour = finding_word(finding)
        out.print(f"[bold {colour}]{word}[/] {escape(finding.code)}")
        out.print(indented(Text(console.fold(finding.message))))
        if rows := rows_text(finding):
            out.print(indented(Text(rows, style="dim")))


def indented(content: Text | Table) -> Padding:
    return Padding(content, (0, 0, 0, 2), expand=False)


def estimate_line(estimate: RunEstimate) -> str:
    """An estimate as one line of plain text."""
    return (
        f"estimate {console.duration(estimate.seconds)} for {estimate.steps} steps, "
        f"{console.size(estimate.peak_memory_bytes)} of memory, {console.size(estimate.disk_bytes)} of disk "
        f"({console.fold(estimate.basis)})"
    )


def show_estimate(estimate: RunEstimate) -> None:
    out = console.out()
    out.print("[bold]estimate[/]")
    out.print(indented(_estimate_facts(estimate)))


def _estimate_facts(estimate: RunEstimate) -> Table:
    available = (
        f" of {console.size(estimate.available_memory_bytes)}" if estimate.HasField("available_memory_bytes") else ""
    )
    return console.facts(
        [
            (
                "time",
                f"{console.duration(estimate.seconds)}, and {console.duration(estimate.load_seconds)} to load the model",
            ),
            ("memory", f"{console.size(estimate.peak_memory_bytes)} at the peak{available}"),
            ("disk", f"{console.size(estimate.disk_bytes)} for checkpoints and adapter"),
            ("work", f"{estimate.steps:,} steps, {estimate.tokens:,} tokens"),
            ("basis", console.fold(estimate.basis)),
        ]
    )


def estimate_and_measurement(estimate: RunEstimate, measured: RunMeasurement) -> Table:
    shown = console.table("", ">estimated", ">measured")
    shown.add_row("time", console.duration(estimate.seconds), console.duration(measured.seconds))
    shown.add_row("loading the model", console.duration(estimate.load_seconds), console.duration(measured.load_seconds))
    shown.add_row("peak memory", console.size(estimate.peak_memory_bytes), console.size(measured.peak_memory_bytes))
    shown.add_row("tokens", f"{estimate.tokens:,}", f"{measured.tokens:,}")
    shown.add_row("in the queue", "–", f"{measured.queue_seconds:.1f} s")
    return shown


def parameters(spec: TuningSpec) -> str:
    """Every parameter that is set, by name; switches that are off are left out."""
    fields = to_dict(spec)
    given = {**fields.get("lora", {}), **fields.get("optimizer", {}), **fields.get(spec.WhichOneof("method") or "", {})}
    rest = ("quantization", "backend", "device_count", "seed", "accepted_findings")
    given.update({name: fields[name] for name in rest if name in fields})
    return ", ".join(f"{name} {_value(value)}" for name, value in given.items() if value is not False)


def _value(value: object) -> str:
    if value is True:
        return "on"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, dict):
        return "@".join(value.values())
    return str(value).removeprefix("QUANTIZATION_").removeprefix("BACKEND_").lower()


def what(spec: TuningSpec) -> str:
    """`sft on tickets@2e12d583988a77d4 → adapter tickets`."""
    return f"{spec.WhichOneof('method')} on {spec.dataset.name}@{spec.dataset.version} → adapter {spec.adapter_name}"


def show_preview(preview: TuningJobPreview) -> None:
    """The answer to `--dry-run`: whether it may run, findings with their rows, the estimate, and the whole spec."""
    out = console.out()
    judgement = "[bold red]refused[/]" if preview.refused else "[bold green]fit to run[/]"
    out.print(f"{judgement} {escape(what(preview.spec))}")
    show_findings(preview.findings)
    if preview.HasField("estimate"):
        show_estimate(preview.estimate)
    out.print("[bold]parameters[/]")
    out.print(indented(Text(parameters(preview.spec))))
    if preview.refused:
        console.note("[dim]nothing was queued; a job with this spec fails before it takes a device[/]")
    else:
        console.note("[dim]nothing was queued; the same command without --dry-run does that[/]")
