"""All checks of a job, one after the other: rows from the object store in, findings and counts out. No device, no weights."""

from __future__ import annotations

from collections.abc import Sequence

from burnish.ports import ObjectStore
from burnish.schemas.tuning import Finding
from burnish_trainer.preflight import counting
from burnish_trainer.preflight.base import Base
from burnish_trainer.preflight.records import Record, Records, read_records
from burnish_trainer.preflight.registry import accept
from burnish_trainer.preparation import Preparation
from burnish_trainer.rows import read_manifest
from burnish_trainer.spec import JobSpec
from burnish_trainer.tokens import Example, Sequenced, encode_all, render_all


def prepare(spec: JobSpec, base: Base, store: ObjectStore) -> Preparation:
    """Read the job's dataset and examine it. NotFoundError, CorruptDataError, UnavailableError as reading them raises."""
    manifest = read_manifest(store, spec.dataset)
    records, findings = read_records(store, spec.dataset, manifest)
    return examine(spec, records, base, findings)


def examine(spec: JobSpec, records: Records, base: Base, found: Sequence[Finding] = ()) -> Preparation:
    findings = accept(found, spec.accepted_findings)
    if any(finding.severity == "refusal" for finding in findings):
        return Preparation(findings=findings, workload=None, model=None)
    train, validation = ([_group(base, record) for record in part] for part in (records.train, records.validation))
    return Preparation(findings=findings, workload=counting.count(spec, train, validation), model=base.shape)


def _group(base: Base, record: Record) -> list[Example]:
    sequences = [Sequenced(record.question_id, record.prompt, answer) for answer in record.answers]
    encodings = encode_all(base.tokenizer, render_all(base.tokenizer, sequences))
    return [example for encoding in encodings if (example := encoding.example())]
