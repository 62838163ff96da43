"""All checks of a job, one after the other: rows from the object store in, findings and counts out. No device, no weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from burnish.curation.benchmarks.building import QUESTIONS
from burnish.errors import NotFoundError
from burnish.layout import benchmark as benchmark_key
from burnish.ports import ObjectStore
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.training.hosted import PROVIDERS, HostedSpec
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.methods import KtoParams
from burnish.schemas.training.tuning import Finding
from burnish_trainer.artifacts import reference_log_probabilities
from burnish_trainer.data.rows import Record, Records, read_manifest, read_records
from burnish_trainer.data.tokens import EncodedRow, Encoding, count_text, encode_all, encoded_row
from burnish_trainer.preflight import workload
from burnish_trainer.preflight.base_model import BaseModel
from burnish_trainer.preflight.checks import (
    advice,
    contamination,
    credentials,
    duplicates,
    fields,
    labels,
    pairs,
    prompts,
    serving,
    templates,
    turns,
)
from burnish_trainer.preflight.checks import hosted as provider_rows
from burnish_trainer.preflight.registry import accept
from burnish_trainer.preflight.types import CheckReport


@dataclass(frozen=True)
class CheckContext:
    """What a job's rows are held against. questions: of the dataset's benchmark. served_rank: None if
    unknown. reference_stored: an earlier job has made this one's reference pass."""

    manifest: DatasetManifest
    questions: Sequence[BenchmarkQuestion] = ()
    served_rank: int | None = None
    reference_stored: bool = False


def check(spec: JobSpec, base: BaseModel, store: ObjectStore, served_rank: int | None = None) -> CheckReport:
    """Read the job's dataset and benchmark, and examine them. NotFoundError, CorruptDataError, UnavailableError as reading
    raises them."""
    manifest = read_manifest(store, spec.dataset)
    records = read_records(store, spec.dataset, manifest)
    found = list(fields.check_readable(records, manifest.spec.format))
    questions: list[BenchmarkQuestion] = []
    if manifest.spec.benchmark:
        try:
            questions = read_questions(store, manifest.spec.benchmark)
        except NotFoundError:
            found.append(contamination.missing_benchmark(manifest.spec.benchmark))
    stored = reference_log_probabilities.is_stored(store, spec, base.ref, base.tokenizer)
    return examine(spec, records, base, CheckContext(manifest, questions, served_rank, stored), found)


def read_questions(store: ObjectStore, benchmark: str) -> list[BenchmarkQuestion]:
    """benchmark: name/version. NotFoundError if it is not in the store."""
    name, _, version = benchmark.partition("/")
    lines = store.get(benchmark_key(name, version, QUESTIONS)).splitlines()
    return [BenchmarkQuestion.model_validate_json(line) for line in lines]


def examine(
    spec: JobSpec, records: Records, base: BaseModel, context: CheckContext, found: Iterable[Finding] = ()
) -> CheckReport:
    """Every check on these rows. found: what reading them has found already."""
    if spec.hosted is not None:
        return _examine_hosted(spec, spec.hosted, records, base, context, found)
    findings = [*found, *_check_spec(spec, base, context), *_check_texts(records, context)]
    encoded: dict[int, list[Encoding]] = {}
    if base.tokenizer.chat_template:
        encoded, more = _encode(records.all, base)
        findings += more
    findings += templates.check_template(base.tokenizer, base.folder)
    train, validation = _encoded_rows(records, encoded)
    findings += _check_tokens(spec, records, encoded, train, base, context)
    counted = workload.count(spec, train, validation, context.reference_stored) if train else None
    findings += advice.check_manifest(context.manifest)
    findings += advice.check_amount(spec.method, records)
    if counted:
        findings += advice.check_optimizer(spec.method, spec.optimizer, len(records.train), counted.steps)
    return CheckReport(
        findings=accept(findings, spec.accepted_findings), workload=counted, model=base.shape if counted else None
    )


