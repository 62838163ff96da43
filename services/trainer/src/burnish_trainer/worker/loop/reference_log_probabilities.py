"""Log-probabilities of a reference model over all sequences of a run: computed once, kept in the object store, read ever after.

DPO and KTO hold the policy against a model that never changes, so neither do these. A further run of the same model on the
same rows (another learning rate, a sweep, a job that is resumed) reads them, and its losses are the same to the bit. What
is kept is trusted only as far as its digests reach: torn or altered, it is computed again, and the job says so.
No model library is imported before `log_probabilities` is called.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from burnish.digests import canonical_json, sha256_hex, version_of
from burnish.errors import AlreadyExistsError, CorruptDataError, NotFoundError
from burnish.layout import reference as reference_key
from burnish.ports import ObjectStore
from burnish.schemas.base import FileEntry, Frozen, Manifest, Parent, VersionRef
from burnish.schemas.job import Quantization
from burnish_trainer.data.tokens import Example, Tokenizer
from burnish_trainer.executors.events import Referenced
from burnish_trainer.worker.context import RunContext

PASS = 2  # raised where the pass below computes something else
BATCH_TOKENS = 2048  # of one forward, padding included: bounds its memory, and is the same whatever a job's batch size
FOLDER = "references"


class ReferenceInputs(Frozen):
    """All that the log-probabilities depend on; their digest names them.

    adapter: version of the adapter that is the reference; None: the base is. sequences: digest over every sequence's ids,
    whatever their order, so over dataset and chat template both. packages: those whose arithmetic counts. kernels: whether
    by kernels/loss.py's forward.
    """

    base_model: str
    adapter: str | None
    chat_template: str
    sequences: str
    quantization: Quantization
    device: str
    dtype: str
    backend: str
    packages: dict[str, str]
    kernels: bool
    computed_by: int = PASS

    @property
    def digest(self) -> str:
        return version_of(canonical_json(self.model_dump(mode="json")))


class ReferenceManifest(Manifest):
    """references/<digest>/manifest.json, written last; its one file has a line a sequence: key and log-probability."""

    digest: str
    inputs: ReferenceInputs
    sequences: int


@dataclass(frozen=True)
class LogProbabilities:
    """Of a completion given its prompt, summed over its tokens, in nats."""

    values: dict[str, float]

    def of(self, example: Example) -> float:
        return self.values[_key(example)]


def log_probabilities(
    ctx: RunContext,
    model: Any,
    tokenizer: Tokenizer,
    examples: Iterable[Example],
    initial: VersionRef | None,
    by_kernels: bool = False,
) -> LogProbabilities:
    """Those of the reference over the examples, from the object store or by a pass over them, which then is kept there.

    model: the policy before its first step: peft.PeftModel with the adapter `default`, which is the reference where
    `initial` names it; else the base under it is. by_kernels: kernels.speed_up has given it its forward. Of many processes the main one reads and keeps, and all compute.
    Alone it raises StopRequested between two batches; what is done by then is not done again.
    """
    sequences = {_key(example): example for example in examples}
    inputs = _inputs(ctx, tokenizer, sequences, initial, by_kernels)
    kept, is_damaged = _shared(ctx, _read(ctx, inputs) if ctx.is_main else (None, False))
    if ctx.is_main:
        ctx.events.write(Referenced(cached=kept is not None))
    if kept is None:
        before = ctx.clock.seconds("reference")
        with ctx.clock.phase("reference"):
            computed = _computed(ctx, model, sequences, inputs)
        seconds = ctx.clock.seconds("reference") - before
        kept = _shared(ctx, _keep(ctx, inputs, computed, is_damaged, seconds) if ctx.is_main else computed)
    return LogProbabilities(kept)


def _shared(ctx: RunContext, value: Any) -> Any:
    """The main process's value, in every process."""
    if ctx.processes == 1:
        return value
    from accelerate.utils import broadcast_object_list

    box = [value]
    broadcast_object_list(box, from_process=0)
    return box[0]


