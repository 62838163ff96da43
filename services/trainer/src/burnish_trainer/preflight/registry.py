"""Every code that preflight may report: what it means, how grave it is, and whether a caller may answer for it.

A test holds docs/preflight.md to this list. rpc reads it too, so nothing heavy is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from burnish.errors import InternalError
from burnish.schemas.training.tuning import NAMED_ROWS, Finding

Severity = Literal["refusal", "warning"]


@dataclass(frozen=True)
class Rule:
    """acceptable: spec.accepted_findings turns the refusal into a warning. meaning: one line for people."""

    code: str
    meaning: str
    severity: Severity
    acceptable: bool = False


_refusal = partial(Rule, severity="refusal")
_acceptable = partial(Rule, severity="refusal", acceptable=True)
_warning = partial(Rule, severity="warning")

_ALL = (
    # fields
    _refusal("row-unreadable", "A line is no row of the dataset's format: a field is missing, or is no text."),
    _refusal("field-empty", "A prompt, a message or a completion has no text, or white space alone."),
    _acceptable("text-damaged", "Text holds U+FFFD or control characters: it was decoded wrongly."),
    _acceptable("control-token-in-text", "Text holds a token that the chat template uses to begin or end a turn."),
    # turns
    _refusal("completion-not-by-assistant", "What is to be learnt does not begin and end with an assistant's turn."),
    _acceptable("roles-out-of-order", "A system message that is not first, two turns of one role, or no question at the end."),
    # tokens
    _refusal("every-label-masked", "No token but the end carries loss: the run would learn nothing from these rows."),
    _refusal("completion-cut", "Rows are longer than optimizer.max_length, so that their completion would be cut off."),
    _refusal("eos-not-trained", "The end-of-answer token is not among the trained tokens: the model would not stop."),
    _acceptable("longer-than-context", "Rows are longer than the positions that the base model was made for."),
    # template
    _refusal("chat-template-missing", "The base model's folder has no chat template, so serving cannot render a chat."),
    _refusal("chat-template-fails", "The chat template refuses these rows' conversation."),
    _acceptable("chat-template-unlike-serving", "Serving would render a prompt otherwise than training does."),
    _acceptable("chat-template-drops-text", "The chat template leaves out what a message says."),
    _acceptable("generation-prompt-differs", "The prompt as served is not the beginning of the row as trained."),
    _warning("chat-template-dated", "The chat template writes today's date: training and serving see different ones."),
    # prompts
    _acceptable("prompt-holds-completion", "The prompt already contains its answer as an answer."),
    _warning("completion-copied-from-prompt", "A long completion is verbatim in its prompt."),
    # duplicates
    _acceptable("duplicate-rows", "The same prompt with the same answer, more than once."),
    _warning("near-duplicate-rows", "Rows that differ by a few characters only."),
    _acceptable("conflicting-corrections", "One prompt with answers that contradict each other."),
    # contamination
    _acceptable("held-out-in-training", "A question held out for evaluation is in the rows."),
    _acceptable("benchmark-in-training", "A row has the prompt of a benchmark question that must stay unseen."),
    _acceptable("validation-in-training", "A prompt is in both train.jsonl and validation.jsonl."),
    _warning("benchmark-not-found", "The benchmark that the rows are to stay clear of is not in the object store."),
    # pairs and labels
    _refusal("chosen-equals-rejected", "A pair's chosen and rejected answers are the same."),
    _warning("chosen-longer-throughout", "Chosen answers are much longer than rejected ones: length would be learnt."),
    _acceptable("one-label-only", "Every KTO row has the same label."),
    _warning("labels-unbalanced", "One KTO label outweighs the other by more than 10 to 1."),
    # serving
    _acceptable("adapter-not-servable", "The serving engine would not load the adapter."),
    _warning("rank-above-serving-default", "The rank is above what the inference server serves unless it is told."),
    _refusal("target-module-missing", "The base model has no such layer."),
    _acceptable("base-model-unlike-dataset", "The dataset was built for another base model."),
    _warning("lengths-unlike-dataset", "The rows have other token counts than the dataset's manifest says."),
    # secrets
    _acceptable("secret-in-text", "Text holds what looks like a key or password; a model can be made to recite it."),
    # estimate: planner.py, which knows the machine
    _acceptable("does-not-fit", "The run is estimated to need more memory than there is; says what would fit."),
    _acceptable("misses-deadline", "The run is estimated to take longer than its deadline allows."),
    _acceptable("disk-full", "The job's folder is estimated to need more room than the disk has."),
    # providers: of hosted jobs alone
    _refusal("provider-too-few-rows", "The provider wants more training rows."),
    _refusal("provider-too-many-rows", "The dataset has more rows than the provider takes."),
    _refusal("provider-role-unknown", "A message has a role that the provider does not know."),
    _refusal("provider-several-answers", "A row has more than one message to learn, and the provider takes one."),
    _warning("provider-learns-earlier-answers", "The provider learns the answers that stand in a row's prompt, too."),
    _refusal("provider-file-too-large", "The rows are larger than what the provider takes as one file."),
    _refusal("provider-row-too-long", "A row has more tokens than the provider takes."),
    _acceptable("price-unknown", "What the provider charges is not known, so the spend limit cannot be held."),
    _refusal("over-spend-limit", "The estimated price is above the job's spend limit."),
    _warning("price-from-provider", "The provider itself says the price once it has the rows, and nothing starts above the limit."),
    _warning("weights-not-usable", "The weights that the provider gives back are no adapter for the base model here."),
    # the run's own: worker/loop/monitor.py, while it trains
    _warning("overfitting", "The validation loss rises while the training loss falls."),
    _warning("no-learning", "The training loss did not fall at all."),
    _warning("loss-zero", "The training loss reads 0: there is nothing left to learn from."),
    _warning("gradients-exploding", "Gradients are many times their usual size, step after step."),
    # advice
    _warning("few-rows", "Fewer rows than generalise."),
    _warning("learning-rate-high", "The learning rate is above what this method is known to bear."),
    _warning("no-validation-rows", "No validation rows: neither the best checkpoint nor overfitting can be seen."),
    _warning("many-epochs", "Every row is seen very often."),
    _warning("prompts-of-one-length", "All prompts have the same number of tokens, as cut ones have."),
    _warning("no-anchors", "No anchor rows: nothing holds what the model already does right."),
    _warning("dataset-warning", "What the build of the dataset warned of: too few replay rows, a verdict out of reach."),
    _warning("batch-larger-than-rows", "A step takes more rows than there are."),
)  # fmt: skip
RULES: dict[str, Rule] = {rule.code: rule for rule in _ALL}


def finding(code: str, message: str, rows: Iterable[str] = (), severity: Severity | None = None) -> Finding:
    """A finding of a listed code. rows: ids of all rows concerned; each counts once. severity: milder than the rule's."""
    if code not in RULES:
        raise InternalError(f"preflight code {code!r} is not in the registry")
    ids = list(dict.fromkeys(rows))
    return Finding(
        code=code,
        severity=severity or RULES[code].severity,
        message=message,
        question_ids=ids[:NAMED_ROWS],
        count=len(ids),
    )


def accept(findings: Sequence[Finding], accepted: Sequence[str]) -> list[Finding]:
    """Refusals first, then warnings; a refusal whose code was accepted and can be is a warning that says so."""
    settled = [_settled(found, found.code in accepted) for found in findings]
    return sorted(settled, key=lambda found: found.severity != "refusal")


def _settled(found: Finding, is_accepted: bool) -> Finding:
    if found.severity != "refusal" or not is_accepted:
        return found
    if RULES[found.code].acceptable:
        return found.model_copy(update={"severity": "warning", "message": f"accepted by the caller: {found.message}"})
    return found.model_copy(update={"message": f"{found.message} ({found.code} cannot be accepted)"})
