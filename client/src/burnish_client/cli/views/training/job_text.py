"""How tuning jobs read on a screen: lists, states, findings, estimates beside measurements, parameters. Used by train, jobs, following."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC

from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from burnish.schemas.training.hosted import PROVIDERS
from burnish.schemas.training.job_state import JobState
from burnish_client.cli.views import console
from burnish_client.sdk.trainer import job_state, to_dict
from burnish_protos.trainer.v1.trainer_pb2 import (
    AdapterRef,
    CheckpointInfo,
    DatasetRef,
    Finding,
    RemoteModel,
    RunEstimate,
    RunMeasurement,
    TuningJob,
    TuningJobPreview,
    TuningSpec,
)

COLOURS = {
    JobState.PENDING: "dim",
    JobState.PREPARING: "blue",
    JobState.RUNNING: "cyan",
    JobState.PAUSED: "magenta",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "yellow",
}
SEVERITIES = {Finding.SEVERITY_REFUSAL: ("refused", "red"), Finding.SEVERITY_WARNING: ("warning", "yellow")}
LINE_ROWS = 5  # rows that a single line names
TIMES = ("deadline", "create_time", "start_time", "end_time")


def state_markup(state: JobState) -> str:
    return f"[{COLOURS[state]}]{state}[/]"


def reference(named: AdapterRef | DatasetRef) -> str:
    """`name@version`."""
    return f"{named.name}@{named.version}"


def show_list(jobs: Sequence[TuningJob]) -> None:
    """One line for each job; a column of priorities if one is not 0."""
    ranked = any(job.priority for job in jobs)
    shown = console.table(
        "job", "state", "method", "~dataset", "~adapter", *([">prio"] if ranked else []), ">step", ">loss"
    )
    for job in jobs:
        shown.add_row(
            job.job_id,
            state_markup(job_state(job.state)),
            job.spec.WhichOneof("method") or "",
            job.spec.dataset.name,
            job.spec.adapter_name,
            *([str(job.priority)] if ranked else []),
            *_progress(job),
        )
    console.show_table(shown)
    for job in jobs:
        if warning := unreleased(job):
            console.note(f"[yellow]{escape(warning)}[/]")


def _progress(job: TuningJob) -> tuple[str, str]:
    """Step and loss."""
    steps = f"{job.progress.step}/{job.progress.total_steps}" if job.HasField("progress") else "–"
    return steps, f"{job.progress.train_loss:.3f}" if job.progress.HasField("train_loss") else "–"


def show_job(job: TuningJob) -> None:
    """Everything about one job: spec, progress, times, findings, estimate and measurement, error."""
    spec, out = job.spec, console.out()
    steps, loss = _progress(job)
    times = {name: getattr(job, name) for name in ("not_before", *TIMES) if job.HasField(name)}
    shown = {name: console.when(time.ToDatetime(tzinfo=UTC)) for name, time in times.items()}
    where = f"{spec.hosted.provider}:{spec.hosted.model}" if spec.HasField("hosted") else ", ".join(job.devices)
    facts: list[tuple[str, object]] = [
        ("method", spec.WhichOneof("method")),
        ("dataset", reference(spec.dataset)),
        ("adapter", _adapter(job)),
        ("remote model", remote_reference(job) if _is_remote(job) else None),
        ("at the provider", remote_model_text(job.remote_model) if job.HasField("remote_model") else None),
        ("progress", f"step {steps}, loss {loss}"),
        ("attempts", job.attempts),
        ("on", where) if spec.HasField("hosted") else ("devices", where),
        ("priority", job.priority or None),
        ("labels", ", ".join(f"{name}={value}" for name, value in sorted(job.labels.items()))),
        ("next attempt", shown.get("not_before")),
        *((name, shown.get(name)) for name in TIMES),
        ("parameters", parameters(spec)),
    ]
    out.print(f"{job.job_id}  {state_markup(job_state(job.state))}")
    out.print(console.facts(facts))
    if warning := unreleased(job):
        console.error(warning)
    show_findings(job.findings)
    if job.HasField("measured") and job.HasField("estimate"):
        out.print(estimate_and_measurement(job.estimate, job.measured))
    elif job.HasField("estimate"):
        show_estimate(job.estimate)
    if job.HasField("error"):
        console.error(job.error.message)
    if job.HasField("progress") and not spec.HasField("hosted"):  # a provider keeps its own
        console.note(f"[dim]checkpoints:[/] burnish jobs checkpoints {job.job_id}")


def _adapter(job: TuningJob) -> str | None:
    """Its version, or that there is none yet; None if a remote model is what came of the job."""
    if _is_remote(job):
        return None
    return reference(job.adapter) if job.HasField("adapter") else f"{job.spec.adapter_name} (no version yet)"


def _is_remote(job: TuningJob) -> bool:
    """Whether the provider's model is all that came of the job: some give the weights as well."""
    return job.HasField("remote_model") and not job.HasField("adapter")


