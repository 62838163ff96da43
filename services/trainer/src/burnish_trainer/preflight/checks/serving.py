"""Whether the adapter can be served: by vLLM 0.32, on this base model, at the rank that the inference server is set to."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from burnish.schemas.base import BaseModelRef
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.training.hyperparameters import LoraSpec
from burnish.schemas.training.tuning import Finding
from burnish.serving import DEFAULT_MAX_LORA_RANK, LORA_RANKS, max_lora_rank_for
from burnish_trainer.preflight.registry import finding

LENGTH_TOLERANCE = 0.01


def check_adapter(lora: LoraSpec, served_rank: int | None) -> Iterable[Finding]:
    """served_rank: BURNISH_INFERENCE_MAX_LORA_RANK if this process knows it."""
    if lora.use_dora:
        yield finding(
            "adapter-not-servable",
            "lora.use_dora: vLLM loads no DoRA adapter (it answers 500). Leave it out, or accept and merge it yourself",
        )
    needed = max_lora_rank_for(lora.rank)
    if needed is None or (served_rank is not None and lora.rank > served_rank):
        limit = served_rank or LORA_RANKS[-1]
        advice = f", or set BURNISH_INFERENCE_MAX_LORA_RANK to {needed}" if needed else ""
        yield finding("adapter-not-servable", f"lora.rank {lora.rank}: serving takes up to {limit}. Lower it{advice}")
    elif served_rank is None and lora.rank > DEFAULT_MAX_LORA_RANK:
        yield finding(
            "rank-above-serving-default",
            f"lora.rank {lora.rank}: the inference server serves up to {DEFAULT_MAX_LORA_RANK} unless "
            f"BURNISH_INFERENCE_MAX_LORA_RANK says {needed}",
        )


def check_modules(modules: Iterable[str], layers: Collection[str]) -> Iterable[Finding]:
    """layers: last names of the base model's weight matrices."""
    missing = sorted(set(modules) - set(layers))
    if missing:
        yield finding(
            "target-module-missing",
            f"lora.target_modules: the base model has no {', '.join(missing)} (it has {', '.join(sorted(layers))}): "
            "leave them out",
        )


def check_base(manifest: DatasetManifest, base: BaseModelRef) -> Iterable[Finding]:
    """Against what the manifest records: a base_model parent, or the model whose tokenizer has measured the rows."""
    recorded = {parent.digest: parent.name for parent in manifest.parents if parent.kind == "base_model"}
    if manifest.lengths.base_model_digest:
        recorded[manifest.lengths.base_model_digest] = manifest.lengths.tokenizer or "another model"
    others = {digest: name for digest, name in recorded.items() if digest != base.digest}
    for digest, name in others.items():
        yield finding(
            "base-model-unlike-dataset",
            f"the dataset was built for {name} ({digest}) and this trainer holds {base.name} ({base.digest}): its wrong "
            "answers and lengths are another model's. Build it from this model's run log",
        )


def check_token_counts(manifest: DatasetManifest, tokens: int) -> Iterable[Finding]:
    """tokens: of all rows as the manifest counts them, a pair by its longer answer."""
    stated = manifest.lengths
    if stated.unit == "tokens" and abs(tokens - stated.total) > LENGTH_TOLERANCE * stated.total:
        yield finding(
            "lengths-unlike-dataset",
            f"the rows have {tokens} tokens here and {stated.total} by the dataset's manifest ({stated.tokenizer}): the "
            "curator counts with another tokenizer or chat template than is trained and served",
        )
