"""How the adapter was trained, for report and postmortem: method, run, estimate beside measurement, findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from burnish.reporting.sentences import duration, fixed, grouped, points, size
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.training.methods import METHODS
from burnish.schemas.training.tuning import Finding


@dataclass(frozen=True)
class Foretold:
    """One figure of a run as text. off_by: (measured − estimated) / estimated in percent; a dash if one is missing."""

    what: str
    estimated: str
    measured: str
    off_by: str


def run_facts(adapter: AdapterManifest) -> list[tuple[str, str]]:
    """(what, which) of the run: method with its LoRA options, where it ran, steps and losses."""
    training = adapter.training
    steps = f"{training.steps}, best at {training.best_step}" + (", stopped early" if training.stopped_early else "")
    if adapter.checkpoint_step is not None:
        steps += f"; published from the checkpoint at {adapter.checkpoint_step}"
    train = f"{fixed(training.first_train_loss, 3)} → {fixed(training.final_train_loss, 3)}"
    return [
        ("Method", f"{method_name(adapter)}, {_lora(adapter)}"),
        ("Backend", f"{adapter.backend}, seed {adapter.seed}"),
        ("Steps", steps),
        ("Training loss", train),
        ("Best validation loss", fixed(training.best_validation_loss, 3)),
    ]


def foretold(adapter: AdapterManifest) -> list[Foretold]:
    """Estimate beside measurement; empty if the manifest has neither (trained before estimates were kept)."""
    estimate, measured = adapter.estimate, adapter.measured
    if estimate is None and measured is None:
        return []
    texts: dict[str, tuple[str, Callable[[float], str]]] = {
        "seconds": ("time", duration),
        "load_seconds": ("loading the model", duration),
        "peak_memory_bytes": ("peak memory", size),
        "tokens": ("tokens", lambda count: grouped(round(count))),
    }
    return [
        _figure(what, getattr(estimate, field, None), getattr(measured, field, None), text)
        for field, (what, text) in texts.items()
    ]


def finding_sentence(finding: Finding) -> str:
    """The message, and the rows it is about if it does not name them itself."""
    if not finding.count or any(question_id in finding.message for question_id in finding.question_ids[:1]):
        return finding.message
    named = ", ".join(finding.question_ids)
    more = finding.count - len(finding.question_ids)
    rows = f"{finding.count} {'row' if finding.count == 1 else 'rows'}"
    return (
        f"{finding.message} ({rows}{f': {named}' if named else ''}{f' and {more} more' if named and more > 0 else ''})"
    )


def finding_tag(finding: Finding) -> str:
    """`warning`, or that a refusal was answered for."""
    return "warning" if finding.severity == "warning" else "refusal, accepted"


def method_name(adapter: AdapterManifest) -> str:
    """`direct preference optimization (DPO)`."""
    declared = METHODS[adapter.method]
    return f"{declared.title} ({declared.abbreviation})"


def _lora(adapter: AdapterManifest) -> str:
    words = ["QLoRA (base in NF4)" if adapter.quantization == "nf4" else "LoRA"]
    words += ["with DoRA"] if adapter.use_dora else []
    words += ["rank-stabilised"] if adapter.use_rslora else []
    return f"{' '.join(words)}, rank {adapter.rank}, alpha {adapter.alpha}"


def _figure(what: str, estimated: float | None, measured: float | None, text: Callable[[float], str]) -> Foretold:
    known = estimated is not None and measured is not None and estimated > 0
    return Foretold(
        what=what,
        estimated="–" if estimated is None else text(estimated),
        measured="–" if measured is None else text(measured),
        off_by=f"{points((measured - estimated) / estimated)} %" if known and measured and estimated else "–",
    )
