"""Google Vertex AI: tunes Gemini and keeps the result, as an endpoint.

Source: the wire of google-genai 3.6 (tunings) and google-cloud-storage 3.17. Rows go into the operator's bucket. A job's own id travels as a
label, and is found by that or by the file that it trains on, which is this job's alone.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import google.auth
import httpx
import httpx2
import requests
from google import genai
from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError
from google.cloud import storage
from google.genai import errors, types

from burnish.errors import PreconditionError, UnauthenticatedError
from burnish.schemas.training.hosted import PROVIDERS, ProviderName, RemoteModel
from burnish.schemas.training.job import JobSpec
from burnish_trainer.hosted.answers import Answer, Answers
from burnish_trainer.hosted.held import is_shown, remote_model, remove
from burnish_trainer.hosted.provider import Refused, RemoteJob
from burnish_trainer.hosted.record import Outcome, Record

OWN_ID = "burnish_job"  # a label of a job
FOLDER = "burnish/"  # of the bucket
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
NO_BUCKET_CALLS = (
    "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"  # else each call asks for the bucket too, by a thread, for traces
)
TIMEOUT_SECONDS = 60.0
UPLOAD_SECONDS = 900.0
PAGE = 100
METHODS = {"sft": types.TuningMethod.SUPERVISED_FINE_TUNING, "dpo": types.TuningMethod.PREFERENCE_TUNING}
SIZES = {1: "ONE", 2: "TWO", 4: "FOUR", 8: "EIGHT", 16: "SIXTEEN"}  # of an adapter, by its rank
SUCCEEDED, CANCELLED, FAILED = "JOB_STATE_SUCCEEDED", "JOB_STATE_CANCELLED", ("JOB_STATE_FAILED", "JOB_STATE_EXPIRED")


def connect(access: Mapping[str, str]) -> VertexTuning:
    """access: the variables of the provider, from the environment. PreconditionError if the credentials cannot be read."""
    declared = PROVIDERS["vertex"]
    os.environ[NO_BUCKET_CALLS] = "true"
    project, location, bucket = (access[name] for name in declared.settings)
    (store,) = declared.optional
    try:
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of files that others chose
            read: Any = google.auth.load_credentials_from_file
            credentials, _ = read(access[declared.key], scopes=SCOPES)
    except DefaultCredentialsError as error:
        raise PreconditionError(f"{declared.key}: {error}") from error
    place = {"project": project, "location": location, "credentials": credentials}
    return VertexTuning(place, bucket, access.get(declared.address) or None, access.get(store) or None)


class VertexTuning:
    """burnish_trainer.hosted.provider.Provider. An upload's id is its gs:// address; place: project, location, credentials."""

    name: ProviderName = "vertex"

    def __init__(self, place: Mapping[str, Any], bucket: str, base_url: str | None, store_url: str | None) -> None:
        options = types.HttpOptions(base_url=base_url, timeout=int(TIMEOUT_SECONDS * 1000))
        self._client = genai.Client(vertexai=True, http_options=options, **place)
        project, location, credentials = place["project"], place["location"], place["credentials"]
        self._base = (base_url or f"https://{location}-aiplatform.googleapis.com").rstrip("/")
        self._place = f"projects/{project}/locations/{location}"
        self.endpoint = f"{self._base}/{self._place}"
        self._store = storage.Client(
            project=project,
            credentials=credentials,
            client_options={"api_endpoint": store_url} if store_url else None,
        )
        self._bucket = self._store.bucket(bucket)
        silent = (httpx.HTTPError, httpx2.HTTPError, requests.RequestException, GoogleAuthError)
        status_errors = (errors.APIError, GoogleAPICallError)
        self._answers = Answers(
            "vertex", self.endpoint, lambda: credentials.token or "", status_errors, _answer, silent
        )

    def prepare(self, spec: JobSpec) -> Mapping[str, object]:
        """The adapter is the largest that Vertex has and that is not above the rank. The learning rate stays the provider's."""
        size = max(size for size in SIZES if size <= spec.lora.rank)
        own = {"epoch_count": round(spec.optimizer.epochs), "adapter_size": f"ADAPTER_SIZE_{SIZES[size]}"}
        return own | ({"beta": spec.params["beta"]} if spec.method == "dpo" else {})

    def uploads(self, job_id: str) -> Mapping[str, str]:
        with self._calls():
            blobs = self._store.list_blobs(
                self._bucket, prefix=f"{FOLDER}{job_id}", retry=None, timeout=TIMEOUT_SECONDS
            )
            return {blob.name.removeprefix(FOLDER): self._address(blob.name) for blob in blobs}

    def upload(self, name: str, file: Path) -> str:
        with self._calls():
            blob = self._bucket.blob(FOLDER + name)
            blob.upload_from_filename(file, "application/jsonl", retry=None, timeout=UPLOAD_SECONDS)
            return self._address(blob.name)

    def has_upload(self, upload_id: str) -> bool:
        return is_shown(self._calls, lambda: bool(self._blob(upload_id).exists(retry=None, timeout=TIMEOUT_SECONDS)))

    def discard(self, upload_id: str) -> None:
        remove(self._calls, lambda: self._blob(upload_id).delete(retry=None, timeout=TIMEOUT_SECONDS))

    def estimate(self, record: Record) -> float | None:
        return None

    def create(self, record: Record) -> RemoteJob:
        request, validation = record.request, record.uploads.get("validation")
        config = types.CreateTuningJobConfig(
            method=METHODS[request.method],
            tuned_model_display_name=request.suffix,
            labels={OWN_ID: record.job_id},
            validation_dataset=types.TuningValidationDataset(gcs_uri=validation) if validation else None,
            **request.hyperparameters,
        )
        with self._calls():
            job = self._client.tunings.tune(
                base_model=request.model,
                training_dataset=types.TuningDataset(gcs_uri=record.uploads["train"]),
                config=config,
            )
            return self._job(job)

    def find(self, record: Record) -> Sequence[RemoteJob]:
        with self._calls():
            jobs = self._client.tunings.list(config=types.ListTuningJobsConfig(page_size=PAGE))
            return [self._job(job) for job in jobs if _is_of(job, record)]

    def poll(self, remote_id: str) -> RemoteJob:
        with self._calls():
            return self._job(self._client.tunings.get(name=remote_id))

    def cancel(self, remote_id: str) -> None:
        with self._calls():
            self._client.tunings.cancel(name=remote_id)

    def close(self) -> None:
        self._client.close()
        self._store.close()

    def result(self, record: Record) -> RemoteModel:
        """model: the endpoint, by which Vertex's OpenAI-shaped API knows it."""
        return remote_model(record, f"{self._base}/v1/{self._place}/endpoints/openapi")

    def fetch(self, record: Record, folder: Path, limit_bytes: int) -> bool:
        return False

    @contextmanager
    def _calls(self) -> Iterator[None]:
        """The SDK warns of words that it does not know, and that it may change; neither is our business."""
        with warnings.catch_warnings(action="ignore", category=Warning), self._answers.translated():
            try:
                yield
            except RefreshError as error:
                if error.retryable:
                    raise
                message = self._answers.without_secret(str(error))
                raise Refused(self._answers.refusal(UnauthenticatedError, message)) from error

    def _address(self, name: str) -> str:
        return f"gs://{self._bucket.name}/{name}"

    def _blob(self, address: str) -> Any:
        return self._bucket.blob(address.removeprefix(self._address("")))

    def _job(self, job: types.TuningJob) -> RemoteJob:
        if not job.name or job.state is None:
            raise ValueError("a job without a name or a state")
        state, outcome = str(job.state.value), None
        if state == SUCCEEDED:
            if job.tuned_model is None or not job.tuned_model.endpoint:
                raise ValueError("a job that has succeeded without an endpoint")
            outcome = Outcome(state="succeeded", model=job.tuned_model.endpoint)
        elif state in FAILED:
            message = job.error.message if job.error else None
            outcome = Outcome(state="failed", message=self._answers.without_secret(message or "it says no more"))
        elif state == CANCELLED:
            outcome = Outcome(state="cancelled")
        return RemoteJob(job.name, self._answers.without_secret(state), outcome, _files(job))


def _answer(error: Any) -> Answer:
    response = error.response
    return Answer(int(error.code), str(error.message), response.headers if response is not None else {})


def _files(job: types.TuningJob) -> list[str]:
    spec = job.supervised_tuning_spec or job.preference_optimization_spec
    found = (spec.training_dataset_uri, spec.validation_dataset_uri) if spec else ()
    return [file for file in found if file]


def _is_of(job: types.TuningJob, record: Record) -> bool:
    return (job.labels or {}).get(OWN_ID) == record.job_id or bool(set(_files(job)) & set(record.every_upload))
