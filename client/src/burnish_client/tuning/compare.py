"""Datasets, jobs and results of a comparison of methods: one split for all, ordinary jobs found again by label."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from burnish.digests import canonical_json, version_of
from burnish.errors import InvalidInputError, PreconditionError
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import Frozen
from burnish.schemas.dataset import DatasetFormat, DatasetManifest, DatasetSpec
from burnish.schemas.evaluation import JudgeCalibration
from burnish.schemas.methods import METHODS, Method
from burnish.verdict import Thresholds, name_some
from burnish_client.evaluation.comparison import Evaluation
from burnish_client.evaluation.forgetting import BASE_ANSWERS, BASE_TEXTS
from burnish_client.sdk.curator import CuratorClient
from burnish_client.sdk.trainer import TrainerClient, job_state, to_dict
from burnish_client.tuning.recommendation import MethodResult, claims_of
from burnish_client.tuning.search_space import Value, has_parameter, make_spec, parse_values
from burnish_protos.trainer.v1.trainer_pb2 import TuningJob, TuningSpec

SPLIT_FIELDS = ("targeted", "held_out", "train", "validation")  # anchors are mixed in by some formats only


class PlannedMethod(Frozen):
    """One method, its dataset, and what it is trained with beside the defaults."""

    method: Method
    dataset: DatasetManifest
    adapter: str
    values: dict[str, Value]

    def spec(self) -> TuningSpec:
        return make_spec(
            self.method,
            dataset=self.dataset.name,
            version=self.dataset.version,
            adapter=self.adapter,
            values=self.values,
        )


def methods_of(text: str) -> list[Method]:
    """`sft,dpo`: two or more methods, each once. Raises InvalidInputError."""
    names = [word.strip() for word in text.split(",") if word.strip()]
    found: list[Method] = [method for name in names for method in METHODS if method == name]
    if len(found) < max(len(names), 2) or len(set(found)) < len(found):
        raise InvalidInputError(
            f"--methods {text!r}: name two or more of {', '.join(METHODS)}, each once, with commas", field="methods"
        )
    return found


def values_by_method(words: Sequence[str], methods: Sequence[Method], seed: int) -> dict[Method, dict[str, Value]]:
    """`epochs=2` for all methods that have it, `dpo.beta=0.2` for one; the seed is every training's.

    Raises InvalidInputError for a value that no method takes, and as `parse_values`.
    """
    found: dict[Method, dict[str, Value]] = {method: {"seed": seed} for method in methods}
    for word in words:
        prefix, dot, rest = word.partition(".")
        chosen = [method for method in methods if method == prefix] if dot and prefix in METHODS else list(methods)
        word = rest if dot and prefix in METHODS else word
        name = word.partition("=")[0].strip().replace("-", "_")
        having = [method for method in chosen if has_parameter(name, method)]
        if not having:
            raise InvalidInputError(f"--param {word}: none of {', '.join(chosen or methods)} has it", field=name)
        for method in having:
            found[method] |= parse_values([word], method)
    return found


def adapter_name_of(label: str) -> str:
    """An adapter name from a label, with room for a method's."""
    return re.sub(r"[^a-z0-9._-]+", "-", label.lower()).strip("-._")[:40].rstrip("-._") or "compared"


def plan_methods(
    curator: CuratorClient, values: Mapping[Method, dict[str, Value]], spec: DatasetSpec
) -> list[PlannedMethod]:
    """A dataset version a format, from the same run log, corrections, shares and seed. PreconditionError if the splits differ.

    KTO gets no row of a question without a correction, since the other formats have none.
    values: of each method. spec: its name is what the names of datasets and adapters begin with; its format is not looked at.
    """
    built: dict[DatasetFormat, DatasetManifest] = {}
    for format in dict.fromkeys(METHODS[method].format for method in values):
        built[format] = curator.build_dataset(
            spec.model_copy(update={"name": f"{spec.name}-{format}", "format": format, "uncorrected": False})
        )
    check_same_split(list(built.values()))
    return [
        PlannedMethod(
            method=method, dataset=built[METHODS[method].format], adapter=f"{spec.name}-{method}", values=given
        )
        for method, given in values.items()
    ]


