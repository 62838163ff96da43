"""The whole comparison: a request and its inputs in; a folder with rows, verdict, report and postmortem out.

`evaluate` reads from top to bottom: planned, asked, graded, decided, written.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from burnish.errors import InvalidInputError
from burnish.extras import require
from burnish.grading import needs
from burnish.reporting.meta import ReportMeta
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import DatasetManifest, Split
from burnish.schemas.evaluation import Cost, EvalManifest, EvalRow, Forgetting, Verdict
from burnish.schemas.training.hosted import RemoteModelManifest
from burnish.verdict import decide, name_some
from burnish_client.evaluation import output
from burnish_client.evaluation.asking.answers import AnswerCache, model_digest_of
from burnish_client.evaluation.asking.ask import ProgressCallback, Side, ask_sides
from burnish_client.evaluation.baselines import Baseline, plan_baselines, read_corrections
from burnish_client.evaluation.forecast import ForecastCallback, forecast
from burnish_client.evaluation.forgetting import forgetting_sentence, measure_forgetting, probe_answers
from burnish_client.evaluation.grade import check_questions, eval_rows, reuse_run_log
from burnish_client.evaluation.judging.calibration import check_calibration
from burnish_client.evaluation.judging.judge import Judged, judge_digests, judge_sides
from burnish_client.evaluation.output import BASE, CANDIDATE
from burnish_client.evaluation.request import Endpoint, EvalInputs, EvalRequest, JudgeSettings, run_log_rows
from burnish_client.sdk.curator import CuratorClient


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` made. folder holds the files that the manifest names."""

    verdict: Verdict
    manifest: EvalManifest
    folder: Path
    base_rows: list[EvalRow]
    candidate_rows: list[EvalRow]
    baseline_rows: dict[str, list[EvalRow]]
    reused_base_answers: int
    costs: list[Cost]
    forgetting: Forgetting | None = None


def read_inputs(
    request: EvalRequest,
    questions: Sequence[BenchmarkQuestion],
    curator: CuratorClient | None,
    dataset: DatasetManifest | None,
    adapter: AdapterManifest | None,
    remote: RemoteModelManifest | None = None,
) -> EvalInputs:
    """The data that a request names: of a dataset its failure clusters and, for baselines, its corrections; the run log's rows."""
    inputs = EvalInputs(questions, dataset, adapter, remote)
    if curator and dataset:
        found = curator.diagnosis(dataset.spec.run_log_id).clusters
        inputs = replace(inputs, clusters=[cluster for cluster in found if cluster.label in dataset.spec.labels])
        if request.baselines.names:
            train = b"".join(curator.export_dataset(dataset.name, dataset.version, "rows"))
            inputs = replace(inputs, corrections=read_corrections(train, dataset.spec.format))
    if curator and request.base_run_log:
        inputs = replace(inputs, base_run_log=run_log_rows(curator, request.base_run_log))
    return inputs


