"""The reference pass: log-probabilities of the reference model over all sequences of a run, computed once and read ever after.

A further run of the same model on the same rows (another learning rate, a sweep, a job that is resumed) reads them from the
object store (artifacts/reference_log_probabilities.py), and its losses are the same to the bit. If they are torn or altered
there, they are computed again, and the job says so. Called by the methods that have a reference.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from typing import Any

import torch
from accelerate.utils import broadcast_object_list, gather_object
from trl.trainer.utils import selective_log_softmax

from burnish.digests import canonical_json
from burnish.errors import CorruptDataError
from burnish.jsonl import AppendLog
from burnish.schemas.base import VersionRef
from burnish_trainer.artifacts import reference_log_probabilities as stored
from burnish_trainer.artifacts.reference_log_probabilities import FOLDER, LogProbabilities, ReferenceInputs
from burnish_trainer.data.tokens import Example
from burnish_trainer.executors.events import Referenced
from burnish_trainer.worker.context import RunContext

BATCH_TOKENS = 2048  # of one forward, padding included: bounds its memory, and is the same whatever a job's batch size


def log_probabilities(
    ctx: RunContext, model: Any, examples: Iterable[Example], initial: VersionRef | None, by_kernels: bool = False
) -> LogProbabilities:
    """Those of the reference over the examples, from the object store or by a pass over them, which then is stored there.

    model: the policy before its first step: peft.PeftModel with the adapter `default`, which is the reference if
    `initial` names it; else the base under it is. by_kernels: kernels.speed_up has given it its forward. Of many processes
    the main one reads and writes, and all compute. Alone it raises StopRequested between two batches; what is done by then is
    not done again.
    """
    sequences = {stored.sequence_key(example): example for example in examples}
    inputs = _inputs(ctx, sequences, initial, by_kernels)
    found, is_damaged = _shared(ctx, _read(ctx, inputs) if ctx.is_main else (None, False))
    if ctx.is_main:
        ctx.events.write(Referenced(cached=found is not None))
    if found is not None:
        return LogProbabilities(found.values)
    before = ctx.clock.seconds("reference")
    with ctx.clock.phase("reference"):
        computed = _computed(ctx, model, sequences, inputs)
    if ctx.is_main:
        computed = stored.write(ctx.store, inputs, computed, ctx.base_model, ctx.spec, ctx.job_id, is_damaged).values
        seconds = ctx.clock.seconds("reference") - before
        ctx.say(
            f"reference log-probabilities of {len(computed)} sequences computed in {seconds:.1f} s, kept as "
            f"{FOLDER}/{inputs.digest}"
        )
    return LogProbabilities(_shared(ctx, computed))


def _shared(ctx: RunContext, value: Any) -> Any:
    """The main process's value, in every process."""
    if ctx.processes == 1:
        return value
    box = [value]
    broadcast_object_list(box, from_process=0)
    return box[0]


def _read(ctx: RunContext, inputs: ReferenceInputs) -> tuple[LogProbabilities | None, bool]:
    """What is stored, if it is whole, and whether it is damaged."""
    try:
        found = stored.read(ctx.store, inputs)
    except CorruptDataError as error:
        ctx.say(f"the reference log-probabilities that were kept are not used: {error.message}")
        return None, True
    if found is not None:
        ctx.say(
            f"reference log-probabilities of {len(found.values)} sequences read from {FOLDER}/{inputs.digest}: no pass needed"
        )
    return found, False


def _inputs(ctx: RunContext, sequences: Iterable[str], initial: VersionRef | None, by_kernels: bool) -> ReferenceInputs:
    names = ["torch", "transformers", "peft"]
    names += ["bitsandbytes"] if ctx.spec.quantization == "nf4" else []
    names += ["unsloth", "unsloth_zoo"] if ctx.backend.name == "unsloth" else []
    return ReferenceInputs(
        base_model=ctx.base_model.digest,
        adapter=initial.version if initial else None,
        chat_template=stored.digest_of_template(ctx.tokenizer),
        sequences=stored.digest_of_keys(sequences),
        quantization=ctx.spec.quantization,
        device=ctx.device,
        dtype=ctx.dtype,
        backend=ctx.backend.name,
        packages={name: version(name) for name in names},
        kernels=by_kernels,
    )


