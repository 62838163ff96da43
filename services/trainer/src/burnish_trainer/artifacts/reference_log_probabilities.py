"""Log-probabilities of a reference model over all sequences of a run, kept in the object store for every later run.

DPO and KTO hold the policy against a model that never changes, so its log-probabilities never change either. What is stored
is trusted only as far as its digests reach. The worker computes, writes and reads them (worker/loop/reference_pass.py);
preflight asks whether they are there already.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from burnish.digests import canonical_json, sha256_hex, version_of
from burnish.errors import AlreadyExistsError, CorruptDataError, NotFoundError
from burnish.layout import MANIFEST
from burnish.layout import reference as reference_key
from burnish.objectstores.verified import get_verified
from burnish.ports import ObjectStore
from burnish.schemas.base import BaseModelRef, FileEntry, Frozen, Manifest, Parent
from burnish.schemas.training.hyperparameters import Quantization
from burnish.schemas.training.job import JobSpec
from burnish_trainer.data.tokens import Example, Tokenizer

PASS = 2  # raised if the pass computes something else
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
    """Of a completion given its prompt, summed over its tokens, in nats. values: by `sequence_key`."""

    values: dict[str, float]

    def of(self, example: Example) -> float:
        return self.values[sequence_key(example)]


def sequence_key(example: Example) -> str:
    """Digest of a sequence and of where its completion begins."""
    return version_of(canonical_json([example.prompt_tokens, example.ids]))


def digest_of_keys(keys: Iterable[str]) -> str:
    return version_of(*(key.encode() for key in sorted(keys)))


def digest_of_template(tokenizer: Tokenizer) -> str:
    return sha256_hex(str(tokenizer.chat_template).encode())


def read(store: ObjectStore, inputs: ReferenceInputs) -> LogProbabilities | None:
    """None if there are none. CorruptDataError if what is stored is not whole."""
    key = reference_key(inputs.digest)
    try:
        text = store.get(key)
    except NotFoundError:
        return None
    try:
        manifest = ReferenceManifest.model_validate_json(text)
        data = get_verified(store, reference_key(inputs.digest, manifest.files[0].path), manifest.files[0])
    except (ValidationError, IndexError, NotFoundError) as error:
        raise CorruptDataError(f"{key}, or the file that it names, cannot be read", key=key) from error
    values = dict(json.loads(line) for line in data.splitlines())
    if manifest.inputs != inputs or digest_of_keys(values) != inputs.sequences:
        raise CorruptDataError(f"{key} is of other inputs or sequences", key=key)
    return LogProbabilities(values)


def write(
    store: ObjectStore,
    inputs: ReferenceInputs,
    values: Mapping[str, float],
    base_model: BaseModelRef,
    spec: JobSpec,
    job_id: str,
    replacing: bool,
) -> LogProbabilities:
    """The file has its digest in its name, so that two writers never mix; then the manifest, which the first of them wins.

    replacing: overwrite the manifest, since what it names is damaged. Returns what is stored now: another job's values if
    that job was quicker.
    """
    data = b"".join(canonical_json([key, value]) + b"\n" for key, value in sorted(values.items()))
    digest = sha256_hex(data)
    file = f"log-probabilities-{digest[:16]}.jsonl"
    manifest = ReferenceManifest(
        digest=inputs.digest,
        inputs=inputs,
        sequences=len(values),
        parents=[
            Parent(kind="base_model", name=base_model.name, digest=base_model.digest),
            Parent(kind="dataset", name=spec.dataset.name, digest=spec.dataset.version),
            Parent(kind="job", name=job_id, digest=job_id),
        ],
        files=[FileEntry(path=file, size_bytes=len(data), sha256=digest)],
    )
    store.put(reference_key(inputs.digest, file), data)
    text = canonical_json(manifest.model_dump(mode="json"))
    own = LogProbabilities(dict(values))
    if replacing:
        store.put(reference_key(inputs.digest), text)
        return own
    try:
        store.put_if_absent(reference_key(inputs.digest), text)
    except AlreadyExistsError:
        return read(store, inputs) or own
    return own


def is_stored(store: ObjectStore, spec: JobSpec, base_model: BaseModelRef, tokenizer: Tokenizer) -> bool:
    """Whether an earlier job has made a DPO job's pass, by what the manifests say, so that it costs nothing.

    False for KTO, whose sequences depend on the order too: its pass may turn out free.
    """
    if spec.method != "dpo":
        return False
    initial = spec.params.get("initial_adapter")
    asked = (base_model.digest, initial["version"] if initial else None, spec.quantization)
    template = digest_of_template(tokenizer)
    for manifest in _manifests(store):
        inputs = manifest.inputs
        if (
            (inputs.base_model, inputs.adapter, inputs.quantization) == asked
            and inputs.chat_template == template
            and any(parent.kind == "dataset" and parent.digest == spec.dataset.version for parent in manifest.parents)
        ):
            return True
    return False


def _manifests(store: ObjectStore) -> Sequence[ReferenceManifest]:
    """Those that can be read; the worker tells of the others when it comes to read them."""
    manifests = []
    for info in store.list(f"{FOLDER}/"):
        if info.key.endswith(f"/{MANIFEST}"):
            try:
                manifests.append(ReferenceManifest.model_validate_json(store.get(info.key)))
            except ValidationError:
                continue
    return manifests
