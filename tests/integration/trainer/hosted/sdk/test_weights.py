"""Weights that a provider gives back: an adapter version like any other, or a warning that says why not."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from adapter_making import CONFIG, WEIGHTS, adapter_files, lora_arrays
from hosted_fakes import FAKES
from hosted_fakes.openai_shapes import NebiusShape
from hosted_fakes.server import Fault, serving
from hosted_fakes.together_tuning import TogetherTuning, tar_of
from integration.trainer.hosted.sdk.hosted_jobs import HostedJob

from burnish.adapters.base import BaseModel
from burnish.adapters.checks import check_folder, check_manifest
from burnish.layout import adapter as adapter_key
from burnish_trainer.artifacts import adapters
from burnish_trainer.executors.events import Succeeded

GIVING = [*(fake for fake in FAKES if fake.weights), NebiusShape]


@pytest.fixture(params=GIVING, ids=lambda fake: fake.provider)
def job(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HostedJob]:
    with serving(request.param()) as server:
        yield HostedJob(server, tmp_path)


def succeeded(job: HostedJob) -> Succeeded:
    final = job.run()
    assert isinstance(final, Succeeded)
    assert final.remote_model is not None
    return final


def test_they_become_an_adapter_version_with_its_lineage(job: HostedJob, tmp_path: Path) -> None:
    version = succeeded(job).adapter
    assert version is not None
    manifest = adapters.read_manifest(job.store, version)
    assert (manifest.backend, manifest.rank, manifest.alpha, manifest.base_model.name) == (
        job.fake.provider,
        8,
        8,
        "tiny",
    )
    assert {parent.kind for parent in manifest.parents} == {"dataset", "base_model", "job"}
    assert manifest.params["hosted"]["model"] == job.fake.model
    folder = adapters.fetch(job.store, version, tmp_path / "here")
    assert (folder / WEIGHTS).read_bytes() == job.fake.adapter[WEIGHTS], "to the byte"
    base = BaseModel.open(job.base)
    check_manifest(manifest, base, max_rank=8)
    check_folder(folder, manifest, base, max_rank=8)
    card = job.store.get(adapter_key(version.name, version.version, adapters.CARD)).decode()
    assert job.fake.provider in card


def test_they_are_the_version_that_the_same_files_trained_here_would_be(job: HostedJob, tmp_path: Path) -> None:
    version = succeeded(job).adapter
    assert version is not None
    local = tmp_path / "local"
    local.mkdir()
    for name, data in job.fake.adapter.items():
        (local / name).write_bytes(data)
    assert adapters.version_of_folder(local, "tiny") == version.version


def other_base(job: HostedJob) -> None:
    job.fake.adapter = adapter_files(rank=8, arrays=lora_arrays(8, hidden=24))


def no_weights(job: HostedJob) -> None:
    del job.fake.adapter[WEIGHTS]


def no_lora(job: HostedJob) -> None:
    job.fake.adapter[CONFIG] = b'{"peft_type": "IA3"}'


def diverged(job: HostedJob) -> None:
    arrays = lora_arrays(8)
    next(iter(arrays.values()))[0, 0] = float("nan")
    job.fake.adapter = adapter_files(rank=8, arrays=arrays)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (other_base, "has shape"),
        (no_weights, "it has no adapter_model.safetensors"),
        (no_lora, "adapter_config.json is none of a LoRA"),
        (diverged, "NaN"),
    ],
)
def test_what_does_not_fit_stays_there_and_is_told(job: HostedJob, change: Any, says: str) -> None:
    change(job)
    final = succeeded(job)
    assert final.adapter is None
    assert says in job.found["weights-not-usable"]
    assert f"stays at {job.fake.provider}" in job.found["weights-not-usable"]
    assert not list(job.store.list("adapters/"))


def hostile_tar() -> bytes:
    """Paths that leave the folder, and a link in place of the weights."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("../../escaped.txt", "/tmp/burnish-escaped.txt"):
            info = tarfile.TarInfo(name)
            info.size = 2
            tar.addfile(info, io.BytesIO(b"no"))
        link = tarfile.TarInfo(WEIGHTS)
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "archive", [b"", b"<html>", tar_of(adapter_files())[:300], hostile_tar()], ids=["empty", "html", "torn", "hostile"]
)
def test_an_archive_that_is_none_writes_nothing_outside(archive: bytes, tmp_path: Path) -> None:
    with serving(TogetherTuning()) as server:
        job = HostedJob(server, tmp_path / "job")
        job.fake.archive = archive
        assert succeeded(job).adapter is None
    assert "weights-not-usable" in job.found
    assert job.server.times(job.fake.weights) == 3, "it may have been the transfer"
    assert not list(tmp_path.glob("escaped*"))


def test_an_archive_may_be_zstandard(tmp_path: Path) -> None:
    import zstandard

    with serving(TogetherTuning()) as server:
        job = HostedJob(server, tmp_path)
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as tar:
            for name, data in job.fake.adapter.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        job.fake.archive = zstandard.ZstdCompressor().compress(plain.getvalue())
        assert succeeded(job).adapter is not None


def test_an_archive_larger_than_any_adapter_is_not_unpacked(tmp_path: Path) -> None:
    with serving(TogetherTuning()) as server:
        job = HostedJob(server, tmp_path)
        job.fake.archive = tar_of({WEIGHTS: bytes(40_000_000)})
        assert succeeded(job).adapter is None
    assert "which no adapter of this base has" in job.found["weights-not-usable"]


@pytest.mark.parametrize(("step", "phase"), [("upload", "uploading"), ("weights", "publishing")])
def test_a_slow_transfer_gives_signs_of_progress(job: HostedJob, step: str, phase: str) -> None:
    """Or the trainer would take it for one that hangs."""
    job.server.faults = [Fault(getattr(job.fake, step), seconds=0.5)]
    succeeded(job)
    assert job.phases.count(phase) >= 5  # type: ignore[arg-type]
