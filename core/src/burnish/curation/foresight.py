"""What can be said of a dataset before anything is trained: replay rows that are missing, and verdicts that are out of reach.

Pure. Called by the build; its sentences stay in the manifest and are shown wherever the dataset is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from burnish.curation.gates.ledger import Ledger
from burnish.curation.gates.texts import TextGate
from burnish.curation.targets import Target
from burnish.schemas.dataset import DatasetSpec, Split
from burnish.schemas.evaluation import EvalRow
from burnish.verdict import decide

SHORT_SHARE = 0.8  # of the replay rows that were asked for: with fewer it is said
SHORT_SLICE_SHARE, SHORT_SLICE_ROWS = 0.5, 5  # likewise of a slice that should have at least so many
NAMED = 5
MOST_ROWS = 2000  # of each kind: more cannot be too few


def replay_shortfall(spec: DatasetSpec, wanted: int, given: Mapping[str, int], rest: Mapping[str, int]) -> str | None:
    """A warning if there are too few replay (anchor) rows, in all or in a slice; given, rest: by slice."""
    total, everywhere = sum(given.values()), sum(rest.values())
    share = {name: wanted * count / everywhere for name, count in rest.items()} if everywhere else {}
    short = {
        name: round(due)
        for name, due in sorted(share.items(), key=lambda item: -item[1])
        if due >= SHORT_SLICE_ROWS and given.get(name, 0) < SHORT_SLICE_SHARE * due
    }
    if not wanted or (total >= SHORT_SHARE * wanted and not short):
        return None
    named = ", ".join(f"{name} ({given.get(name, 0)} of {due})" for name, due in list(short.items())[:NAMED])
    more = f" and {len(short) - NAMED} more" if len(short) > NAMED else ""
    where = f"; by slice: {named}{more}" if short else ""
    pool = f"raise `--anchor-pool-share` ({spec.anchor_pool_share:g} now), " if spec.anchor_pool_share < 1 else ""
    return (
        f"Only {total} of {wanted} replay (anchor) rows could be had{where}. What the model answers rightly there is hardly held "
        f"in place and may be lost. To mend it: {pool}add runs of these slices that pass to the run log, or train more gently "
        "(fewer epochs, a lower learning rate) and read these slices first in the report."
    )


def other_models(targets: Sequence[Target], model: str | None) -> str | None:
    """A warning if targeted questions failed under other models than the one whose answers are replayed."""
    others = Counter(t.model for t in targets if t.model is not None and t.model != model)
    if not others:
        return None
    named = ", ".join(f"{name}: {count}" for name, count in others.most_common(NAMED))
    return (
        f"{others.total()} of {len(targets)} targeted questions failed under another model than {model} ({named}): their wrong "
        "answers are not what the model to be trained says. Import the runs of one model as a run log of its own."
    )


def unsaid_prompts(questions: Sequence[str]) -> str | None:
    """A warning if corrections do not say which of several prompts they are for."""
    if not questions:
        return None
    one = len(questions) == 1
    unsaid = (
        "1 correction does not say for which prompt it was"
        if one
        else f"{len(questions)} corrections do not say for which prompt they were"
    )
    named = ", ".join(questions[:NAMED]) + (f" and {len(questions) - NAMED} more" if len(questions) > NAMED else "")
    return (
        f"{unsaid} written, though the question failed with several ({named}): an earlier version of Burnish, or a file without "
        "prompt_key, left it open. The first failure under the correction's label is taken. Save it again on the review page to settle it."
    )


def kept_though_contaminated(ledger: Ledger) -> str | None:
    """A warning if the spec kept rows that ask what the benchmark asks."""
    found = ledger.questions("doubted", "contamination")
    if not found:
        return None
    rows = "1 training row asks" if len(found) == 1 else f"{len(found)} training rows ask"
    return (
        f"{rows} what a benchmark question asks, nearly or in the last turn, and stayed in, as `--contamination warn` says: the "
        "evaluation is in part a memory test. `burnish dataset show NAME --left-out` names them."
    )


def suspected(ledger: Ledger) -> str | None:
    """A warning if rows may ask a benchmark question in other words."""
    found = set(ledger.questions("doubted", "suspected contamination"))
    if not found:
        return None
    rows = "1 training row" if len(found) == 1 else f"{len(found)} training rows"
    return (
        f"{rows} may ask a benchmark question in other words and stayed in: meaning is compared by word vectors, which are wrong at times. "
        "`burnish dataset show NAME --left-out` names both questions; if they are the same, --paraphrases drop leaves such rows out."
    )


def doubtful(ledger: Ledger) -> str | None:
    """A warning if corrections look wrong."""
    found = set(ledger.questions("doubted", "doubtful"))
    if not found:
        return None
    named = ", ".join(sorted(found)[:NAMED])
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    subject = "1 correction looks" if len(found) == 1 else f"{len(found)} corrections look"
    return (
        f"{subject} doubtful ({named}{more}): `burnish dataset show NAME --left-out` says why. "
        "Correct before training what is wrong."
    )


def texts_kept(spec: DatasetSpec, texts: TextGate) -> Iterator[str]:
    """Warnings if rows keep secrets or personal data as they are."""
    kept = (
        ("secrets", spec.secrets, texts.secrets, "--secrets"),
        ("personal data", spec.personal_data, texts.personal_data, "--personal-data"),
    )
    for what, action, found, option in kept:
        if action == "keep" and found:
            named = ", ".join(f"{kind} in {count}" for kind, count in sorted(found.items()))
            yield (
                f"Rows hold {what} as they are ({named}), and a trained model can be made to recite them: build with {option} "
                "mask or drop, or keep them on purpose."
            )


def out_of_reach(split: Split, questions: Iterable[tuple[str, str, str | None]]) -> str | None:
    """A warning if a candidate that fixes every target and changes nothing else would not ship; with the number of questions that are missing.

    questions: (id, slice, cluster) of the benchmark. The rule itself is asked: the candidate passes everything, and the base
    all but the targets.
    """
    base, candidate = _best_case(split, list(questions))
    if not any(row.targeted and row.held_out for row in base) or not any(
        not row.targeted and row.held_out for row in base
    ):
        return (
            "No held-out targeted question or no other question is left to evaluate on: no verdict is possible. "
            "Correct more questions, or add others to the benchmark."
        )
    verdict = decide(base, candidate)
    if verdict.verdict == "ship":
        return None
    needs = [
        f"{count} more {kind}"
        for count, kind in (
            (verdict.needs_questions, "held-out targeted questions (correct more, or raise `--held-out-share`)"),
            (
                verdict.needs_rest_questions,
                "questions outside the target (add them to the benchmark, or lower `--anchor-pool-share`)",
            ),
        )
        if count
    ]
    return (
        f"With {verdict.targeted.n} held-out targeted questions and {verdict.rest.n} others, an adapter that fixes every target and "
        f"changes nothing else will get the verdict {verdict.verdict}: only gains elsewhere could make up for so few. It would take "
        f"about {' and '.join(needs) or 'more questions'}; `burnish eval plan` has the numbers for less perfect adapters."
    )


def _best_case(split: Split, questions: Sequence[tuple[str, str, str | None]]) -> tuple[list[EvalRow], list[EvalRow]]:
    """Rows of a base that fails the targets and of a candidate that fails nothing, at most MOST_ROWS of each kind."""
    targeted, trained = set(split.targeted), {*split.train, *split.validation, *split.anchors}
    asked: Counter[tuple[bool, bool]] = Counter()
    base = []
    for question_id, slice, cluster in questions:
        kind = question_id in targeted, question_id not in trained
        asked[kind] += 1
        if asked[kind] <= MOST_ROWS:
            passed = not kind[0]
            base.append(
                EvalRow(
                    question_id=question_id,
                    slice=slice,
                    cluster=cluster,
                    targeted=kind[0],
                    held_out=kind[1],
                    passed=passed,
                    score=float(passed),
                )
            )
    return base, [row.model_copy(update={"passed": True, "score": 1.0}) for row in base]
