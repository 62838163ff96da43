"""Whether a model can be a base: `python -m burnish_trainer.worker.base_check FOLDER` prints burnish.schemas.models.ModelChecks.

Started by `burnish model add` in the trainer's environment. What it finds, a job would find later: it uses the trainer's own tokenizer,
checks and adapter. No weights are loaded: the model is made on torch's meta device, which takes no memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from burnish.model_files import check_files, read_config, weight_files
from burnish.schemas.base import Message
from burnish.schemas.models import ModelCheck, ModelChecks
from burnish_trainer.data.rows import Record
from burnish_trainer.data.tokenizer import load_tokenizer
from burnish_trainer.data.tokens import encode_all, render_all
from burnish_trainer.preflight.base_model import read_projections, read_tensor_shapes
from burnish_trainer.preflight.checks import labels, templates

PROBE = Record(
    "probe",
    "probe",
    (Message(role="user", content="Which colour has the sky?"),),
    ((Message(role="assistant", content='{"colour": "blue"}'),),),
)
WITH_SYSTEM = Record(
    "system", "system", (Message(role="system", content="Answer in JSON."), *PROBE.prompt), PROBE.answers
)


def main() -> None:
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no part of the report
    report = ModelChecks(checks=list(check(Path(sys.argv[1]))))
    with os.fdopen(answers, "w") as output:
        output.write(report.model_dump_json())


def check(folder: Path) -> Iterable[ModelCheck]:
    """NotFoundError, CorruptDataError, PreconditionError (quantised) if the folder holds no model that could be checked."""
    check_files(folder)
    config = read_config(folder)
    if "auto_map" in config:
        yield _refused(
            "architecture",
            "the model brings code of its own (auto_map in config.json), which is never run: take another base",
        )
        return
    tokenizer = load_tokenizer(folder)
    yield from _check_template(tokenizer, folder)
    yield _check_pad(tokenizer, folder)
    yield from _check_training(folder)


def _check_template(tokenizer: Any, folder: Path) -> Iterable[ModelCheck]:
    subject = "chat template"
    found = list(templates.check_template(tokenizer, folder))
    if not tokenizer.chat_template:
        yield _refused(subject, found[0].message)
        return
    rendered, refused = templates.render_records(tokenizer, [PROBE])
    found += [
        *refused,
        *templates.check_rendered([PROBE], rendered),
        *templates.check_content_parts(tokenizer, [PROBE]),
    ]
    ends = encode_all(tokenizer, render_all(tokenizer, [PROBE])) if rendered else []
    found += labels.check_ends(ends, tokenizer.eos_token)
    for one in found:
        yield ModelCheck(
            subject=subject, state="refused" if one.severity == "refusal" else "warning", found=one.message
        )
    if not found:
        taken, _ = templates.render_records(tokenizer, [WITH_SYSTEM])
        system = "takes a system message" if taken else "refuses a system message"
        yield ModelCheck(subject=subject, state="right", found=f"answers end in {tokenizer.eos_token}; it {system}")


def _check_pad(tokenizer: Any, folder: Path) -> ModelCheck:
    subject, rows = "pad token", _vocabulary(folder)
    if tokenizer.pad_token_id >= rows:
        return _refused(
            subject,
            f"{tokenizer.pad_token} is token {tokenizer.pad_token_id} and the model has {rows}: name another pad_token in tokenizer_config.json",
        )
    how = ", in place of one of its own" if tokenizer.pad_token == tokenizer.eos_token else ""
    return ModelCheck(subject=subject, state="right", found=f"{tokenizer.pad_token}{how}")


def _vocabulary(folder: Path) -> int:
    config = read_config(folder)
    return int(config.get("text_config", config)["vocab_size"])


def _check_training(folder: Path) -> Iterable[ModelCheck]:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    causal_lm: Any = AutoModelForCausalLM

    subject, modules = "training", read_projections(folder)
    if not modules:
        yield _refused(
            "target modules",
            "no layer has a name that LoRA is trained and served on (q_proj, qkv_proj, …): take another base",
        )
        return
    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
        with torch.device("meta"):
            model = causal_lm.from_config(config)
            tuned: Any = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=1, target_modules=list(modules)))
    except Exception as error:  # whatever the libraries raise on this model, a job would end by
        yield _refused(
            subject,
            f"transformers and PEFT make no adapter for it ({type(error).__name__}: {error}): take another base",
        )
        return
    adapted = _adapted(tuned)
    stored = {name.removesuffix(".weight"): shape for name, shape in read_tensor_shapes(weight_files(folder)).items()}
    unlike = [path for path, shape in adapted.items() if stored.get(path) != shape]
    if unlike:
        yield _refused(
            subject,
            f"{type(model).__name__} trains {unlike[0]} and {len(unlike) - 1} more that the weight files have under other names or shapes, so "
            "its adapters could not be checked before they are served: a model with parts for images or sound; take its text-only relative",
        )
        return
    yield ModelCheck(subject="target modules", state="right", found=f"{', '.join(modules)} ({len(adapted)} layers)")
    yield ModelCheck(subject=subject, state="right", found=f"{type(model).__name__}, by transformers and PEFT")


def _adapted(tuned: Any) -> dict[str, tuple[int, ...]]:
    """Path in the base -> shape, of each layer that the adapter changes."""
    prefix = "base_model.model."
    return {
        name.removeprefix(prefix): tuple(module.base_layer.weight.shape)
        for name, module in tuned.named_modules()
        if hasattr(module, "lora_A") and hasattr(module, "base_layer")
    }


def _refused(subject: str, found: str) -> ModelCheck:
    return ModelCheck(subject=subject, state="refused", found=found)


if __name__ == "__main__":
    from burnish.errors import BurnishError

    try:
        main()
    except BurnishError as error:
        sys.exit(f"error: {error.message}")