def remote_model_text(model: RemoteModel) -> str:
    until = f" until {model.expires_at.ToDatetime():%Y-%m-%d}" if model.HasField("expires_at") else ""
    return f"{console.fold(model.model)} at {model.endpoint}{until}"


def remote_reference(job: TuningJob) -> str:
    """NAME@VERSION of the remote model that a job ended with."""
    return f"{job.spec.adapter_name}@{job.remote_model.version}"


def unreleased(job: TuningJob) -> str | None:
    """What an ended hosted job may have left at its provider, for people; None if that is nothing."""
    state, provider = job_state(job.state), job.spec.hosted.provider
    if not job.spec.HasField("hosted") or not state.ended or job.released:
        return None
    if state is JobState.SUCCEEDED:
        return f"the rows of {job.job_id} still lie at {provider}: the trainer is deleting them"
    return f"{job.job_id} may still run at {provider} and cost money: the trainer is ending it"


def at_provider(job: TuningJob) -> str:
    """What a job may cost at its provider now, and the command that ends it."""
    if warning := unreleased(job):
        return warning
    spec = job.spec.hosted
    return (
        f"{job.job_id} is being trained by {spec.provider}:{console.fold(spec.model)}, which charges for it (limit "
        f"${spec.spend_limit_usd:,.2f}): `burnish jobs cancel {job.job_id}` ends it"
    )


def checkpoint_row(checkpoint: CheckpointInfo) -> list[str]:
    loss = f"{checkpoint.validation_loss:.4f}" if checkpoint.HasField("validation_loss") else "–"
    adapter = reference(checkpoint.adapter) if checkpoint.HasField("adapter") else "–"
    best, size = "[green]best[/]" if checkpoint.best else "", console.size(checkpoint.size_bytes)
    return [str(checkpoint.step), f"{checkpoint.epoch:.2f}", loss, best, size, adapter]


def finding_word(finding: Finding) -> tuple[str, str]:
    """The word for its severity, and the colour of it."""
    return SEVERITIES.get(finding.severity, ("finding", "dim"))


def rows_text(finding: Finding, limit: int | None = None) -> str:
    """`rows q1, q2 and 10 more`; empty if the finding is about the job as a whole."""
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


def cost_text(estimate: RunEstimate) -> str:
    if not estimate.HasField("cost_usd"):
        return "not known"
    return "less than $0.01" if 0 < estimate.cost_usd < 0.01 else f"about ${estimate.cost_usd:,.2f}"


def is_hosted(estimate: RunEstimate) -> bool:
    """Whether a provider does the work: then it says nothing of steps."""
    return not estimate.steps


