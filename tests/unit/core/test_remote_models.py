"""Remote models as the store has them: a version each, read back newest first, held by evaluations, and holding their job."""

from __future__ import annotations

import pytest
from unit.trainer.made import job_spec, put_dataset, sft_rows

from burnish import layout
from burnish.errors import HeldError, NotFoundError
from burnish.objectstores.memory import MemoryObjectStore
from burnish.registry import remote_models
from burnish.registry.holding import Thing
from burnish.registry.removal import check_free, remove
from burnish.schemas.base import Parent
from burnish.schemas.evaluation import EvalManifest
from burnish.schemas.training.hosted import RemoteModel
from burnish.schemas.training.job import JobSpec

HOSTED = {"provider": "openai", "model": "gpt-4.1-nano", "spend_limit_usd": 1}
FIRST = RemoteModel(provider="openai", endpoint="http://there/v1", model="ft:1", base_model="gpt-4.1-nano")
SECOND = FIRST.model_copy(update={"model": "ft:2"})


@pytest.fixture
def store() -> MemoryObjectStore:
    return MemoryObjectStore()


@pytest.fixture
def spec(store: MemoryObjectStore) -> JobSpec:
    return job_spec(put_dataset(store, sft_rows(12)), hosted=HOSTED)


def test_a_model_is_one_version_however_often_it_is_recorded(store: MemoryObjectStore, spec: JobSpec) -> None:
    once = remote_models.record(store, "job-1", spec, FIRST)
    assert remote_models.record(store, "job-1", spec, FIRST) == once
    other = remote_models.record(store, "job-2", spec, SECOND)
    assert [found.version for found in remote_models.versions(store)] == [other.version, once.version]
    assert remote_models.read(store, once.name, "latest").remote == SECOND
    found = remote_models.read(store, once.name, once.version)
    assert (found.remote, found.job_id, found.version) == (FIRST, "job-1", FIRST.version)
    assert {(parent.kind, parent.name) for parent in found.parents} == {
        ("dataset", spec.dataset.name),
        ("base_model", "openai:gpt-4.1-nano"),
        ("job", "job-1"),
    }


@pytest.mark.parametrize("name", ["none", "../adapters"])
def test_one_that_is_not_there_is_named(store: MemoryObjectStore, name: str) -> None:
    for version in ("latest", "0" * 16):
        with pytest.raises(NotFoundError, match="there is no"):
            remote_models.read(store, name, version)


def test_it_holds_its_job_and_its_dataset_and_is_held_by_its_evals(store: MemoryObjectStore, spec: JobSpec) -> None:
    ref = remote_models.record(store, "job-1", spec, FIRST)
    for thing in (Thing("job", "job-1", "job-1"), Thing("dataset", spec.dataset.name, spec.dataset.version)):
        with pytest.raises(HeldError, match=f"remote model {ref.name}@{ref.version}"):
            check_free(store, thing)
    parents = [Parent(kind="remote_model", name=ref.name, digest=ref.version)]
    made = EvalManifest(
        id="e1", base_model="b", candidate_model="ft:1", benchmark="x/1", verdict="ship", parents=parents
    )
    store.put(layout.evaluation("e1"), made.model_dump_json().encode())
    model = Thing("remote_model", ref.name, ref.version)
    with pytest.raises(HeldError, match="eval e1"):
        remove(store, model)
    store.delete(layout.evaluation("e1"))
    remove(store, model)
    check_free(store, Thing("job", "job-1", "job-1"))
    assert remote_models.versions(store) == []