def check_same_split(datasets: Sequence[DatasetManifest]) -> None:
    """Raise PreconditionError, naming questions, unless all hold out, train and validate on the same ones."""
    first = datasets[0]
    for other in datasets[1:]:
        for field in SPLIT_FIELDS:
            here, there = set(getattr(first.split, field)), set(getattr(other.split, field))
            if here != there:
                raise PreconditionError(
                    f"datasets {first.name}@{first.version} and {other.name}@{other.version} do not have the same split: "
                    f"{len(here ^ there)} questions are {field.replace('_', ' ')} in one only ({name_some(sorted(here ^ there))}). "
                    "Corrections were imported meanwhile: run the same command again",
                    field=field,
                )


def compare_id(planned: Sequence[PlannedMethod], benchmark: str) -> str:
    """Fixed by what is trained and what it is asked: the same command finds its own jobs again."""
    specs = [to_dict(method.spec()) for method in planned]
    return version_of(canonical_json([benchmark, specs]))[:12]


def start_jobs(
    trainer: TrainerClient, planned: Sequence[PlannedMethod], compared: str, *, retry: bool
) -> dict[Method, str]:
    """Method -> job id: the newest job of this comparison, or a new one if there is none.

    retry: also if the newest has failed or was cancelled. Request ids count the tries, so that a command that was
    killed and run again queues nothing twice.
    """
    jobs: dict[Method, str] = {}
    for method in planned:
        labels = {"compare": compared, "method": method.method}
        before = trainer.list_jobs(labels=labels)
        again = retry and before and job_state(before[0].state) in ("failed", "cancelled")
        if before and not again:
            jobs[method.method] = before[0].job_id
            continue
        request_id = f"compare-{compared}-{method.method}-{len(before) + 1}"
        jobs[method.method] = trainer.create_job(method.spec(), request_id, labels=labels).job_id
    return jobs


def share_probe(earlier: Sequence[Path], out: Path) -> None:
    """Copy the base's probe answers and text scores from the folder of an earlier method, so that it is asked once."""
    out.mkdir(parents=True, exist_ok=True)
    for name in (BASE_ANSWERS, BASE_TEXTS):
        found = [folder / name for folder in earlier if (folder / name).is_file()]
        if found and not (out / name).exists():
            shutil.copy(found[0], out / name)


def method_result(
    method: PlannedMethod,
    job: TuningJob,
    done: Evaluation | None = None,
    adapter: AdapterManifest | None = None,
    limits: Thresholds | None = None,
    calibration: JudgeCalibration | None = None,
) -> MethodResult:
    """What came of a method: of its eval and its adapter, or, without them, why its job has no adapter."""
    dataset = f"{method.dataset.name}@{method.dataset.version}"
    known = MethodResult(method=method.method, dataset=dataset, job_id=job.job_id, failure=failure_of(job))
    if done is None or adapter is None:
        return known
    improved, broke = claims_of(done.base_rows, done.candidate_rows, limits or Thresholds(), calibration)
    # as measured over all attempts; of an older trainer, as the run itself counted
    measured, training = adapter.measured, adapter.training
    return known.model_copy(
        update={
            "adapter": f"{adapter.name}@{adapter.version}",
            "eval_id": done.manifest.id,
            "folder": str(done.folder),
            "verdict": done.verdict,
            "improved": improved,
            "broke": broke,
            "seconds": measured.seconds if measured else training.duration_seconds,
            "peak_memory_bytes": (measured or training).peak_memory_bytes,
        }
    )


def failure_of(job: TuningJob) -> str | None:
    """Why there is no adapter; None if there is one."""
    state = job_state(job.state)
    if state == "succeeded":
        return None
    return f"training failed: {job.error.message}" if state == "failed" else f"its job {job.job_id} was {state}"