def _read(ctx: RunContext, inputs: ReferenceInputs) -> tuple[dict[str, float] | None, bool]:
    """What is kept, if it is whole, and whether something damaged stands in its place."""
    try:
        values = stored(ctx.store, inputs)
    except CorruptDataError as error:
        ctx.say(f"the reference log-probabilities that were kept are not used: {error.message}")
        return None, True
    if values is not None:
        ctx.say(
            f"reference log-probabilities of {len(values)} sequences read from {FOLDER}/{inputs.digest}: no pass needed"
        )
    return values, False


def stored(store: ObjectStore, inputs: ReferenceInputs) -> dict[str, float] | None:
    """key -> log-probability; None where there are none. CorruptDataError where what is kept is not whole."""
    key = reference_key(inputs.digest)
    try:
        text = store.get(key)
    except NotFoundError:
        return None
    try:
        manifest = ReferenceManifest.model_validate_json(text)
        entry = manifest.files[0]
        data = store.get(reference_key(inputs.digest, entry.path))
    except (ValidationError, IndexError, NotFoundError) as error:
        raise CorruptDataError(f"{key}, or the file that it names, cannot be read", key=key) from error
    if manifest.inputs != inputs or sha256_hex(data) != entry.sha256:
        raise CorruptDataError(f"{key} does not match what it stands for", key=key)
    values = dict(json.loads(line) for line in data.splitlines())
    if version_of(*(name.encode() for name in sorted(values))) != inputs.sequences:
        raise CorruptDataError(f"{key} is of other sequences", key=key)
    return values


def _key(example: Example) -> str:
    """Digest of a sequence and of where its completion begins."""
    return version_of(canonical_json([example.prompt_tokens, example.ids]))


