"""The model card of an adapter version: what it is, from what, how it was trained and how to use it."""

from __future__ import annotations

import json

from burnish.schemas.adapter import AdapterManifest


def model_card(manifest: AdapterManifest) -> str:
    """Markdown with Hugging Face's metadata header."""
    training = manifest.training
    parents = "\n".join(f"| {parent.kind} | {parent.name} | `{parent.digest}` |" for parent in manifest.parents)
    packages = ", ".join(f"{name} {version}" for name, version in sorted(manifest.packages.items()))
    return f"""---
base_model: {manifest.base_model.name}
library_name: peft
tags: [lora, {manifest.method}, burnish]
---
# {manifest.name}@{manifest.version}

A LoRA adapter for `{manifest.base_model.name}`, trained by {manifest.method.upper()} on corrections of repeated failures.

| parent | name | digest |
| --- | --- | --- |
{parents}

| | |
| --- | --- |
| rank, alpha | {manifest.rank}, {manifest.alpha} |
| modules | {", ".join(manifest.target_modules)} |
| quantisation of the base while training | {manifest.quantization} |
| steps (of which best) | {training.steps} ({training.best_step}){", stopped early" if training.stopped_early else ""} |
| training loss, first and last | {_number(training.first_train_loss)} → {_number(training.final_train_loss)} |
| best validation loss | {_number(training.best_validation_loss)} |
| trained tokens | {training.trained_tokens} |
| seed | {manifest.seed} |
| backend | {manifest.backend} ({packages}) |

Serve it on the unquantised base: the inference front loads it when a request names `{manifest.name}@{manifest.version}`.

```json
{json.dumps(manifest.params, indent=1, sort_keys=True)}
```
"""


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
