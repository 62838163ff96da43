"""Loads what every job needs before there is one, so that its first step need not wait for it. Touches no device."""

from __future__ import annotations

from importlib import import_module

from burnish.schemas.methods import METHODS
from burnish_trainer.worker import backends, methods

# In this order. trl and transformers load their classes when they are first asked for by name.
NAMES = (
    ("torch", ()),
    ("transformers", ("AutoModelForCausalLM", "AutoTokenizer", "LlamaForCausalLM", "Trainer")),
    ("datasets", ("Dataset",)),
    ("peft", ("get_peft_model",)),
    ("trl", ("SFTTrainer", "DPOTrainer", "KTOTrainer")),
    ("burnish_trainer.worker.loop.training", ()),
)


def load(backend: str) -> None:
    """Import a backend first (unsloth patches the others), then the others and the methods."""
    module = backends.Choice(backend, "preloaded").module()  # type: ignore[arg-type]  # as backends.choose gave it
    module.prepare()
    for name, attributes in NAMES:
        library = import_module(name)
        for attribute in attributes:
            getattr(library, attribute)
    for method in METHODS:
        methods.named(method)