def _examine_hosted(
    spec: JobSpec,
    hosted: HostedSpec,
    records: Records,
    base: BaseModel,
    context: CheckContext,
    found: Iterable[Finding],
) -> CheckReport:
    """The provider has its own base model, template and device: what is checked is the rows themselves."""
    findings = [*found, *_check_texts(records, context), *provider_rows.check_rows(hosted, records)]
    findings += provider_rows.check_lengths(hosted, records, lambda row: count_text(base.tokenizer, [row]))
    if PROVIDERS[hosted.provider].gives_weights:
        findings += serving.check_adapter(spec.lora, context.served_rank)
        findings += serving.check_modules(spec.lora.target_modules, base.layers)
    findings += advice.check_manifest(context.manifest)
    findings += advice.check_amount(spec.method, records)
    tokens = count_text(base.tokenizer, records.train)
    accepted = accept(findings, spec.accepted_findings)
    return CheckReport(findings=accepted, workload=None, model=None, hosted_tokens=tokens)


def _check_spec(spec: JobSpec, base: BaseModel, context: CheckContext) -> Iterable[Finding]:
    yield from serving.check_adapter(spec.lora, context.served_rank)
    yield from serving.check_modules(spec.lora.target_modules, base.layers)
    yield from serving.check_base(context.manifest, base.ref)


def _check_texts(records: Records, context: CheckContext) -> Iterable[Finding]:
    every, split = records.all, context.manifest.split
    yield from fields.check_text(every)
    yield from turns.check_turns(every)
    yield from prompts.check_prompts(every)
    yield from pairs.check_pairs(every)
    yield from duplicates.check_duplicates(records.train)
    yield from duplicates.check_conflicts(records.train)
    yield from duplicates.check_near_duplicates(records.train)
    yield from contamination.check_held_out(every, split, context.questions)
    yield from contamination.check_benchmark(every, split, context.questions)
    yield from contamination.check_validation(records)
    yield from credentials.check_secrets(every)


def _encode(records: Sequence[Record], base: BaseModel) -> tuple[dict[int, list[Encoding]], list[Finding]]:
    """Index of the record -> its sequences as tokens, of those that the chat template takes."""
    tokenizer = base.tokenizer
    rendered, findings = templates.render_records(tokenizer, records)
    findings += templates.check_rendered(records, rendered)
    findings += templates.check_content_parts(tokenizer, records)
    findings += fields.check_control_tokens(records, templates.control_tokens(tokenizer, base.special_tokens))
    flat = iter(encode_all(tokenizer, [text for texts in rendered.values() for text in texts]))
    return {index: [next(flat) for _ in texts] for index, texts in rendered.items()}, findings


def _check_tokens(
    spec: JobSpec,
    records: Records,
    encoded: Mapping[int, Sequence[Encoding]],
    train: Sequence[EncodedRow],
    base: BaseModel,
    context: CheckContext,
) -> Iterable[Finding]:
    every = [encoding for encodings in encoded.values() for encoding in encodings]
    yield from labels.check_ends(every, base.tokenizer.eos_token)
    examples = [example for encoding in every if (example := encoding.example())]
    yield from labels.check_labels(examples)
    yield from labels.check_lengths(examples, spec.optimizer.max_length, base.context_tokens)
    if len(encoded) == len(records.all):
        tokens = sum(max(len(encoding.ids) for encoding in encodings) for encodings in encoded.values() if encodings)
        yield from serving.check_token_counts(context.manifest, tokens)
    yield from advice.check_prompt_lengths([row.examples[0] for row in train])
    yield from pairs.check_pair_lengths([(row.examples[0], row.examples[1]) for row in train if len(row.examples) == 2])
    if spec.method == "kto" and records.train:
        params = KtoParams.model_validate(spec.params)
        yield from pairs.check_thumbs(records.train, params.desirable_weight, params.undesirable_weight)


def _encoded_rows(
    records: Records, encoded: Mapping[int, Sequence[Encoding]]
) -> tuple[list[EncodedRow], list[EncodedRow]]:
    """Training and validation rows; those that have no end or could not be rendered are left out."""
    splits: tuple[list[EncodedRow], list[EncodedRow]] = ([], [])
    for index, record in enumerate(records.all):
        row = encoded_row(encoded.get(index, ()), record)
        if row is not None:
            splits[index >= len(records.train)].append(row)
    return splits