def _computed(
    ctx: RunContext, model: Any, sequences: Mapping[str, Example], inputs: ReferenceInputs
) -> dict[str, float]:
    """Make the pass, every process each `processes`-th batch, going on after what an earlier attempt has done of it.

    Each batch's values are a line on this machine's disk.
    """
    batches = list(_batches(sequences.values()))[ctx.process :: ctx.processes]
    path = ctx.folder / FOLDER / f"{inputs.digest}-{ctx.process}-of-{ctx.processes}.jsonl"
    with AppendLog(path) as log, _as_reference(model, inputs.adapter):
        done: list[list[float]] = [json.loads(line) for line in log.lines]
        for batch in batches[len(done) :]:
            if ctx.processes == 1:  # else one would leave the others waiting: together they stop after the first step
                ctx.check_stop()
            done.append(_forward(model, batch, ctx, inputs.kernels))
            ctx.clock.progress("reference")
            log.append(canonical_json(done[-1]))
    pairs = [
        (stored.sequence_key(example), value)
        for batch, values in zip(batches, done, strict=True)
        for example, value in zip(batch, values, strict=True)
    ]
    if ctx.processes > 1:
        pairs = gather_object(pairs)
    if not all(math.isfinite(value) for _, value in pairs):
        raise CorruptDataError("the reference gives some rows no finite log-probability: is the base model whole?")
    return dict(pairs)


def _batches(examples: Iterable[Example]) -> Iterator[list[Example]]:
    """Sequences of like length together, those of one prompt side by side. The longest come first, so that a lack of memory
    shows at once or never."""
    groups: dict[tuple[int, ...], list[Example]] = {}
    for example in sorted(examples, key=lambda example: (-len(example.ids), example.ids, example.prompt_tokens)):
        groups.setdefault(example.ids[: example.prompt_tokens], []).append(example)
    ranked = [example for group in groups.values() for example in group]
    start = 0
    while start < len(ranked):
        rows = max(1, BATCH_TOKENS // len(ranked[start].ids))
        yield ranked[start : start + rows]
        start += rows


@contextmanager
def no_second_reference(model: Any) -> Iterator[None]:
    """Around the making of a TRL trainer: the adapter `default` comes out as it went in, and alone.

    TRL 1.14.2 adds a frozen copy of it, `ref` (Unsloth may leave that out), which every checkpoint would hold too. On a
    4-bit model it rounds `default` to bf16, so that a continued adapter would no longer be its own reference.
    """
    weights = {name: parameter.data for name, parameter in model.named_parameters() if parameter.requires_grad}
    yield
    if "ref" in model.peft_config:
        model.delete_adapter("ref")
    for name, weight in weights.items():
        model.get_parameter(name).data = weight


@contextmanager
def _as_reference(model: Any, adapter: str | None) -> Iterator[None]:
    """The model as the reference: in evaluation mode, and with its adapter if that is the reference, else without."""
    was_training = model.training
    model.eval()
    try:
        with nullcontext() if adapter else model.disable_adapter():
            yield
    finally:
        model.train(was_training)


def _forward(model: Any, batch: Sequence[Example], ctx: RunContext, by_kernels: bool) -> list[float]:
    """Log-probabilities of a batch, in the loop's precision and by the arithmetic of its loss, so that the first loss is exact."""
    width = max(len(example.ids) for example in batch)
    ids, attention, completion = (
        torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=model.device)
        for rows in (
            [example.ids for example in batch],
            [[1] * len(example.ids) for example in batch],
            [[0] * example.prompt_tokens + [1] * example.trained_tokens for example in batch],
        )
    )
    mixed = torch.autocast(ctx.device, dtype=getattr(torch, ctx.dtype), enabled=ctx.dtype != "float32")
    with torch.no_grad(), mixed:
        if by_kernels:
            summed = model(input_ids=ids, attention_mask=attention, completion_mask=completion).log_probabilities
        else:
            summed = _by_logits(model, ids, attention, completion)
    values: list[float] = summed.tolist()
    return values


def _by_logits(model: Any, ids: Any, attention: Any, completion: Any) -> Any:
    """As TRL's loss has them: [rows]. Logits from the first completion's start on, in fp32: from bf16 logits they are off by tenths."""
    width = ids.shape[1]
    start = max(1, int(completion.argmax(dim=1).min()))
    logits = model(input_ids=ids, attention_mask=attention, logits_to_keep=width - start + 1, use_cache=False).logits
    return selective_log_softmax(logits[:, :-1].float(), ids[:, start:], row_mask=completion[:, start:]).sum(-1)