async def evaluate(
    request: EvalRequest,
    inputs: EvalInputs,
    *,
    out: Path,
    cache: Path | None = None,
    progress: ProgressCallback | None = None,
    foretell: ForecastCallback | None = None,
) -> Evaluation:
    """Compare the candidate with the base on a benchmark, and write FILES and one file for each baseline into `out`.

    Who is targeted: the dataset's split says; without a dataset `request.targeted`, else the questions' own marks
    (`extra.targeted` is true). Base answers in `inputs.base_run_log` (same model, prompt and sampling, see
    `reuse_run_log`) are not asked again. Answers are logged in `out`/answers-*.jsonl as they come: the same call after a
    kill asks only what is missing. The eval's id is the digest of the rows of all sides and of what was compared on what.

    cache: a folder in which runs share answers; used if `inputs.adapter` is given and both sides share an endpoint,
    since its digests pin both models. progress: of the questions, then of judge and probe set, each with its own total.
    foretell: called once before anything is asked.

        >>> questions = read_benchmark("files.jsonl")[1]
        >>> request = EvalRequest(benchmark="files/1", endpoint=Endpoint(url), base_model="base", candidate_model="tuned")
        >>> done = asyncio.run(evaluate(request, EvalInputs(questions), out=Path("result")))
        >>> done.verdict.verdict
        'ship'

    Raises InvalidInputError for a benchmark whose graders do not work on their own expected answers, which has none
    of the dataset's held-out questions, or if nothing says what is targeted, LeakageError for a baseline whose
    examples an evaluation may not show, PreconditionError for a calibration of another judge or without scipy,
    AlreadyExistsError if `out` has another eval, before anything is asked; and what `ask_sides` and `decide` raise.
    """
    require("scipy")
    questions, dataset, judge = inputs.questions, inputs.dataset, request.judge
    _check_named(request, inputs)
    check_questions(questions)
    check_judge(questions, judge)
    digests = judge_digests(questions, judge.model) if judge else set()
    if request.calibration:
        check_calibration(request.calibration, digests)
    split = split_of(questions, dataset, request.targeted)
    planned = plan_baselines(
        request.baselines,
        questions,
        split if dataset else None,
        inputs.corrections,
        max_tokens=request.sampling.max_tokens,
    )
    baselines = [baseline for baseline in planned if baseline.not_applicable is None]
    _check_baselines(baselines, request.base_endpoint or request.endpoint)
    output.check_folder(out, request)

    sides = _sides(request, inputs, baselines, out)
    if foretell:
        foretell(forecast(sides.values(), questions, request.sampling))
    with AnswerCache(cache) if cache else nullcontext() as shared:
        answers = await ask_sides(
            list(sides.values()),
            questions,
            sampling=request.sampling,
            concurrency=request.concurrency,
            progress=progress,
            cache=shared,
        )

    judged = Judged([{} for _ in sides])
    if judge and digests:
        judged = await judge_sides(questions, answers, judge, out / "answers-judge.jsonl", progress)
    files = [BASE, CANDIDATE, *(baseline.file for baseline in baselines)]
    rows = {
        file: eval_rows(questions, given, split, judgements)
        for file, given, judgements in zip(files, answers, judged.judgements, strict=True)
    }

    verdict = decide(
        rows[BASE],
        rows[CANDIDATE],
        thresholds=request.thresholds,
        calibration=request.calibration,
        baselines={baseline.name: (baseline.what, rows[baseline.file]) for baseline in baselines},
    )
    warnings = list(dataset.warnings) if dataset else []
    warnings += [repeats] if (repeats := request.greedy_repeats()) else []
    warnings += [f"Baseline `{b.name}` is not applicable: {b.not_applicable}." for b in planned if b.not_applicable]
    provider = inputs.remote.remote.label if inputs.remote else None
    verdict = verdict.model_copy(update={"warnings": [*verdict.warnings, *warnings], "provider": provider})
    forgetting = None
    if request.forgetting:
        with AnswerCache(cache) if cache else nullcontext() as shared:
            forgetting = await measure_forgetting(
                sides["base"].endpoint,
                request.base_model,
                request.candidate_model,
                out,
                candidate_endpoint=request.endpoint,
                digests=(sides["base"].digest, sides["candidate"].digest),
                cache=shared,
                concurrency=request.concurrency,
                progress=progress,
            )
        if warning := forgetting_sentence(forgetting):
            verdict = verdict.model_copy(update={"warnings": [*verdict.warnings, warning]})

    asked = dict(zip(sides, answers, strict=True))
    asked |= {"judge": judged.replies} if judged.replies else {}
    asked |= {"probe": probe_answers(out)} if forgetting else {}
    compared = [request.base_model, request.candidate_model, request.benchmark, dataset.version if dataset else ""]
    meta = ReportMeta(
        eval_id=output.eval_id(rows, compared),
        base_model=request.base_model,
        candidate_model=request.candidate_model,
        benchmark=request.benchmark,
        questions=list(questions),
        dataset=dataset,
        adapter=inputs.adapter,
        remote=inputs.remote,
        clusters=list(inputs.clusters),
        sampling=request.sampling.body(0),
        reused_base_answers=len(sides["base"].known),
        forgetting=forgetting,
        costs=output.costs(asked, request.prices),
        reproduce=[request.command()],
    )
    records = [baseline.record(len(questions)) for baseline in planned]
    return Evaluation(
        verdict=verdict,
        manifest=output.write(out, request, verdict, rows, meta, records),
        folder=out,
        base_rows=rows[BASE],
        candidate_rows=rows[CANDIDATE],
        baseline_rows={baseline.name: rows[baseline.file] for baseline in baselines},
        reused_base_answers=meta.reused_base_answers,
        costs=meta.costs,
        forgetting=forgetting,
    )


