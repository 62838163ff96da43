"""Builds a dataset version: run log + corrections + spec in, manifest and files out. The same inputs give the same version."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from burnish.curation.anchors import Anchor, AnchorRules, choose_anchors
from burnish.curation.composition import composition
from burnish.curation.distillation.origins import attributed, mostly_taught, row_origins
from burnish.curation.distillation.taken import Suggestions, Taken, take_answers
from burnish.curation.foresight import (
    doubtful,
    kept_though_contaminated,
    other_models,
    out_of_reach,
    replay_shortfall,
    suspected,
    texts_kept,
    unsaid_prompts,
)
from burnish.curation.gates.doubts import doubt
from burnish.curation.gates.ledger import Ledger
from burnish.curation.gates.screen import Screen
from burnish.curation.gates.texts import TextGate, row_texts
from burnish.curation.leakage import check_leaks, guarded_keys
from burnish.curation.lengths import Lengths
from burnish.curation.output.sealing import LEFT_OUT, TRAIN, VALIDATION, BuiltDataset, measure, with_files
from burnish.curation.own_grader import benchmark_graders
from burnish.curation.review.items import Correction, Judgement
from burnish.curation.rows import Rows, empty_wrong_answers, example_rows, make_rows
from burnish.curation.splitting import Partition, Unit, partition_with_uncorrected, units
from burnish.curation.targets import (
    NO_CORRECTION,
    Example,
    Examples,
    Target,
    collect_examples,
    misplaced_corrections,
    of_some_prompt,
    prompt_keys,
    read_targets,
)
from burnish.diagnosis.clusters import NO_SLICE, RunCodes
from burnish.digests import canonical_json, dataset_version, version_of
from burnish.errors import PreconditionError
from burnish.jsonl import to_jsonl
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.base import Message, Parent, spoken_key
from burnish.schemas.benchmark import BenchmarkQuestion
from burnish.schemas.dataset import DatasetCounts, DatasetManifest, DatasetSpec, KtoRow, RowOrigin, Split

EMPTY_WRONG = "unwanted answer: it is empty"
NOTHING_LEFT = "every training row was left out"
ALL_ALIKE = (
    "The targeted questions all ask nearly the same, so what is held out is nearly what is trained on: a good result says "
    "little. Correct more varied failures."
)
STRADDLING = "no correction, and its prompt is in several parts of the split"


@dataclass(frozen=True)
class Guard:
    """The benchmark that training data must stay clear of; no questions where the spec names none."""

    questions: Sequence[BenchmarkQuestion] = ()

    @property
    def benchmark_only(self) -> frozenset[str]:
        return frozenset(q.question_id for q in self.questions if q.benchmark_only)


def build_dataset(
    spec: DatasetSpec,
    log: RunLogReader,
    codes: RunCodes,
    corrections: Mapping[str, Correction],
    lengths: Lengths,
    guard: Guard | None = None,
    suggestions: Suggestions | None = None,
    judgements: Mapping[str, Judgement] | None = None,
) -> BuiltDataset:
    """Build what the spec asks for; spec.labels are taken as checked (burnish.curation.review.items.choose_labels).

    Held-out depends on labels, slices, corrections, shares and seed alone: not on format or anchors (KTO draws the questions that nobody
    corrected apart, DPO those that have a preference instead). suggestions: teachers' answers by question; spec.source says whether those of
    undecided questions are taken. judgements: the preferences that stand, by question. Raises PreconditionError
    where there is nothing to build from (it says which command comes first), LeakageError where a training row has the
    prompt of a held-out or guarded question.
    """
    guard, judgements = guard or Guard(), (judgements or {}) if spec.preferences else {}
    reviewed: dict[str, Correction | Judgement] = {**judgements, **corrections}
    targets = read_targets(log, codes, spec.labels, reviewed, spec.slices)
    own_graders, suggestions = benchmark_graders(guard.questions), suggestions or {}
    taken = Taken()
    if spec.source == "teacher":
        taken = take_answers(targets, corrections, suggestions, own_graders, ungraded=spec.take_ungraded)
        corrections = {**corrections, **taken.corrections}
        reviewed |= taken.corrections
    examples = collect_examples(
        targets,
        corrections,
        guard.benchmark_only,
        own_graders=own_graders,
        misplaced=misplaced_corrections(log, codes, targets, reviewed),
        uncorrected=spec.format == "kto" and spec.uncorrected,
        judgements=judgements,
        dataset_format=spec.format,
    )
    examples.examples = attributed(examples.examples, taken, suggestions)
    ledger = examples.ledger
    ledger.explain(NO_CORRECTION, taken.refused)
    _check_some(spec, examples)
    keys = prompt_keys(log, codes, (target.question_id for target in targets))
    screen = Screen(examples.examples, guard.questions, by_meaning=spec.paraphrases != "off")
    parts, all_alike = _partition(spec, examples.examples, keys, screen, ledger)
    _check_leaks([(e.question_id, e.prompt) for e in parts.trained], _split(parts, []), keys, guard)
    texts = TextGate(spec)
    parts = _gated(spec, parts, screen, texts, guard, ledger)
    population = _population(log, codes, guard)
    rules = _anchor_rules(spec, targets, keys, parts, guard, population)
    anchors = choose_anchors(log, codes, rules, screen, texts, ledger)
    screen.doubt_replay([(anchor.question_id, anchor.asked) for anchor in anchors], ledger)
    rows, split = make_rows(spec, parts, anchors), _split(parts, anchors)
    ledger.leave_out(EMPTY_WRONG, empty_wrong_answers(spec, parts))
    _check_leaks([(row.question_id, row.prompt) for row in rows.all], split, keys, guard)
    doubt(parts.trained, screen, ledger)
    rows = rows.changed(lambda each: texts.cleaned(each, ledger))
    anchors_by_slice = Counter(population.slice_of.get(anchor.question_id, NO_SLICE) for anchor in anchors)
    counts = DatasetCounts(
        corrections=sum(row.source == "correction" for row in rows.all),
        preferences=sum(row.source == "preference" for row in rows.all),
        anchors=len(anchors),
        train=len(rows.train),
        validation=len(rows.validation),
        held_out=len(split.held_out),
        discarded=ledger.left_out,
        doubted=ledger.reasons("doubted"),
        masked=ledger.reasons("masked"),
        **composition(parts.trained, rows),
        secrets=dict(sorted(texts.secrets.items())),
        personal_data=dict(sorted(texts.personal_data.items())),
        anchors_wanted=rules.wanted,
        anchors_by_slice=dict(sorted(anchors_by_slice.items())),
        rest=len(set(population.slice_of) - set(split.targeted) - set(split.anchors)),
    )
    warnings = [
        mostly_taught(origins := row_origins(parts.trained, corrections, taken, suggestions)),
        replay_shortfall(spec, rules.wanted, anchors_by_slice, rules.rest),
        other_models(targets, rules.model),
        unsaid_prompts(of_some_prompt(log, codes, targets, corrections)),
        out_of_reach(split, population.questions),
        _without_wanted(spec, rows),
        ALL_ALIKE if all_alike else None,
        kept_though_contaminated(ledger),
        suspected(ledger),
        doubtful(ledger),
        *texts_kept(spec, texts),
    ]
    return _seal(spec, rows, split, counts, reviewed, lengths, [w for w in warnings if w], ledger, origins)


def _partition(
    spec: DatasetSpec, examples: Sequence[Example], keys: Mapping[str, set[str]], screen: Screen, ledger: Ledger
) -> tuple[Partition, bool]:
    """The split, with questions that ask nearly the same on one side; and whether they all do, so that they had to be drawn apart."""
    joined = screen.joined(examples, keys) if spec.near_duplicates == "drop" else keys
    corrected = [example for example in examples if example.correction is not None] or examples
    all_alike = len(units(corrected, joined)) < 2 <= len(units(corrected, keys))
    drawn_by = keys if all_alike else joined
    parts, straddling = partition_with_uncorrected(
        examples, drawn_by, spec.held_out_share, spec.validation_share, spec.seed
    )
    ledger.leave_out(STRADDLING, straddling)
    return parts, all_alike


def _gated(
    spec: DatasetSpec,
    parts: Partition,
    screen: Screen,
    texts: TextGate,
    guard: Guard,
    ledger: Ledger,
) -> Partition:
    """The parts without what the gates leave out. Raises PreconditionError if nothing is left to train on."""
    parts = texts.without(
        parts, lambda example: [text for row in example_rows(spec, example) for text in row_texts(row)], ledger
    )
    parts = _uncontaminated(spec, parts, screen, guard, ledger)
    if spec.near_duplicates == "drop":
        parts = screen.without_near_duplicates(parts, ledger)
    if not parts.train:
        found = "; ".join(f"{count} × {reason}" for reason, count in ledger.left_out.items())
        raise PreconditionError(
            f"{NOTHING_LEFT} ({found}). Correct other failures, or keep such rows with --contamination warn, "
            "--paraphrases warn, --secrets mask or --personal-data mask",
            run_log_id=spec.run_log_id,
        )
    return parts


def _uncontaminated(spec: DatasetSpec, parts: Partition, screen: Screen, guard: Guard, ledger: Ledger) -> Partition:
    """By words, then by meaning; again if meaning left rows out, since what is left out guards in its turn."""
    while True:
        by_words = screen.without_contaminated(
            parts, guard.benchmark_only, ledger, spec.contamination == "drop", screen.contamination
        )
        parts = screen.without_contaminated(
            by_words, guard.benchmark_only, ledger, spec.paraphrases == "drop", screen.suspicion
        )
        if spec.contamination == "warn" or len(parts.trained) == len(by_words.trained):
            return parts


@dataclass(frozen=True)
class _Population:
    """Every question that an evaluation may ask: the benchmark's, or, without one, the run log's. questions: (id, slice, cluster)."""

    questions: list[tuple[str, str, str | None]]

    @cached_property
    def slice_of(self) -> dict[str, str]:
        return {question_id: slice for question_id, slice, _ in self.questions}


def _population(log: RunLogReader, codes: RunCodes, guard: Guard) -> _Population:
    if guard.questions:
        return _Population([(q.question_id, q.slice, q.cluster) for q in guard.questions])
    _, first = np.unique(codes.question_R, return_index=True)
    slices = [codes.slices[code] if code >= 0 else NO_SLICE for code in codes.slice_R[first]]
    ids = [codes.questions[code] for code in codes.question_R[first]]
    return _Population([(question_id, slice, None) for question_id, slice in zip(ids, slices, strict=True)])


def _without_wanted(spec: DatasetSpec, rows: Rows) -> str | None:
    if spec.format != "kto" or any(isinstance(row, KtoRow) and row.label for row in rows.all):
        return None
    return (
        "Every row is an unwanted answer: the model would learn what not to say and nothing else. Correct some of them, or "
        "raise `--anchor-ratio` so that passing answers come in as wanted."
    )


def _check_some(spec: DatasetSpec, examples: Examples) -> None:
    if examples.examples:
        return
    labels = " ".join(f"--label {label!r}" for label in spec.labels)
    found = "; ".join(f"{count} × {reason}" for reason, count in examples.ledger.left_out.items())
    if spec.source == "teacher":
        raise PreconditionError(
            f"nothing to train on for {', '.join(spec.labels)} ({found}). First `burnish review suggest {spec.run_log_id} {labels} --model URL#NAME`; "
            "answers that nothing grades are taken with --take-ungraded alone",
            run_log_id=spec.run_log_id,
        )
    raise PreconditionError(
        f"nothing to train on for {', '.join(spec.labels)} ({found}). First `burnish review export {spec.run_log_id} {labels}`, "
        f"fill corrected_output, and `burnish review import FILE --run-log {spec.run_log_id}`; or correct them on the review page. "
        "`--format kto` takes wrong answers as unwanted, without corrections",
        run_log_id=spec.run_log_id,
    )


def _anchor_rules(
    spec: DatasetSpec,
    targets: Sequence[Target],
    keys: Mapping[str, set[str]],
    parts: Partition,
    guard: Guard,
    population: _Population,
) -> AnchorRules:
    trained = len(parts.trained)
    targeted = {target.question_id for target in targets}
    models = Counter(target.model for target in targets if target.model is not None)
    return AnchorRules(
        wanted=round(spec.anchor_ratio * trained) if spec.format != "dpo" else 0,
        pool_share=spec.anchor_pool_share,
        seed=spec.seed,
        targeted=frozenset().union(*keys.values(), (spoken_key(target.prompt) for target in targets)),
        guarded=guarded_keys(guard.questions, trained=frozenset()),
        benchmark_only=guard.benchmark_only,
        model=max(models, key=lambda name: (models[name], name)) if models else None,
        slice_of=population.slice_of,
        rest=Counter(slice for question_id, slice, _ in population.questions if question_id not in targeted),
        drops_contaminated=spec.contamination == "drop",
        drops_near_duplicates=spec.near_duplicates == "drop",
        drops_suspected=spec.paraphrases == "drop",
    )


def _split(parts: Partition, anchors: Sequence[Anchor]) -> Split:
    held_out, validation, train = (_question_ids(p) for p in (parts.held_out, parts.validation, parts.train))
    return Split(
        targeted=sorted([*held_out, *validation, *train]),
        held_out=held_out,
        train=train,
        validation=validation,
        anchors=sorted(anchor.question_id for anchor in anchors),
    )


def _question_ids(chosen: Sequence[Unit]) -> list[str]:
    return sorted(question_id for unit in chosen for e in unit.examples for question_id in e.question_ids)


def _check_leaks(
    prompts: Sequence[tuple[str, list[Message]]], split: Split, keys: Mapping[str, set[str]], guard: Guard
) -> None:
    held_out: dict[str, set[str]] = defaultdict(set)
    for question_id in split.held_out:
        for key in keys[question_id]:
            held_out[key].add(question_id)
    trained = frozenset([*split.train, *split.validation, *split.anchors])
    check_leaks(
        [(question_id, spoken_key(prompt)) for question_id, prompt in prompts],
        held_out=held_out,
        benchmark=guarded_keys(guard.questions, trained),
    )


def _seal(
    spec: DatasetSpec,
    rows: Rows,
    split: Split,
    counts: DatasetCounts,
    reviewed: Mapping[str, Correction | Judgement],
    lengths: Lengths,
    warnings: list[str],
    ledger: Ledger,
    origins: list[RowOrigin],
) -> BuiltDataset:
    files = {TRAIN: to_jsonl(rows.train), VALIDATION: to_jsonl(rows.validation)}
    files[LEFT_OUT] = to_jsonl(ledger.lines, exclude_none=True)
    version = dataset_version(files[TRAIN], files[VALIDATION], spec.model_dump(), split.model_dump())
    manifest = DatasetManifest(
        name=spec.name,
        version=version,
        spec=spec,
        counts=counts,
        split=split,
        lengths=lengths.summary(measure(rows.all, lengths)),
        parents=_parents(spec, split, reviewed),
        warnings=warnings,
        origins=origins,
    )
    return with_files(manifest, files)


def _parents(spec: DatasetSpec, split: Split, reviewed: Mapping[str, Correction | Judgement]) -> list[Parent]:
    used = {q: _decided(reviewed[q]) for q in [*split.train, *split.validation] if q in reviewed}
    parents = [
        Parent(kind="runlog", name=spec.run_log_id, digest=spec.run_log_id),
        Parent(kind="review", name=spec.run_log_id, digest=version_of(canonical_json(used))),
    ]
    if spec.clustering:
        parents.append(Parent(kind="clustering", name=spec.run_log_id, digest=spec.clustering))
    if spec.benchmark:
        name, _, version = spec.benchmark.partition("/")
        parents.append(Parent(kind="benchmark", name=name, digest=version))
    return parents


def _decided(decision: Correction | Judgement) -> Any:
    return decision.corrected_output if isinstance(decision, Correction) else decision.preference.model_dump()
