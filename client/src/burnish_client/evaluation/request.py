"""What one eval compares and how: `EvalRequest`, saved with its result, and `EvalInputs`, the data that it names.

The CLI, `train compare`, the demo and users of the SDK build both and hand them to `evaluate`. Nothing here asks a model.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_serializer
from pydantic.dataclasses import dataclass

from burnish.curation.benchmarks.building import build_benchmark
from burnish.errors import InvalidInputError
from burnish.grading import request_parameters
from burnish.jsonl import check_is_jsonl
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import Frozen, Message
from burnish.schemas.benchmark import BenchmarkManifest, BenchmarkQuestion
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.evaluation import JudgeCalibration
from burnish.schemas.runlog import FailureCluster, RunLogLine
from burnish.schemas.training.hosted import RemoteModelManifest
from burnish.verdict import Thresholds
from burnish_client.config.endpoints import ClientSettings
from burnish_client.sdk.transport.http import LOOPBACK

if TYPE_CHECKING:
    from burnish_client.sdk.curator import CuratorClient

MOST_CONCURRENCY = 256
PAGE_ROWS = 1000
BaselineName = Literal["few-shot", "nearest-few-shot", "schema", "choice", "prompt"]
STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=STRICT)
class Endpoint:
    """An OpenAI-compatible server, and how patient to be with it.

    url: with or without the trailing /v1. token: None sends no Authorization header. ca: PEM file of the authority that
    signed its certificate; None: the system's. Neither token nor ca is saved, nor credentials in the URL.
    timeout_seconds: of one request. attempts: most requests for one answer; the delay between them starts at
    first_delay_seconds and doubles up to 30 s. without: request parameters that it does not take (`seed`, `temperature`,
    …) and that are therefore not sent. max_tokens_name: what it calls `max_tokens`.
    """

    url: str
    token: str | None = Field(default=None, repr=False, exclude=True)
    timeout_seconds: float = 300.0
    attempts: int = 8
    first_delay_seconds: float = 0.5
    without: frozenset[str] = frozenset()
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    ca: Path | None = Field(default=None, exclude=True)

    @classmethod
    def from_settings(cls, settings: ClientSettings) -> Self:
        """The stack's own inference service."""
        return cls(settings.address("inference"), settings.secret_token(), ca=settings.ca)

    @property
    def is_local(self) -> bool:
        return urlsplit(self.base_url).hostname in LOOPBACK

    @property
    def base_url(self) -> str:
        return self.url.rstrip("/").removesuffix("/v1") + "/v1"

    @property
    def public_url(self) -> str:
        """The URL without a user name and password in it."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    @field_serializer("url")
    def _serialize_url(self, _url: str) -> str:
        return self.public_url

    @field_serializer("without")
    def _serialize_without(self, without: frozenset[str]) -> list[str]:
        return sorted(without)

    def parameters(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Of the wanted request parameters, those that this endpoint takes, under its names."""
        names = {"max_tokens": self.max_tokens_name}
        return {names.get(name, name): value for name, value in wanted.items() if name not in self.without}


@dataclass(frozen=True, config=STRICT)
class Sampling:
    """Parameters of every request. Sample i is asked with seed + i; seed None sends none.

    extra goes into the request body as it is (response_format, structured_outputs, …).
    """

    max_tokens: int = 256
    temperature: float = 0.0
    seed: int | None = 0
    extra: Mapping[str, Any] = Field(default_factory=dict)

    def body(self, sample: int, max_tokens: int | None = None) -> dict[str, Any]:
        """Request parameters of one sample; max_tokens overrides (a question's own budget)."""
        seed = {} if self.seed is None else {"seed": self.seed + sample}
        return {"max_tokens": max_tokens or self.max_tokens, "temperature": self.temperature, **seed, **self.extra}

    def of(self, question: BenchmarkQuestion, sample: int) -> dict[str, Any]:
        """Request parameters of one sample of a question: its own budget, and what its grader needs (log-probabilities)."""
        return {**self.body(sample, question.max_tokens), **request_parameters(question.grader)}


@dataclass(frozen=True, config=STRICT)
class BaselineSettings:
    """Which baselines are asked beside the two sides (none by default), and what they are made with.

    shots: examples before a question. prompt: own system prompt in place of the derived one. context_tokens: what the
    base takes, prompt and answer together; None: not known, and every example is sent. seed: of the examples' order.
    """

    names: tuple[BaselineName, ...] = ()
    shots: int = 4
    prompt: str | None = None
    context_tokens: int | None = None
    seed: int = 0


@dataclass(frozen=True, config=STRICT)
class JudgeSettings:
    """The model that judges, and where it is. max_tokens: of one judgement, its reason included."""

    endpoint: Endpoint
    model: str
    max_tokens: int = 512
    concurrency: int = 16


@dataclass(frozen=True, config=STRICT)
class Prices:
    """Money for a million tokens, in `currency`."""

    prompt: float
    completion: float
    currency: str = "USD"