def split_of(
    questions: Sequence[BenchmarkQuestion], dataset: DatasetManifest | None, targeted: Collection[str] = ()
) -> Split:
    """Which questions are targeted and held out: by the dataset, else by `targeted`, else by the questions' own marks.

    Raises InvalidInputError if none of them says so, or if one names questions that are not there.
    """
    asked = {question.question_id for question in questions}
    if dataset:
        if not asked & set(dataset.split.held_out):
            raise InvalidInputError(
                f"the benchmark has none of the {len(dataset.split.held_out)} held-out targeted questions of dataset "
                f"{dataset.name}@{dataset.version}: nothing could show whether it improved",
                field="benchmark",
            )
        return dataset.split
    marked = sorted(targeted) or sorted(q.question_id for q in questions if q.extra.get("targeted") is True)
    if not marked:
        raise InvalidInputError(
            "nothing says which questions are targeted: give a dataset, a targeted slice (--targeted-slice), a list of "
            'question ids (--targeted FILE), or mark questions of the benchmark with "extra": {"targeted": true}',
            field="targeted",
        )
    unknown = [question_id for question_id in marked if question_id not in asked]
    if unknown:
        raise InvalidInputError(f"targeted, but not in the benchmark: {name_some(unknown)}", field="targeted")
    return Split(targeted=marked, held_out=marked, train=[], validation=[], anchors=[])


def check_judge(questions: Sequence[BenchmarkQuestion], judge: JudgeSettings | None) -> None:
    """Raise InvalidInputError for questions that only a judge can grade if there is none."""
    judged = [question.question_id for question in questions if needs(question.grader) == "judge"]
    if judged and judge is None:
        raise InvalidInputError(
            f"{len(judged)} questions are graded by a judge ({name_some(judged)}): give --judge-model, and --judge-url "
            "if it is not at the candidate's endpoint",
            field="judge",
        )


def _check_named(request: EvalRequest, inputs: EvalInputs) -> None:
    """The saved request must name the data that it was run on."""
    dataset, adapter = inputs.dataset, inputs.adapter or inputs.remote
    for field, named, given in (
        ("dataset", request.dataset, dataset and f"{dataset.name}/{dataset.version}"),
        ("adapter", request.adapter, adapter and f"{adapter.name}@{adapter.version}"),
    ):
        if named != given:
            raise InvalidInputError(
                f"the request names {field} {named}, its inputs have {given}: they must be the same", field=field
            )


def _check_baselines(baselines: Sequence[Baseline], endpoint: Endpoint) -> None:
    """A baseline whose request parameters the endpoint does not take would be the base under another name."""
    for baseline in baselines:
        used = {name for wording in baseline.wordings.values() for name in wording.parameters}
        if left_out := sorted(used & endpoint.without):
            raise InvalidInputError(
                f"baseline {baseline.name!r} works by {', '.join(left_out)}, which this endpoint does not take: choose "
                "others, such as --control few-shot,prompt",
                field="control",
            )


def _sides(request: EvalRequest, inputs: EvalInputs, baselines: Sequence[Baseline], out: Path) -> dict[str, Side]:
    """Who is asked: base, candidate, and the base once more for each baseline, as often as the candidate."""
    base, candidate = request.base_model, request.candidate_model
    endpoint, samples = request.base_endpoint or request.endpoint, request.candidate_samples
    known = reuse_run_log(inputs.base_run_log, inputs.questions, base, request.sampling, request.base_samples)
    base_digest = candidate_digest = None
    if inputs.adapter and request.base_endpoint is None:
        base_digest = model_digest_of(inputs.adapter.base_model.digest)
        candidate_digest = model_digest_of(base_digest, inputs.adapter.version)
    log = "answers-{}.jsonl".format
    sides = {
        "base": Side(endpoint, base, out / log("base"), request.base_samples, known, digest=base_digest),
        "candidate": Side(request.endpoint, candidate, out / log("candidate"), samples, digest=candidate_digest),
    }
    for one in baselines:
        name = f"arm-{one.name}"
        sides[f"arm:{one.name}"] = Side(
            endpoint, base, out / log(name), samples, wordings=one.wordings, digest=base_digest
        )
    return sides
