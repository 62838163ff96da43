"""Rows as tokens: is there anything to learn, does it end, and does it fit. The worker refuses such rows too (data/tokens.py)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from burnish.schemas.training.tuning import Finding
from burnish_trainer.data import tokens
from burnish_trainer.data.tokens import Encoding, Example
from burnish_trainer.preflight.registry import finding


def check_ends(encodings: Sequence[Encoding], eos_token: str) -> Iterable[Finding]:
    endless = [encoding.question_id for encoding in encodings if encoding.end is None]
    if endless:
        yield finding(
            "eos-not-trained",
            f"the chat template puts no {eos_token} after the completion ({len(set(endless))} rows), so the model would "
            "not learn to stop: correct the base model's chat_template.jinja or its eos_token",
            endless,
        )


def check_labels(examples: Sequence[Example]) -> Iterable[Finding]:
    masked = tokens.unlearnable(examples)
    if masked:
        yield finding(
            "every-label-masked",
            f"{len(masked)} rows have no trained token but the end: loss would read as if all were learnt. Give them a "
            "completion that the chat template shows",
            masked,
        )


def check_lengths(examples: Sequence[Example], max_length: int, context_tokens: int | None) -> Iterable[Finding]:
    """context_tokens: positions of the base model; None if unknown."""
    cut = tokens.longer_than(examples, max_length)
    if cut:
        lost, of = _lost(examples, max_length)
        yield finding(
            "completion-cut",
            f"{len(cut)} of {len({example.question_id for example in examples})} rows are longer than optimizer.max_length "
            f"{max_length} (the longest has {max(cut.values())} tokens): {lost / of:.0%} of their completions would be cut "
            "off, the end first. Raise it, or leave these rows out",
            cut,
        )
    beyond = tokens.longer_than(examples, context_tokens) if context_tokens else {}
    if beyond:
        yield finding(
            "longer-than-context",
            f"{len(beyond)} rows are longer than the {context_tokens} positions of the base model (the longest has "
            f"{max(beyond.values())} tokens): leave them out",
            beyond,
        )


def _lost(examples: Sequence[Example], max_length: int) -> tuple[int, int]:
    """Completion tokens of the rows that are too long: beyond the limit, and all."""
    long = [example for example in examples if len(example.ids) > max_length]
    lost = sum(min(example.trained_tokens, len(example.ids) - max_length) for example in long)
    return lost, sum(example.trained_tokens for example in long)
