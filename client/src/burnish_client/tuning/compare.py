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
from burnish.schemas.training.hosted import LOCAL, PROVIDERS, HostedSpec, RemoteModelManifest
from burnish.schemas.training.methods import METHODS, Method
from burnish.verdict import Thresholds, name_some
from burnish_client.evaluation.comparison import Evaluation
from burnish_client.evaluation.forgetting import BASE_ANSWERS, BASE_TEXTS
from burnish_client.sdk.curator import CuratorClient
from burnish_client.sdk.trainer import TrainerClient, job_state, to_dict
from burnish_client.tuning.recommendation import MethodResult, claims_of
from burnish_client.tuning.search_space import Value, has_parameter, make_spec, parse_values
from burnish_protos.trainer.v1.trainer_pb2 import TuningJob, TuningSpec

MOST_NAME = 100  # a label's value has 128 characters at most
SPLIT_FIELDS = ("targeted", "held_out", "train", "validation")  # anchors are mixed in by some formats only


class PlannedMethod(Frozen):
    """One method, its dataset, what it is trained with beside the defaults, and the provider that trains it; None: the trainer itself."""

    method: Method
    dataset: DatasetManifest
    adapter: str
    values: dict[str, Value]
    hosted: HostedSpec | None = None

    @property
    def name(self) -> str:
        """`sft`, or `sft-on-openai-gpt-4.1-nano`: in tables, labels and folders."""
        if self.hosted is None:
            return self.method
        return f"{self.method}-on-{self.hosted.provider}-{_slug(self.hosted.model)}"[:MOST_NAME]

    @property
    def place(self) -> str:
        return LOCAL if self.hosted is None else f"{self.hosted.provider}:{self.hosted.model}"

    def spec(self) -> TuningSpec:
        return make_spec(
            self.method,
            dataset=self.dataset.name,
            version=self.dataset.version,
            adapter=self.adapter,
            values=self.values,
            hosted=self.hosted,
        )


def methods_of(text: str, places: int = 1) -> list[Method]:
    """`sft,dpo`: methods, each once; two or more, unless they are trained in several places. Raises InvalidInputError."""
    least, names = (2 if places == 1 else 1), [word.strip() for word in text.split(",") if word.strip()]
    found: list[Method] = [method for name in names for method in METHODS if method == name]
    if len(found) < max(len(names), least) or len(set(found)) < len(found):
        raise InvalidInputError(
            f"--methods {text!r}: name {'two or more' if least == 2 else 'some'} of {', '.join(METHODS)}, each once, with commas",
            field="methods",
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
    return _slug(label)[:40].rstrip("-._") or "compared"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")


def check_places(places: Sequence[HostedSpec | None], methods: Sequence[Method]) -> None:
    """Raise InvalidInputError for a place that is named twice, and for a provider that does not train one of the methods."""
    if len(set(places)) < len(places):
        raise InvalidInputError("--on: name each place once", field="on")
    for hosted in filter(None, places):
        known = PROVIDERS[hosted.provider].methods
        if others := [method for method in methods if method not in known]:
            raise InvalidInputError(
                f"{hosted.provider} trains {' and '.join(known)} only: leave {', '.join(others)} out of --methods",
                field="methods",
            )


def plan_methods(
    curator: CuratorClient,
    values: Mapping[Method, dict[str, Value]],
    spec: DatasetSpec,
    places: Sequence[HostedSpec | None] = (None,),
) -> list[PlannedMethod]:
    """A dataset version a format, from the same run log, corrections, shares and seed. PreconditionError if the splits differ.

    KTO gets no row of a question without a correction, since the other formats have none.
    places: that train each method; a provider gets the values that it takes. values: of each method. spec: its name is what the names of datasets and adapters begin with; its format is not looked at.
    """
    built: dict[DatasetFormat, DatasetManifest] = {}
    for format in dict.fromkeys(METHODS[method].format for method in values):
        built[format] = curator.build_dataset(
            spec.model_copy(
                update={"name": f"{spec.name}-{format}", "format": format, "uncorrected": False, "preferences": False}
            )
        )
    check_same_split(list(built.values()))
    return [
        PlannedMethod(
            method=method,
            dataset=built[METHODS[method].format],
            adapter=f"{spec.name}-{method}" + (f"-{hosted.provider}" if hosted else ""),
            values=taken_by(hosted, given),
            hosted=hosted,
        )
        for method, given in values.items()
        for hosted in places
    ]


def taken_by(hosted: HostedSpec | None, values: Mapping[str, Value]) -> dict[str, Value]:
    """Those of the values that the place takes."""
    if hosted is None:
        return dict(values)
    taken = {path.rpartition(".")[2] for path in PROVIDERS[hosted.provider].parameters}
    return {name: value for name, value in values.items() if name in taken}


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
) -> dict[str, str]:
    """Name -> job id: the newest job of this comparison, or a new one if there is none.

    retry: also if the newest has failed or was cancelled. Request ids count the tries, so that a command that was
    killed and run again queues nothing twice.
    """
    jobs: dict[str, str] = {}
    for method in planned:
        labels = {"compare": compared, "method": method.name}
        before = trainer.list_jobs(labels=labels)
        again = retry and before and job_state(before[0].state) in ("failed", "cancelled")
        if before and not again:
            jobs[method.name] = before[0].job_id
            continue
        request_id = f"compare-{compared}-{method.name}-{len(before) + 1}"
        jobs[method.name] = trainer.create_job(method.spec(), request_id, labels=labels).job_id
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
    adapter: AdapterManifest | RemoteModelManifest | None = None,
    limits: Thresholds | None = None,
    calibration: JudgeCalibration | None = None,
) -> MethodResult:
    """What came of a method: of its eval and its adapter, or, without them, why its job has no adapter."""
    known = MethodResult(
        method=method.name,
        place=method.place,
        dataset=f"{method.dataset.name}@{method.dataset.version}",
        job_id=job.job_id,
        failure=failure_of(job),
        cost_usd=job.estimate.cost_usd if job.estimate.HasField("cost_usd") else None,
    )
    if done is None or adapter is None:
        return known
    improved, broke = claims_of(done.base_rows, done.candidate_rows, limits or Thresholds(), calibration)
    seconds, peak_memory_bytes = _took(job, adapter)
    return known.model_copy(
        update={
            "adapter": f"{adapter.name}@{adapter.version}",
            "eval_id": done.manifest.id,
            "folder": str(done.folder),
            "verdict": done.verdict,
            "improved": improved,
            "broke": broke,
            "seconds": seconds,
            "peak_memory_bytes": peak_memory_bytes,
        }
    )


def _took(job: TuningJob, adapter: AdapterManifest | RemoteModelManifest) -> tuple[float, int | None]:
    """Seconds and bytes of the training. Of a remote model, from its job's start to its end, the provider's own queue included."""
    if isinstance(adapter, RemoteModelManifest):
        return (job.end_time.ToDatetime() - job.start_time.ToDatetime()).total_seconds(), None
    # as measured over all attempts; of an older trainer, as the run itself counted
    measured, training = adapter.measured, adapter.training
    return measured.seconds if measured else training.duration_seconds, (measured or training).peak_memory_bytes


def failure_of(job: TuningJob) -> str | None:
    """Why there is no adapter; None if there is one."""
    state = job_state(job.state)
    if state == "succeeded":
        return None
    return f"training failed: {job.error.message}" if state == "failed" else f"its job {job.job_id} was {state}"
