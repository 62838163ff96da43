"""Translation between the proto's messages and the plain data of this service, both ways. No decisions, no I/O.

Called by servicer.py alone; these two are the only files of this service that import the stubs.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import TypeAdapter, ValidationError

from burnish.errors import InvalidInputError, from_dict
from burnish.schemas.base import VersionRef
from burnish.schemas.job import JobSpec
from burnish.schemas.job_state import JobState
from burnish.schemas.methods import METHODS
from burnish.schemas.tuning import Finding, RunEstimate, RunMeasurement
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_trainer.artifacts.checkpoint_models import CheckpointInfo
from burnish_trainer.executors.events import Metrics
from burnish_trainer.preflight.types import Preview
from burnish_trainer.queue.jobs import Job, JobEvent
from burnish_trainer.rpc.interceptor import to_status

_CURSOR: TypeAdapter[tuple[datetime, str]] = TypeAdapter(tuple[datetime, str])
_STATES = {state: pb.TuningJob.State.Value(f"STATE_{state.name}") for state in JobState}
_SEVERITIES = {"refusal": pb.Finding.SEVERITY_REFUSAL, "warning": pb.Finding.SEVERITY_WARNING}


def spec_fields(spec: pb.TuningSpec) -> dict[str, Any]:
    """The fields that the caller set, nested and named as in JobSpec."""
    method = spec.WhichOneof("method")
    if method is None:
        raise InvalidInputError(f"spec.method: set one of {', '.join(METHODS)}", field="method")
    fields = _set_fields(spec)
    return {"adapter_name": "", "params": fields.pop(method), "method": method} | fields


def _set_fields(message: Message) -> dict[str, Any]:
    return {descriptor.name: _plain(descriptor, value) for descriptor, value in message.ListFields()}


def _plain(descriptor: FieldDescriptor, value: Any) -> Any:
    """A field's value as a spec has it: messages as dicts, enums as lower-case words."""
    if descriptor.is_repeated:
        return list(value)
    if descriptor.message_type is not None:
        return _set_fields(value)
    if descriptor.enum_type is not None:
        name = descriptor.name
        if value not in descriptor.enum_type.values_by_number:
            raise InvalidInputError(f"{name}: {value} is not known to this trainer", field=name)
        return descriptor.enum_type.values_by_number[value].name.removeprefix(f"{name.upper()}_").lower()
    return value


def states(numbers: Sequence[int]) -> list[JobState]:
    """The states that a caller filters a list by."""
    known = {value: state for state, value in _STATES.items()}
    for number in numbers:
        if number not in known:
            raise InvalidInputError(f"states: {number} is not a state to filter by", field="states")
    return [known[number] for number in numbers]


def page_token(last: Job) -> str:
    cursor = json.dumps([last.create_time.isoformat(), last.job_id])
    return base64.urlsafe_b64encode(cursor.encode()).decode()


def read_page_token(token: str) -> tuple[datetime, str]:
    """(create_time, job_id) of the last job that the caller has seen."""
    try:
        return _CURSOR.validate_json(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValidationError, UnicodeError) as error:
        raise InvalidInputError(
            "page_token: send one from the answer to an earlier list call", field="page_token"
        ) from error


def job_message(job: Job) -> pb.TuningJob:
    return pb.TuningJob(
        job_id=job.job_id,
        spec=spec_message(job.spec),
        state=_STATES[job.state],
        error=to_status(from_dict(job.error)) if job.error and job.state is JobState.FAILED else None,
        adapter=adapter_message(job.adapter) if job.adapter else None,
        create_time=timestamp(job.create_time),
        start_time=timestamp(job.start_time),
        end_time=timestamp(job.end_time),
        attempts=job.attempts,
        progress=_metrics_message(job.progress) if job.progress else None,
        request_id=job.request_id or "",
        priority=job.priority,
        labels=job.labels,
        deadline=timestamp(job.deadline),
        findings=[_finding_message(finding) for finding in job.findings],
        estimate=_estimate_message(job.estimate) if job.estimate else None,
        measured=_measurement_message(job.measured) if job.measured else None,
        not_before=timestamp(job.not_before),
        devices=job.devices,
    )


def spec_message(spec: JobSpec) -> pb.TuningSpec:
    """With every default filled in. A choice that the proto has no value for (backend auto) stays unspecified."""
    fields = spec.model_dump(exclude={"method", "params"}) | {spec.method: spec.params}
    for name, descriptor in pb.TuningSpec.DESCRIPTOR.fields_by_name.items():
        if descriptor.enum_type is not None:
            value = descriptor.enum_type.values_by_name.get(f"{name}_{fields[name]}".upper())
            fields[name] = value.number if value else 0
    return pb.TuningSpec(**fields)


def preview_message(spec: JobSpec, preview: Preview) -> pb.TuningJobPreview:
    return pb.TuningJobPreview(
        spec=spec_message(spec),
        findings=[_finding_message(finding) for finding in preview.findings],
        estimate=_estimate_message(preview.estimate) if preview.estimate else None,
        refused=preview.refused,
    )


def event_message(event: JobEvent) -> pb.TuningJobEvent:
    return pb.TuningJobEvent(
        sequence=event.sequence,
        time=timestamp(event.time),
        state_change=_STATES[event.state] if event.state else None,
        metrics=_metrics_message(event.metrics) if event.metrics else None,
        message=event.message,
        finding=_finding_message(event.finding) if event.finding else None,
        estimate=_estimate_message(event.estimate) if event.estimate else None,
        attempt=event.attempt,
    )


def adapter_message(adapter: VersionRef) -> pb.AdapterRef:
    return pb.AdapterRef(name=adapter.name, version=adapter.version)


def checkpoint_message(checkpoint: CheckpointInfo) -> pb.CheckpointInfo:
    return pb.CheckpointInfo(
        step=checkpoint.step,
        epoch=checkpoint.epoch,
        validation_loss=checkpoint.validation_loss,
        size_bytes=checkpoint.size_bytes,
        time=timestamp(checkpoint.time),
        best=checkpoint.best,
        adapter=adapter_message(checkpoint.adapter) if checkpoint.adapter else None,
    )


def _metrics_message(metrics: Metrics) -> pb.StepMetrics:
    return pb.StepMetrics(**metrics.model_dump(exclude={"time", "kind", "repeated", "step_seconds", "tokens"}))


def _finding_message(finding: Finding) -> pb.Finding:
    return pb.Finding(**finding.model_dump(exclude={"severity"}), severity=_SEVERITIES[finding.severity])


def _estimate_message(estimate: RunEstimate) -> pb.RunEstimate:
    return pb.RunEstimate(**estimate.model_dump())


def _measurement_message(measured: RunMeasurement) -> pb.RunMeasurement:
    return pb.RunMeasurement(**measured.model_dump())


def timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message


def moment(message: Message, field: str) -> datetime | None:
    """The time in a message's timestamp field; None if it is not set."""
    if not message.HasField(field):
        return None
    try:
        sent: datetime = getattr(message, field).ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(f"{field}: this is not a time that a calendar has ({error})", field=field) from error
    return sent
