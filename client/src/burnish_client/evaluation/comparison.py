"""The whole comparison: benchmark, dataset manifest and endpoints in; a folder with rows, verdict, report and postmortem out.

`evaluate` reads from top to bottom: planned, asked, graded, decided, written.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from burnish.errors import InvalidInputError
from burnish.pairing import name_some
from burnish.reporting import ReportMeta
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import DatasetManifest, Split
from burnish.schemas.evaluation import EvalManifest, EvalRow, Forgetting, JudgeCalibration, Verdict
from burnish.schemas.runlog import FailureCluster, RunLogLine
from burnish.verdict import Thresholds, decide
from burnish_client.evaluation import folder
from burnish_client.evaluation.asking import ProgressCallback, Side, ask_sides
from burnish_client.evaluation.chat import Endpoint, Sampling
from burnish_client.evaluation.controls import Arm, ArmName, Controls, plan_arms
from burnish_client.evaluation.folder import BASE, CANDIDATE, FILES
from burnish_client.evaluation.forgetting import forgetting_sentence, measure_forgetting
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
    concurrency: int = 16,
    thresholds: Thresholds | None = None,
    calibration: JudgeCalibration | None = None,
    reproduce: Sequence[str] = (),
    progress: ProgressCallback | None = None,
    probe_progress: ProgressCallback | None = None,
) -> Evaluation:
    """Compare candidate_model with base_model on a benchmark and write FILES, and one file an arm, into `out`.

    benchmark: `name/version`, for the record. endpoint serves the candidate, and the base too unless base_endpoint is
    given. Who is targeted: the dataset's split says; without a dataset `targeted` (question ids), else the questions'
    own mark (`extra.targeted` is true). base_run_log: base answers found there (same model, prompt and sampling, see
    `reuse_run_log`) are reused, not asked again. Two base samples measure the noise floor. arms: control arms, asked of
    the base as often as the candidate is asked, made from `controls`. forgetting: also ask the probe set.
    Answers are logged in `out`/answers-*.jsonl as they come: the same call after a kill asks only what is missing.
    The eval's id is the digest of the rows of all sides and of what was compared on what.

    Raises InvalidInputError for a benchmark whose graders do not work on their own expected answers, which has none
    of the dataset's held-out questions, or where nothing says what is targeted, and LeakageError for an arm whose
    examples an evaluation may not show, before anything is asked; and what `ask_sides` and `decide` raise.
    """
    sampling, base_endpoint = sampling or Sampling(), base_endpoint or endpoint
    check_questions(questions)
    split = split_of(questions, dataset, targeted)
    planned = plan_arms(
        arms, questions, split if dataset else None, controls or Controls(), max_tokens=sampling.max_tokens
    )

    known = reuse_run_log(base_run_log, questions, base_model, sampling, base_samples)
    base = Side(base_endpoint, base_model, out / "answers-base.jsonl", base_samples, known)
    candidate = Side(endpoint, candidate_model, out / "answers-candidate.jsonl", candidate_samples)
    sides = [base, candidate, *(_arm_side(arm, base, out, candidate_samples) for arm in planned)]
    answers = await ask_sides(sides, questions, sampling=sampling, concurrency=concurrency, progress=progress)

    names = [BASE, CANDIDATE, *(arm.file for arm in planned)]
    rows = {name: eval_rows(questions, given, split) for name, given in zip(names, answers, strict=True)}

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
            progress=probe_progress,
        )
        verdict = _with_warning(verdict, forgetting_sentence(forgot))

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


def _arm_side(arm: Arm, base: Side, out: Path, samples: int) -> Side:
    return Side(
        base.endpoint, base.model, out / f"answers-arm-{arm.name}.jsonl", samples=samples, wordings=arm.wordings
    )


def _with_warning(verdict: Verdict, sentence: str | None) -> Verdict:
    return verdict if sentence is None else verdict.model_copy(update={"warnings": [*verdict.warnings, sentence]})