class EvalRequest(Frozen):
    """What one eval compares and how it asks. Saved as request.json beside the result; no token is in it.

    The data that it names (questions, dataset, adapter, run log) is in the `EvalInputs` that go with it.
    """

    benchmark: str = Field(description="name/version")
    endpoint: Endpoint = Field(description="serves the candidate, and the base unless base_endpoint is given")
    base_model: str
    candidate_model: str
    base_endpoint: Endpoint | None = None
    adapter: str | None = Field(
        default=None, description="name@version, if the candidate is an adapter of the stack or a remote model"
    )
    dataset: str | None = Field(default=None, description="name/version: its split says what is targeted")
    targeted: tuple[str, ...] = Field(default=(), description="question ids, if there is no dataset")
    base_run_log: str | None = Field(default=None, description="id of the run log whose base answers are reused")
    base_samples: int = Field(default=2, ge=1, description="from two on, the noise between samples is measured")
    candidate_samples: int = Field(default=1, ge=1, description="of the candidate and of each baseline")
    sampling: Sampling = Sampling()
    concurrency: int = Field(default=MOST_CONCURRENCY, ge=1, description="most requests that an endpoint gets at once")
    baselines: BaselineSettings = BaselineSettings()
    forgetting: bool = Field(default=False, description="also ask the probe set of general skills")
    judge: JudgeSettings | None = Field(default=None, description="for questions whose grader is `judge`")
    calibration: JudgeCalibration | None = None
    thresholds: Thresholds = Thresholds()
    prices: dict[str, Prices] = Field(default={}, description="by side: base, candidate, arm:<name>, probe, judge")
    reproduce: str | None = Field(default=None, description="command that makes this eval again; None: `burnish eval`")

    def greedy_repeats(self) -> str | None:
        """A warning if the base is asked several times and always gives its likeliest answer; None if it is not."""
        if self.sampling.temperature > 0 or self.base_samples < 2:
            return None
        return (
            f"The base is asked {self.base_samples} times at temperature 0: it repeats its likeliest answer, so equal answers are no "
            "evidence of how steady it is; at most the engine's rounding shows. To measure its noise, let both sides sample, "
            "for example `--temperature 0.7 --samples 4 --candidate-samples 4`."
        )

    def command(self) -> str:
        """The command that makes this eval again, without tokens and paths of this machine."""
        if self.reproduce:
            return self.reproduce
        words = ["burnish eval", "--benchmark", self.benchmark.replace("/", "@")]
        if self.adapter:
            words += ["--adapter", self.adapter]
        else:
            base = self.base_endpoint or self.endpoint
            words += ["--candidate-url", self.endpoint.public_url, "--candidate-model", self.candidate_model]
            words += ["--base-url", base.public_url, "--base-model", self.base_model]
        if self.dataset:
            words += ["--dataset", self.dataset.replace("/", "@")]
        words += ["--samples", str(self.base_samples), "--seed", str(self.sampling.seed or 0)]
        if self.candidate_samples != 1:
            words += ["--candidate-samples", str(self.candidate_samples)]
        if self.sampling.temperature:
            words += ["--temperature", f"{self.sampling.temperature:g}"]
        if self.baselines.names:
            words += ["--control", ",".join(self.baselines.names)]
        return " ".join(words)


@plain_dataclass(frozen=True)
class Correction:
    """A row of the training split that was made from a correction: what was asked, and what should have been said."""

    question_id: str
    prompt: tuple[Message, ...]
    output: str


@plain_dataclass(frozen=True)
class EvalInputs:
    """The data that a request names. remote: if the candidate stays with its provider. clusters: those that the dataset corrects. corrections: examples for the baselines."""

    questions: Sequence[BenchmarkQuestion]
    dataset: DatasetManifest | None = None
    adapter: AdapterManifest | None = None
    remote: RemoteModelManifest | None = None
    clusters: Sequence[FailureCluster] = ()
    base_run_log: Sequence[RunLogLine] = ()
    corrections: Sequence[Correction] = ()


def endpoint_and_model(text: str, token: str | None, what: str) -> tuple[Endpoint, str]:
    """Endpoint and model of `URL#NAME`. what: the option, for the message of InvalidInputError."""
    url, sign, model = text.rpartition("#")
    if not sign or not model or not url.startswith(("http://", "https://")):
        raise InvalidInputError(f"{what} {text!r}: write URL#NAME, as in http://127.0.0.1:8000/v1#qwen", field=what)
    return Endpoint(url, token), model


def read_benchmark(
    source: str | Path, curator: CuratorClient | None = None
) -> tuple[BenchmarkManifest, list[BenchmarkQuestion]]:
    """A benchmark from a file (JSONL, or gzip of it) or, by `name` or `name@version`, from the curator.

    With a curator a file is imported first; the same questions are the same version. Without one, only the file is read.
    """
    path = Path(source)
    if curator is None:
        check_is_jsonl(path)
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        built = build_benchmark([content], name_of(path))
        return built.manifest, [BenchmarkQuestion.model_validate_json(line) for line in built.questions.splitlines()]
    if path.suffix in (".jsonl", ".gz") or path.is_file():
        manifest = curator.import_benchmark(path, name_of(path))
    else:
        name, _, version = str(source).replace("/", "@", 1).partition("@")
        manifest = curator.benchmark(name, version or None)
    return manifest, curator.benchmark_questions(manifest.name, manifest.version)


def name_of(path: Path) -> str:
    """`my-runs` for `My Runs.jsonl.gz`."""
    return path.name.removesuffix(".gz").removesuffix(".jsonl").lower().replace(" ", "-")


def targeted_by_slice(questions: Sequence[BenchmarkQuestion], slices: Sequence[str]) -> list[str]:
    """Ids of the questions in these slices. InvalidInputError for a slice that no question has."""
    known = {question.slice for question in questions}
    missing = sorted(set(slices) - known)
    if missing:
        raise InvalidInputError(
            f"no question has slice {missing[0]!r}: the benchmark has {', '.join(sorted(known))}",
            field="targeted_slice",
        )
    return [question.question_id for question in questions if question.slice in slices]


def run_log_rows(curator: CuratorClient, run_log_id: str) -> list[RunLogLine]:
    """Every row of a run log."""
    rows: list[RunLogLine] = []
    while True:
        page = curator.run_log_rows(run_log_id, offset=len(rows), limit=PAGE_ROWS)
        rows.extend(page.rows)
        if not page.rows or len(rows) >= page.total:
            return rows
