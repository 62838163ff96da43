"""All checks of a job, one after the other: rows from the object store in, findings and counts out. No device, no weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from burnish.curation.benchmarks import QUESTIONS
from burnish.errors import NotFoundError
from burnish.layout import benchmark as benchmark_key
from burnish.ports import ObjectStore
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.job import JobSpec
from burnish.schemas.methods import KtoParams
from burnish.schemas.tuning import Finding
from burnish_trainer.data.rows import read_manifest
from burnish_trainer.data.tokens import Encoding, Example, encode_all
from burnish_trainer.preflight import counting, reference
from burnish_trainer.preflight.base import Base
from burnish_trainer.preflight.checks import (
    advice,
    credentials,
    duplicates,
    fields,
    labels,
    leakage,
    pairs,
    prompts,
    serving,
    templates,
    turns,
)
from burnish_trainer.preflight.records import Record, Records, read_records
from burnish_trainer.preflight.registry import accept
from burnish_trainer.preflight.types import Preparation


@dataclass(frozen=True)
class Surroundings:
    """What a job's rows are held against. questions: of the dataset's benchmark. served_rank: None where
    unknown. reference_kept: an earlier job has made this one's reference pass."""

    manifest: DatasetManifest
    questions: Sequence[BenchmarkQuestion] = ()
    served_rank: int | None = None
    reference_kept: bool = False


def prepare(spec: JobSpec, base: Base, store: ObjectStore, served_rank: int | None = None) -> Preparation:
    """Read the job's dataset and benchmark, and examine them. NotFoundError, CorruptDataError, UnavailableError as reading
    raises them."""
    manifest = read_manifest(store, spec.dataset)
    records, found = read_records(store, spec.dataset, manifest)
    questions: list[BenchmarkQuestion] = []
    if manifest.spec.benchmark:
        try:
            questions = read_questions(store, manifest.spec.benchmark)
        except NotFoundError:
            found = [*found, leakage.missing_benchmark(manifest.spec.benchmark)]
    around = Surroundings(manifest, questions, served_rank, reference.is_kept(spec, base, store))
    return examine(spec, records, base, around, found)


def read_questions(store: ObjectStore, benchmark: str) -> list[BenchmarkQuestion]:
    """benchmark: name/version. NotFoundError where it does not stand in the store."""
    name, _, version = benchmark.partition("/")
    lines = store.get(benchmark_key(name, version, QUESTIONS)).splitlines()
    return [BenchmarkQuestion.model_validate_json(line) for line in lines]


def examine(
    spec: JobSpec, records: Records, base: Base, around: Surroundings, found: Iterable[Finding] = ()
) -> Preparation:
    """Every check on these rows. found: what reading them has found already."""
    findings = [*found, *_check_spec(spec, base, around), *_check_texts(records, around)]
    encoded: dict[int, list[Encoding]] = {}
    if base.tokenizer.chat_template:
        encoded, more = _encode(records.all, base)
        findings += more
    findings += templates.check_template(base.tokenizer, base.folder)
    findings += _check_tokens(spec, records, encoded, base, around)
    train, validation = _groups(records, encoded)
    workload = counting.count(spec, train, validation, around.reference_kept) if train else None
    findings += advice.check_amount(spec.method, records)
    if workload:
        findings += advice.check_optimizer(spec.method, spec.optimizer, len(records.train), workload.steps)
    return Preparation(
        findings=accept(findings, spec.accepted_findings), workload=workload, model=base.shape if workload else None
    )


def _check_spec(spec: JobSpec, base: Base, around: Surroundings) -> Iterable[Finding]:
    yield from serving.check_adapter(spec.lora, around.served_rank)
    yield from serving.check_modules(spec.lora.target_modules, base.layers)
    yield from serving.check_base(around.manifest, base.ref)


def _check_texts(records: Records, around: Surroundings) -> Iterable[Finding]:
    every = records.all
    yield from fields.check_text(every)
    yield from turns.check_turns(every)
    yield from prompts.check_prompts(every)
    yield from pairs.check_pairs(every)
    yield from duplicates.check_duplicates(records.train)
    yield from duplicates.check_conflicts(records.train)
    yield from duplicates.check_near_duplicates(records.train)
    yield from leakage.check_held_out(every, around.manifest.split, around.questions)
    yield from leakage.check_benchmark(every, around.manifest.split, around.questions)
    yield from leakage.check_validation(records)
    yield from credentials.check_secrets(every)


def _encode(records: Sequence[Record], base: Base) -> tuple[dict[int, list[Encoding]], list[Finding]]:
    """Place of the record -> its sequences as tokens, of those that the chat template takes."""
    tokenizer = base.tokenizer
    rendered, findings = templates.render_records(tokenizer, records)
    findings += templates.check_rendered(records, rendered)
    findings += templates.check_content_parts(tokenizer, records)
    findings += fields.check_control_tokens(records, templates.control_tokens(tokenizer, base.special_tokens))
    flat = iter(encode_all(tokenizer, [text for texts in rendered.values() for text in texts]))
    return {place: [next(flat) for _ in texts] for place, texts in rendered.items()}, findings


def _check_tokens(
    spec: JobSpec, records: Records, encoded: Mapping[int, Sequence[Encoding]], base: Base, around: Surroundings
) -> Iterable[Finding]:
    every = [encoding for encodings in encoded.values() for encoding in encodings]
    yield from labels.check_ends(every, base.tokenizer.eos_token)
    examples = [example for encoding in every if (example := encoding.example())]
    yield from labels.check_labels(examples)
    yield from labels.check_lengths(examples, spec.optimizer.max_length, base.context_tokens)
    if len(encoded) == len(records.all):
        tokens = sum(max(len(encoding.ids) for encoding in encodings) for encodings in encoded.values() if encodings)
        yield from serving.check_token_counts(around.manifest, tokens)
    train, _ = _groups(records, encoded)
    yield from advice.check_prompt_lengths([group[0] for group in train])
    yield from pairs.check_pair_lengths([(group[0], group[1]) for group in train if len(group) == 2])
    if spec.method == "kto" and records.train:
        params = KtoParams.model_validate(spec.params)
        yield from pairs.check_thumbs(records.train, params.desirable_weight, params.undesirable_weight)


def _groups(
    records: Records, encoded: Mapping[int, Sequence[Encoding]]
) -> tuple[list[list[Example]], list[list[Example]]]:
    """Training and validation rows as examples, one list a row; rows that have no end or could not be rendered are left out."""
    parts: tuple[list[list[Example]], list[list[Example]]] = ([], [])
    for place, encodings in sorted(encoded.items()):
        examples = [example for encoding in encodings if (example := encoding.example())]
        if examples and len(examples) == len(encodings):
            parts[place >= len(records.train)].append(examples)
    return parts