def _inputs(
    ctx: RunContext, tokenizer: Tokenizer, sequences: Iterable[str], initial: VersionRef | None, by_kernels: bool
) -> ReferenceInputs:
    names = ["torch", "transformers", "peft"]
    names += ["bitsandbytes"] if ctx.spec.quantization == "nf4" else []
    names += ["unsloth", "unsloth_zoo"] if ctx.backend.name == "unsloth" else []
    return ReferenceInputs(
        base_model=ctx.base_model.digest,
        adapter=initial.version if initial else None,
        chat_template=sha256_hex(str(getattr(tokenizer, "chat_template", "")).encode()),
        sequences=version_of(*(name.encode() for name in sorted(sequences))),
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
    """Make the pass, every process each `processes`-th batch, going on after what an earlier attempt has done of it."""
    batches = list(_batches(sequences.values()))[ctx.process :: ctx.processes]
    progress = _Progress(ctx.folder / FOLDER / f"{inputs.digest}-{ctx.process}-of-{ctx.processes}.jsonl", batches)
    with _as_reference(model, inputs.adapter):
        for batch in progress.left():
            if (
                ctx.processes == 1
            ):  # else one of them would leave the others waiting: together they stop after the first step
                ctx.check_stop()
            progress.add(_forward(model, batch, ctx, inputs.kernels))
    pairs = [
        (_key(example), value)
        for batch, values in zip(batches, progress.done, strict=True)
        for example, value in zip(batch, values, strict=True)
    ]
    if ctx.processes > 1:
        from accelerate.utils import gather_object

        pairs = gather_object(pairs)
    if not all(math.isfinite(value) for _, value in pairs):
        raise CorruptDataError("the reference gives some rows no finite log-probability: is the base model whole?")
    return dict(pairs)


class _Progress:
    """Values of the batches done so far, a line each on this machine's disk; a line that a kill has torn does not count."""

    def __init__(self, path: Path, batches: Sequence[list[Example]]) -> None:
        self.done: list[list[float]] = []
        self._batches = batches
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        for line in path.read_bytes().splitlines(keepends=True) if path.is_file() else []:
            if not line.endswith(b"\n"):
                break
            self.done.append(json.loads(line))
        path.write_bytes(b"".join(map(_line, self.done)))

    def left(self) -> Sequence[list[Example]]:
        return self._batches[len(self.done) :]

    def add(self, values: list[float]) -> None:
        self.done.append(values)
        with self._path.open("ab") as file:
            file.write(_line(values))


def _line(values: list[float]) -> bytes:
    return canonical_json(values) + b"\n"


def _batches(examples: Iterable[Example]) -> Iterator[list[Example]]:
    """Sequences of like length together, those of one prompt side by side, the longest first, so that memory is short at
    once or never."""
    groups: dict[tuple[int, ...], list[Example]] = {}
    for example in sorted(examples, key=lambda example: (-len(example.ids), example.ids, example.prompt_tokens)):
        groups.setdefault(example.ids[: example.prompt_tokens], []).append(example)
    ranked = [example for group in groups.values() for example in group]
    start = 0
    while start < len(ranked):
        rows = max(1, BATCH_TOKENS // len(ranked[start].ids))
        yield ranked[start : start + rows]
        start += rows


def _keep(
    ctx: RunContext, inputs: ReferenceInputs, values: dict[str, float], replacing: bool, seconds: float
) -> dict[str, float]:
    """The file has its digest in its name, so that two writers never mix; then the manifest, which the first of them wins.

    replacing: what stands there is damaged. Returns what is kept now: another job's values where that was quicker.
    """
    data = b"".join(canonical_json([key, value]) + b"\n" for key, value in sorted(values.items()))
    digest = sha256_hex(data)
    file = f"log-probabilities-{digest[:16]}.jsonl"
    manifest = ReferenceManifest(
        digest=inputs.digest,
        inputs=inputs,
        sequences=len(values),
        parents=[
            Parent(kind="base_model", name=ctx.base_model.name, digest=ctx.base_model.digest),
            Parent(kind="dataset", name=ctx.spec.dataset.name, digest=ctx.spec.dataset.version),
            Parent(kind="job", name=ctx.job_id, digest=ctx.job_id),
        ],
        files=[FileEntry(path=file, size_bytes=len(data), sha256=digest)],
    )
    text = canonical_json(manifest.model_dump(mode="json"))
    ctx.store.put(reference_key(inputs.digest, file), data)
    ctx.say(
        f"reference log-probabilities of {len(values)} sequences computed in {seconds:.1f} s, kept as {FOLDER}/{inputs.digest}"
    )
    if replacing:
        ctx.store.put(reference_key(inputs.digest), text)
        return values
    try:
        ctx.store.put_if_absent(reference_key(inputs.digest), text)
    except AlreadyExistsError:
        return stored(ctx.store, inputs) or values
    return values


@contextmanager
def no_second_reference(model: Any) -> Iterator[None]:
    """Around the making of a TRL trainer: the adapter `default` comes out as it went in, and alone.

    TRL 1.14.2 adds a frozen copy of it, `ref` (Unsloth may leave that out), which every checkpoint would hold too, and on a 4-bit model rounds it to bf16, so
    that a continued adapter would no more be its own reference.
    """
    weights = {name: parameter.data for name, parameter in model.named_parameters() if parameter.requires_grad}
    yield
    if "ref" in model.peft_config:
        model.delete_adapter("ref")
    for name, weight in weights.items():
        model.get_parameter(name).data = weight


@contextmanager
def _as_reference(model: Any, adapter: str | None) -> Iterator[None]:
    """The model as the reference: in evaluation mode, and with its adapter where that is the reference, else without."""
    was_training = model.training
    model.eval()
    try:
        with nullcontext() if adapter else model.disable_adapter():
            yield
    finally:
        model.train(was_training)


def _forward(model: Any, batch: Sequence[Example], ctx: RunContext, by_kernels: bool) -> list[float]:
    """Log-probabilities of a batch, in the loop's precision and by the arithmetic of its loss, so that the first loss is exact."""
    import torch

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
    from trl.trainer.utils import selective_log_softmax

    width = ids.shape[1]
    start = max(1, int(completion.argmax(dim=1).min()))
    logits = model(input_ids=ids, attention_mask=attention, logits_to_keep=width - start + 1, use_cache=False).logits
    return selective_log_softmax(logits[:, :-1].float(), ids[:, start:], row_mask=completion[:, start:]).sum(-1)