def estimate_line(estimate: RunEstimate) -> str:
    """An estimate as one line of plain text."""
    if is_hosted(estimate):
        return f"price {cost_text(estimate)} ({console.fold(estimate.basis)})"
    return (
        f"estimate {console.duration(estimate.seconds)} for {estimate.steps} steps, "
        f"{console.size(estimate.peak_memory_bytes)} of memory, {console.size(estimate.disk_bytes)} of disk "
        f"({console.fold(estimate.basis)})"
    )


def show_estimate(estimate: RunEstimate) -> None:
    if is_hosted(estimate):
        console.out().print("[bold]estimate[/]")
        facts = [("price", cost_text(estimate)), ("basis", console.fold(estimate.basis))]
        return console.out().print(indented(console.facts(facts)))
    has_limit = estimate.HasField("available_memory_bytes")
    available = f" of {console.size(estimate.available_memory_bytes)}" if has_limit else ""
    load = console.duration(estimate.load_seconds)
    pairs = [
        ("time", f"{console.duration(estimate.seconds)}, and {load} to load the model"),
        ("memory", f"{console.size(estimate.peak_memory_bytes)} at the peak{available}"),
        ("disk", f"{console.size(estimate.disk_bytes)} for checkpoints and adapter"),
        ("work", f"{estimate.steps:,} steps, {estimate.tokens:,} tokens"),
        ("basis", console.fold(estimate.basis)),
    ]
    console.out().print("[bold]estimate[/]")
    console.out().print(indented(console.facts(pairs)))


def estimate_and_measurement(estimate: RunEstimate, measured: RunMeasurement) -> Table:
    shown = console.table("", ">estimated", ">measured")
    shown.add_row("time", console.duration(estimate.seconds), console.duration(measured.seconds))
    shown.add_row("loading the model", console.duration(estimate.load_seconds), console.duration(measured.load_seconds))
    shown.add_row("peak memory", console.size(estimate.peak_memory_bytes), console.size(measured.peak_memory_bytes))
    shown.add_row("tokens", f"{estimate.tokens:,}", f"{measured.tokens:,}")
    shown.add_row("in the queue", "–", f"{measured.queue_seconds:.1f} s")
    return shown


def parameters(spec: TuningSpec) -> str:
    """Every parameter that is set, by name. Switches that are off are left out."""
    fields = to_dict(spec)
    given = {**fields.get("lora", {}), **fields.get("optimizer", {}), **fields.get(spec.WhichOneof("method") or "", {})}
    rest = ("quantization", "backend", "device_count", "seed", "accepted_findings")
    given.update({name: fields[name] for name in rest if name in fields})
    if spec.HasField("hosted"):
        known = {name: one for name, one in PROVIDERS.items() if name == spec.hosted.provider}
        taken = {path.rpartition(".")[2] for one in known.values() for path in one.parameters}
        given = {name: value for name, value in given.items() if name in taken}
        given["spend_limit_usd"] = spec.hosted.spend_limit_usd
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


def summary(spec: TuningSpec) -> str:
    """`sft on tickets@2e12d583988a77d4 → adapter tickets`."""
    at = f" by {spec.hosted.provider}:{spec.hosted.model}" if spec.HasField("hosted") else ""
    return f"{spec.WhichOneof('method')}{at} on {reference(spec.dataset)} → adapter {spec.adapter_name}"


def show_preview(preview: TuningJobPreview) -> None:
    """The answer to `--dry-run`: whether it may run, findings with their rows, the estimate, and the whole spec."""
    out = console.out()
    judgement = "[bold red]refused[/]" if preview.refused else "[bold green]fit to run[/]"
    out.print(f"{judgement} {escape(summary(preview.spec))}")
    show_findings(preview.findings)
    if preview.HasField("estimate"):
        show_estimate(preview.estimate)
    out.print("[bold]parameters[/]")
    out.print(indented(Text(parameters(preview.spec))))
    if preview.refused:
        console.note("[dim]nothing was queued; a job with this spec fails before it takes a device[/]")
    else:
        console.note("[dim]nothing was queued; the same command without --dry-run queues it[/]")
