"""The model card of an adapter version: what it is for, from what and how it was made, what it took, how to serve it, its limits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.training.hyperparameters import value_text
from burnish.schemas.training.job import hyperparameters_of
from burnish.schemas.training.methods import METHODS
from burnish.serving import max_lora_rank_for

LICENCE_ID = re.compile(r"[a-z0-9][a-z0-9.-]*")  # as Hugging Face's metadata has them: "apache-2.0"


def model_card(manifest: AdapterManifest, dataset: DatasetManifest | None = None, licence: str | None = None) -> str:
    """Markdown with Hugging Face's metadata header.

    dataset: of the training rows, if its manifest can be read; licence: of the base model, as its record says.
    """
    sections = [
        _header(manifest, licence),
        _title(manifest),
        _intended_use(manifest),
        _data(manifest, dataset),
        _method(manifest),
        _results(manifest),
        _findings(manifest),
        _serving(manifest),
        _limits(manifest, licence),
        _parameters(manifest),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _header(manifest: AdapterManifest, licence: str | None) -> str:
    """YAML; strings as JSON, which is YAML too, so that no name can break it."""
    fields = {
        "base_model": manifest.base_model.name,
        "base_model_relation": "adapter",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["lora", manifest.method, "burnish"],
    }
    if licence and LICENCE_ID.fullmatch(licence.lower()):
        fields["license"] = licence.lower()
    elif licence:
        fields |= {"license": "other", "license_name": licence}
    lines = "\n".join(f"{name}: {json.dumps(value)}" for name, value in fields.items())
    return f"---\n{lines}\n---"


def _title(manifest: AdapterManifest) -> str:
    kind = "QLoRA" if manifest.quantization == "nf4" else "LoRA"
    if manifest.use_dora:
        kind = f"weight-decomposed {kind} (DoRA)"
    checkpoint = f" This is its checkpoint of step {manifest.checkpoint_step}." if manifest.checkpoint_step else ""
    return (
        f"# {manifest.name}@{manifest.version}\n\n"
        f"A {kind} adapter for `{manifest.base_model.name}`, trained by {_trained_by(manifest)} on corrections of "
        f"failures that it repeated.{checkpoint}"
    )


def _intended_use(manifest: AdapterManifest) -> str:
    return (
        "## Intended use\n\n"
        "Requests like those that its rows were made from, in place of the base model. It is meant to be promoted only "
        "after an evaluation on questions it was not trained on, targeted and general ones; that verdict is no part of this "
        "card."
    )


def _data(manifest: AdapterManifest, dataset: DatasetManifest | None) -> str:
    rows = [[parent.kind, parent.name, f"`{parent.digest}`"] for parent in manifest.parents]
    lineage = _table(["made from", "name", "digest"], rows)
    if dataset is None:
        return f"## Data\n\n{lineage}"
    counts = dataset.counts
    kinds = _table(
        ["rows", "count"],
        [
            ["trained on", counts.train],
            ["of them anchors (answers that were right already)", counts.anchors],
            ["validation", counts.validation],
            ["held out for evaluation, never seen", counts.held_out],
        ],
    )
    return f"## Data\n\n{lineage}\n\n{kinds}"


def _method(manifest: AdapterManifest) -> str:
    scale = "alpha / √rank (rsLoRA)" if manifest.use_rslora else "alpha / rank"
    rows: list[Sequence[object]] = [
        ["method", _trained_by(manifest)],
        *_hyperparameters(manifest),
        ["scale of the adapter", scale],
        ["precision, device", f"{manifest.params.get('dtype', 'unknown')}, {manifest.params.get('device', 'unknown')}"],
        ["packages", ", ".join(f"{name} {version}" for name, version in sorted(manifest.packages.items()))],
    ]
    return f"## Method\n\n{_table(['', ''], rows)}"


def _trained_by(manifest: AdapterManifest) -> str:
    declared = METHODS[manifest.method]
    return f"{declared.title} ({declared.source})" if declared.source else declared.title


def _hyperparameters(manifest: AdapterManifest) -> Iterable[list[object]]:
    """Every hyperparameter that the method has, with its unit; those that an older manifest lacks are unknown."""
    known = {"lora": manifest.model_dump(), "run": manifest.model_dump() | manifest.params}
    for part, declared in hyperparameters_of(manifest.method).items():
        values = known.get(part, {}) | manifest.params.get(part, {})
        for name, one in declared.items():
            value = values.get(name, "unknown")
            written = value["name"] + "@" + value["version"] if isinstance(value, dict) else value
            if isinstance(value, list | tuple):
                written = ", ".join(value)
            elif value is None:
                written = one.default
            yield [name, f"{value_text(written)} {one.unit}".rstrip() if value != "unknown" else value]


def _results(manifest: AdapterManifest) -> str:
    training = manifest.training
    stopped = ", stopped early" if training.stopped_early else ""
    rows: list[list[object]] = [
        ["steps (of which best)", f"{training.steps} ({training.best_step}){stopped}"],
        ["training loss, first and last", f"{_loss(training.first_train_loss)} → {_loss(training.final_train_loss)}"],
        ["best validation loss", _loss(training.best_validation_loss)],
        ["tokens that carried loss", "unknown" if training.trained_tokens is None else training.trained_tokens],
    ]
    parts = ["## Training", _table(["", ""], rows)]
    if cost := _cost(manifest):
        parts.append(cost)
    return "\n\n".join(parts)


def _cost(manifest: AdapterManifest) -> str:
    """Measured, beside what was estimated before the run; empty if neither is known."""
    estimated, measured = manifest.estimate, manifest.measured
    if measured is None:
        return ""
    lines: list[list[object]] = []
    for name, field, unit, scale in (
        ("training, evaluations and checkpoints", "seconds", "s", 1.0),
        ("loading the model", "load_seconds", "s", 1.0),
        ("peak memory", "peak_memory_bytes", "MB", 1e-6),
        ("tokens processed", "tokens", "", 1.0),
    ):
        cells = [_figure(getattr(figures, field, None), scale, unit) for figures in (measured, estimated)]
        lines.append([name, *cells])
    basis = f"\n\nEstimated from: {estimated.basis}." if estimated else ""
    return _table(["cost", "measured", "estimated"], lines) + basis


def _figure(value: float | None, scale: float, unit: str) -> str:
    if value is None:
        return "–"
    number = value * scale
    return f"{number:.1f} {unit}" if unit == "s" else f"{number:.0f} {unit}".strip()


def _findings(manifest: AdapterManifest) -> str:
    """What preflight and the run warned of."""
    if not manifest.findings:
        return "## Warnings\n\nNone, before or during the run."
    lines = "\n".join(f"- **{finding.code}**: {finding.message}" for finding in manifest.findings)
    return f"## Warnings\n\n{lines}"


def _serving(manifest: AdapterManifest) -> str:
    rank = max_lora_rank_for(manifest.rank) or manifest.rank
    if manifest.use_dora:
        return "## How to serve\n\nvLLM does not load DoRA adapters: use it with PEFT, or merge it into the base."
    return (
        "## How to serve\n\n"
        f"On the unquantised base. Burnish's inference server loads it when a request names `{manifest.name}@{manifest.version}` "
        "as its model. Plain vLLM, with this folder on its disk:\n\n"
        f"```sh\nvllm serve {manifest.base_model.name} --enable-lora --max-lora-rank {rank} "
        f"--lora-modules {manifest.name}=<this folder>\n```"
    )


def _limits(manifest: AdapterManifest, licence: str | None) -> str:
    lines = [
        f"Made for `{manifest.base_model.name}` with digest `{manifest.base_model.digest}` and its chat template; on any other "
        "base its effect is undefined.",
        "It learnt from one system's failures: outside their kind it is no better than the base, and may be worse.",
        "What the base gets wrong about the world, or says that it should not, it still does.",
    ]
    if manifest.quantization == "nf4":
        lines.append(
            "Trained on 4-bit weights and served on full ones: answers differ slightly from those in training."
        )
    lines.append(
        f"The base model's licence ({licence}) goes for what is made with it."
        if licence
        else "The base model's record names no licence: look it up before you pass this adapter on."
    )
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _parameters(manifest: AdapterManifest) -> str:
    return f"## Every parameter\n\n```json\n{json.dumps(manifest.params, indent=1, sort_keys=True)}\n```"


def _table(head: list[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _loss(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
