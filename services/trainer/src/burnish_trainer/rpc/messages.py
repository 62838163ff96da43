"""Translation between the proto's messages and the plain data of this service, both ways. No decisions, no I/O.

Called by servicer.py alone; these two are the only files of this service that import the stubs.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from pydantic import TypeAdapter, ValidationError

from burnish.digests import canonical_json, version_of
from burnish.errors import InvalidInputError, from_dict
from burnish.schemas.base import VersionRef
from burnish.schemas.training.job import JobSpec
from burnish.schemas.training.job_state import JobState
from burnish_protos.trainer.v1 import trainer_pb2 as pb
from burnish_trainer.artifacts.checkpoint_models import CheckpointInfo
from burnish_trainer.preflight.types import Preview
from burnish_trainer.queue.jobs import Job, JobEvent
from burnish_trainer.rpc.interceptor import to_status

_CURSOR: TypeAdapter[tuple[datetime, str, str]] = TypeAdapter(tuple[datetime, str, str])
_STATES = {state: pb.TuningJob.State.Value(f"STATE_{state.name}") for state in JobState}
Sent = TypeVar("Sent", bound=Message)


def spec_fields(spec: pb.TuningSpec) -> dict[str, Any]:
    """The fields that the caller set, nested and named as in JobSpec."""
    fields = _set_fields(spec)
    method = spec.WhichOneof("method")
    return fields if method is None else {"params": fields.pop(method), "method": method} | fields


def _set_fields(message: Message) -> dict[str, Any]:
    return {descriptor.name: _plain(descriptor, value) for descriptor, value in message.ListFields()}


def _plain(descriptor: FieldDescriptor, value: Any) -> Any:
    """A field's value as a spec has it: messages as dicts, enums as lower-case words (one of a later version as its number)."""
    if descriptor.is_repeated:
        return list(value)
    if descriptor.message_type is not None:
        return _set_fields(value)
    if descriptor.enum_type is not None:
        known = descriptor.enum_type.values_by_number.get(value)
        return known.name.removeprefix(f"{descriptor.name.upper()}_").lower() if known else value
    return value


def states(numbers: Sequence[int]) -> list[JobState]:
    """The states that a caller filters a list by."""
    known = {value: state for state, value in _STATES.items()}
    for number in numbers:
        if number not in known:
            raise InvalidInputError(f"states: {number} is not a state to filter by", field="states")
    return [known[number] for number in numbers]


def page_token(last: Job, request: pb.ListTuningJobsRequest) -> str:
    """For the page after this job, of the same filter."""
    cursor = json.dumps([last.create_time.isoformat(), last.job_id, _filter_digest(request)])
    return base64.urlsafe_b64encode(cursor.encode()).decode()


def read_page_token(request: pb.ListTuningJobsRequest) -> tuple[datetime, str] | None:
    """(create_time, job_id) of the last job that the caller has seen; None for the first page."""
    if not request.page_token:
        return None
    try:
        time, job_id, digest = _CURSOR.validate_json(base64.urlsafe_b64decode(request.page_token.encode()))
    except (binascii.Error, ValidationError, UnicodeError) as error:
        raise InvalidInputError(
            "page_token: send one from the answer to an earlier list call", field="page_token"
        ) from error
    if digest != _filter_digest(request):
        raise InvalidInputError(
            "page_token: it is of a list with another filter; send states, labels, adapter_name and dataset_name as they were",
            field="page_token",
        )
    return time, job_id


def _filter_digest(request: pb.ListTuningJobsRequest) -> str:
    names: list[Any] = [request.adapter_name, request.dataset_name]
    names += [True] if request.at_provider else []  # so that tokens of an earlier version stay good
    return version_of(canonical_json([sorted(set(request.states)), dict(request.labels), *names]))


def job_message(job: Job) -> pb.TuningJob:
    message = _message(pb.TuningJob, job.model_dump(mode="json", exclude={"spec", "error"}))
    message.spec.CopyFrom(spec_message(job.spec))
    if job.remote_model:
        message.remote_model.version = job.remote_model.version
    if job.error and job.state is JobState.FAILED:
        message.error.CopyFrom(to_status(from_dict(job.error)))
    return message


def spec_message(spec: JobSpec) -> pb.TuningSpec:
    """With every default filled in. A choice that the proto has no value for (backend auto) stays unspecified."""
    return _message(pb.TuningSpec, spec.model_dump(mode="json") | {spec.method: spec.params})


def preview_message(spec: JobSpec, preview: Preview) -> pb.TuningJobPreview:
    message = _message(pb.TuningJobPreview, preview.model_dump(mode="json") | {"refused": preview.refused})
    message.spec.CopyFrom(spec_message(spec))
    return message


def event_message(event: JobEvent) -> pb.TuningJobEvent:
    return _message(pb.TuningJobEvent, event.model_dump(mode="json") | {"state_change": event.state})


def adapter_message(adapter: VersionRef) -> pb.AdapterRef:
    return pb.AdapterRef(name=adapter.name, version=adapter.version)


def checkpoint_message(checkpoint: CheckpointInfo) -> pb.CheckpointInfo:
    return _message(pb.CheckpointInfo, checkpoint.model_dump(mode="json"))


def _message(kind: type[Sent], fields: Mapping[str, Any]) -> Sent:
    """The message with a model's fields of the same names. Fields that the message lacks, and None, are left out."""
    message: Sent = kind()
    ParseDict(_json(message.DESCRIPTOR, fields), message)
    return message


def _json(kind: Descriptor, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields in the message's JSON form: an enum's word by its name there."""
    found = {}
    for name, value in fields.items():
        field = kind.fields_by_name.get(name)
        if field is None or value is None:
            continue
        if field.enum_type is not None:
            value = f"{field.enum_type.name}_{value}".upper()
            if value not in field.enum_type.values_by_name:
                continue
        elif isinstance(value, dict) and not field.message_type.GetOptions().map_entry:
            value = _json(field.message_type, value)
        elif isinstance(value, list) and field.message_type is not None:
            value = [_json(field.message_type, one) for one in value]
        found[name] = value
    return found


def moment(message: Message, field: str) -> datetime | None:
    """The time in a message's timestamp field; None if it is not set."""
    if not message.HasField(field):
        return None
    try:
        sent: datetime = getattr(message, field).ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(f"{field}: this is not a time that a calendar has ({error})", field=field) from error
    return sent
