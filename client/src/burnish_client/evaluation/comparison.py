"""The whole comparison: benchmark, dataset manifest and endpoints in; a folder with rows, verdict, report and postmortem out.

`evaluate` reads from top to bottom: planned, asked, graded, decided, written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from burnish.errors import InvalidInputError
from burnish.grading import needs
from burnish.reporting import ReportMeta
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import DatasetManifest, Split
from burnish.schemas.evaluation import Cost, EvalManifest, EvalRow, Forgetting, JudgeCalibration, Verdict
from burnish.schemas.runlog import FailureCluster, RunLogLine
from burnish.verdict.decision import Thresholds, decide
from burnish.verdict.pairing import name_some
from burnish_client.evaluation import folder
from burnish_client.evaluation.answers import Answer
from burnish_client.evaluation.asking import MOST_CONCURRENCY, ProgressCallback, Side, ask_sides
from burnish_client.evaluation.cache import AnswerCache, model_digest_of
from burnish_client.evaluation.calibration import check_calibration
from burnish_client.evaluation.chat import Endpoint, Sampling
from burnish_client.evaluation.controls import Arm, ArmName, Controls, plan_arms
from burnish_client.evaluation.cost import Prices, costs
from burnish_client.evaluation.folder import BASE, CANDIDATE, FILES
from burnish_client.evaluation.forgetting import (
    BASE_ANSWERS,
    CANDIDATE_ANSWERS,
    forgetting_sentence,
    measure_forgetting,
)
from burnish_client.evaluation.judging import Judged, JudgeSettings, judge_digests, judge_sides
from burnish_client.evaluation.rows import check_questions, eval_rows
from burnish_client.evaluation.run_log import reuse_run_log

__all__ = ["FILES", "Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` made. folder holds the files that the manifest names, which is what the curator wants at the end."""

    verdict: Verdict
    manifest: EvalManifest
    folder: Path
    base_rows: list[EvalRow]
    candidate_rows: list[EvalRow]
    reused_base_answers: int
    arm_rows: dict[str, list[EvalRow]]
    costs: list[Cost]
    forgetting: Forgetting | None = None


async def evaluate(
    questions: Sequence[BenchmarkQuestion],
    dataset: DatasetManifest | None,
    endpoint: Endpoint,
    *,
    base_model: str,
    candidate_model: str,
    out: Path,
    benchmark: str,
    base_endpoint: Endpoint | None = None,
    base_run_log: Sequence[RunLogLine] = (),
    adapter: AdapterManifest | None = None,
    clusters: Sequence[FailureCluster] = (),
    targeted: Collection[str] = (),
    base_samples: int = 2,
    candidate_samples: int = 1,
    arms: Collection[ArmName] = (),
    controls: Controls | None = None,
    forgetting: bool = False,
    sampling: Sampling | None = None,
    concurrency: int = MOST_CONCURRENCY,
    thresholds: Thresholds | None = None,
    judge: JudgeSettings | None = None,
    calibration: JudgeCalibration | None = None,
    cache: Path | None = None,
    prices: Mapping[str, Prices] | Prices | None = None,
    reproduce: Sequence[str] = (),
    progress: ProgressCallback | None = None,
) -> Evaluation:
    """Compare candidate_model with base_model on a benchmark and write FILES, and one file an arm, into `out`.

    benchmark: `name/version`, for the record. endpoint serves the candidate, and the base too unless base_endpoint is
    given. Who is targeted: the dataset's split says; without a dataset `targeted` (question ids), else the questions'
    own mark (`extra.targeted` is true). base_run_log: base answers found there (same model, prompt and sampling, see
    `reuse_run_log`) are reused, not asked again. Two base samples measure the noise floor. arms: control arms, asked of
    the base as often as the candidate is asked, made from `controls`. forgetting: also ask the probe set. judge: for the
    questions whose grader is `judge`. cache: a folder where answers are shared between runs; it needs `adapter`, whose
    digests pin both models. prices: of all sides, or by Cost.side.
    Answers are logged in `out`/answers-*.jsonl as they come: the same call after a kill asks only what is missing.
    The eval's id is the digest of the rows of all sides and of what was compared on what.

    progress: of the questions, then of judge and probe set, each with its own total.

    Raises InvalidInputError for a benchmark whose graders do not work on their own expected answers, which has none
    of the dataset's held-out questions, or where nothing says what is targeted, and LeakageError for an arm whose
    examples an evaluation may not show, PreconditionError for a calibration of another judge, before anything is asked;
    and what `ask_sides` and `decide` raise.
    """
    sampling = sampling or Sampling()
    check_questions(questions)
    check_judge(questions, judge)
    if calibration:
        check_calibration(calibration, judge_digests(questions, judge.model) if judge else ())
    split = split_of(questions, dataset, targeted)
    planned = plan_arms(
        arms, questions, split if dataset else None, controls or Controls(), max_tokens=sampling.max_tokens
    )

    _check_arms(planned, base_endpoint or endpoint)
    known = reuse_run_log(base_run_log, questions, base_model, sampling, base_samples)
    base_digest, candidate_digest = _digests(adapter if base_endpoint is None else None)
    base_endpoint = base_endpoint or endpoint
    base = Side(base_endpoint, base_model, out / "answers-base.jsonl", base_samples, known, digest=base_digest)
    candidate = Side(
        endpoint, candidate_model, out / "answers-candidate.jsonl", candidate_samples, digest=candidate_digest
    )
    sides = {"base": base, "candidate": candidate}
    sides |= {f"arm:{arm.name}": _arm_side(arm, base, candidate_samples) for arm in planned}
    with AnswerCache(cache) if cache else nullcontext() as shared:
        answers = await ask_sides(
            list(sides.values()),
            questions,
            sampling=sampling,
            concurrency=concurrency,
            progress=progress,
            cache=shared,
        )

    judged = Judged([{} for _ in sides])
    if judge and judge_digests(questions, judge.model):
        judged = await judge_sides(questions, answers, judge, out / "answers-judge.jsonl", progress)
    names = [BASE, CANDIDATE, *(arm.file for arm in planned)]
    rows = {
        name: eval_rows(questions, given, split, judgements)
        for name, given, judgements in zip(names, answers, judged.judgements, strict=True)
    }

    verdict = decide(
        rows[BASE],
        rows[CANDIDATE],
        thresholds=thresholds,
        calibration=calibration,
        arms={arm.name: (arm.what, rows[arm.file]) for arm in planned},
    )
    forgot = None
    if forgetting:
        forgot = await measure_forgetting(
            base_endpoint,
            base_model,
            candidate_model,
            out,
            candidate_endpoint=endpoint,
            concurrency=concurrency,
            progress=progress,
        )
        verdict = _with_warning(verdict, forgetting_sentence(forgot))

    asked = dict(zip(sides, answers, strict=True))
    asked |= {"judge": judged.replies} if judged.replies else {}
    asked |= {"probe": probe_answers(out)} if forgetting else {}
    compared = [base_model, candidate_model, benchmark, dataset.version if dataset else ""]
    meta = ReportMeta(
        eval_id=folder.eval_id(rows, compared),
        base_model=base_model,
        candidate_model=candidate_model,
        benchmark=benchmark,
        questions=list(questions),
        dataset=dataset,
        adapter=adapter,
        clusters=list(clusters),
        sampling=sampling.body(0),
        reused_base_answers=len(known),
        forgetting=forgot,
        costs=costs(asked, prices),
        reproduce=list(reproduce),
    )
    manifest = folder.write(out, verdict, rows, meta, [arm.record(len(questions)) for arm in planned])
    return Evaluation(
        verdict=verdict,
        manifest=manifest,
        folder=out,
        base_rows=rows[BASE],
        candidate_rows=rows[CANDIDATE],
        reused_base_answers=len(known),
        costs=meta.costs,
        arm_rows={arm.name: rows[arm.file] for arm in planned},
        forgetting=forgot,
    )


def split_of(
    questions: Sequence[BenchmarkQuestion], dataset: DatasetManifest | None, targeted: Collection[str] = ()
) -> Split:
    """Which questions are targeted and held out: by the dataset, else by `targeted`, else by the questions' own marks.

    Raises InvalidInputError where none of them says so, or says so of questions that are not there.
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
    judged = [question.question_id for question in questions if needs(question.grader) == "judge"]
    if judged and judge is None:
        raise InvalidInputError(
            f"{len(judged)} questions are graded by a judge ({name_some(judged)}): give --judge-model, and --judge-url "
            "where it is not the candidate's endpoint",
            field="judge",
        )


def _check_arms(arms: Sequence[Arm], endpoint: Endpoint) -> None:
    """An arm whose request parameters the endpoint does not take would be the base under another name."""
    for arm in arms:
        left_out = sorted({name for wording in arm.wordings.values() for name in wording.parameters} & endpoint.without)
        if left_out:
            raise InvalidInputError(
                f"control arm {arm.name!r} works by {', '.join(left_out)}, which this endpoint does not take: choose "
                "other arms, such as --control few-shot,prompt",
                field="control",
            )


def _digests(adapter: AdapterManifest | None) -> tuple[str | None, str | None]:
    """What pins the answers of base and candidate; None where only names are known."""
    if adapter is None:
        return None, None
    base = adapter.base_model.digest
    return model_digest_of(base), model_digest_of(base, adapter.version)


def _arm_side(arm: Arm, base: Side, samples: int) -> Side:
    log = base.out.with_name(f"answers-arm-{arm.name}.jsonl")
    return replace(base, out=log, samples=samples, known=(), wordings=arm.wordings)


def probe_answers(out: Path) -> list[Answer]:
    """What the probe set's askings left in the folder."""
    files = (out / BASE_ANSWERS, out / CANDIDATE_ANSWERS)
    return [Answer.model_validate_json(line) for file in files for line in file.read_bytes().splitlines()]


def _with_warning(verdict: Verdict, sentence: str | None) -> Verdict:
    return verdict if sentence is None else verdict.model_copy(update={"warnings": [*verdict.warnings, sentence]})
