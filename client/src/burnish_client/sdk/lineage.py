"""Lineage, both ways: from a verdict to the log lines and reviewers behind it, and from a line to everything that saw it.

Reads what curator and inference answer anyway: manifests name their parents, a dataset's split names its questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from burnish.errors import BurnishError, InvalidInputError, NotFoundError, UnavailableError
from burnish.registry.references import parse_reference
from burnish.runlogs.identity import run_key
from burnish.runlogs.references import parse_line
from burnish.schemas.adapter import AdapterManifest
from burnish.schemas.base import Manifest, Parent
from burnish.schemas.dataset import DatasetManifest
from burnish.schemas.evaluation import EvalManifest
from burnish.schemas.runlog import FAILING_GRADES, PASSING_GRADES, RunLogLine, RunLogManifest
from burnish.schemas.training.hosted import RemoteModelManifest
from burnish_client.sdk.curator import CuratorClient
from burnish_client.sdk.inference import InferenceClient

Kind = Literal["adapter", "dataset", "eval", "runlog", "line"]
Tuned = AdapterManifest | RemoteModelManifest
TUNED = ("adapter", "remote_model")  # kinds of parents
KINDS: tuple[Kind, ...] = ("eval", "adapter", "dataset", "runlog")
QUESTIONS_AT_ONCE = 50
PAGE_ROWS = 1000


@dataclass(frozen=True)
class Node:
    """One thing, and what it leads to. says: a few words on what it has to do with the node above it."""

    kind: str
    name: str
    says: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    children: tuple[Node, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        children = [child.to_dict() for child in self.children]
        return {"kind": self.kind, "name": self.name, "says": self.says, **self.facts, "children": children}


@dataclass(frozen=True)
class Lineage:
    """made_from and seen_by lead from `thing` backwards and forwards. unknown: what could not be asked."""

    thing: Node
    made_from: tuple[Node, ...] = ()
    seen_by: tuple[Node, ...] = ()
    unknown: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        ways = {"made_from": self.made_from, "seen_by": self.seen_by}
        nodes = {way: [node.to_dict() for node in found] for way, found in ways.items()}
        return {"thing": self.thing.to_dict(), **nodes, "unknown": list(self.unknown)}


@dataclass(frozen=True)
class Line:
    """A line of a run log with its number."""

    run_log: RunLogManifest
    number: int
    row: RunLogLine

    @property
    def name(self) -> str:
        return f"{self.run_log.id}:{self.number}"


class LineageReader:
    """Reads each list once. An inference service that does not answer leaves its adapters out, and `unknown` says so."""

    def __init__(self, curator: CuratorClient, inference: InferenceClient) -> None:
        self._curator, self._inference = curator, inference
        self._unknown: list[str] = []

    def of(self, reference: str, kind: Kind | None = None) -> Lineage:
        """The lineage of what a reference names: `LOG:…` a line; else an eval, adapter, dataset or run log.

        NotFoundError if it names nothing, InvalidInputError if things of several kinds have the name and kind is None.
        """
        if kind == "line" or (kind is None and ":" in reference):
            return self._of_lines(reference)
        found = {one: thing for one in ([kind] if kind else KINDS) if (thing := self._find(one, reference)) is not None}
        if len(found) > 1:
            raise InvalidInputError(
                f"{reference!r} names {' and '.join(found)}: say which with `--kind {next(iter(found))}`"
            )
        for one, thing in found.items():
            made_from = tuple(self._origins(thing))
            return Lineage(Node(one, _name(thing), _says(thing)), made_from, self._followers(thing), self.unknown)
        where = "burnish eval ls`, `burnish adapters ls`, `burnish dataset ls` and `burnish runs ls"
        raise NotFoundError(f"nothing is named {reference!r}: `{where}` list what there is; a line is LOG:NUMBER")

    @property
    def unknown(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._unknown))

    def find_lines(self, reference: str) -> list[Line]:
        """Every line that the reference names. NotFoundError if there is none."""
        wanted = parse_line(reference)
        run_log = self._curator.find_run_log(wanted.run_log)
        found = list(self._lines(run_log, line=wanted.number, question=wanted.question, trace=wanted.trace))
        if not found:
            raise NotFoundError(f"run log {run_log.id} has no line {reference!r}: `burnish runs show {run_log.id}`")
        return found

    # the lists

    @cached_property
    def _datasets(self) -> list[DatasetManifest]:
        return self._curator.datasets()

    @cached_property
    def _evals(self) -> list[EvalManifest]:
        return self._curator.evals()

    @cached_property
    def _run_logs(self) -> list[RunLogManifest]:
        return self._curator.run_logs()

    @cached_property
    def _adapters(self) -> list[Tuned]:
        try:
            return [*self._inference.adapters(), *self._inference.remote_models()]
        except UnavailableError as error:
            self._unknown.append(f"adapters: {error.message}")
            return []

    def _find(self, kind: Kind, reference: str) -> Manifest | None:
        name, _, version = reference.partition("@")
        if kind == "eval":
            return next((one for one in self._evals if one.id == reference), None)
        if kind == "runlog":
            return next((one for one in self._run_logs if reference in (one.id, one.name)), None)
        if kind == "dataset":
            matching = (one for one in self._datasets if one.name == name and version in ("", "latest", one.version))
            return next(matching, None)
        parsed = parse_reference(reference)
        own = [one for one in self._adapters if parsed and one.name == parsed.name]
        if parsed is None or not own:
            return None
        exact = next((one for one in own if one.version == parsed.selector), None)
        if exact is None and parsed.is_alias:
            try:
                return self._inference.adapter(parsed.name, parsed.selector)
            except NotFoundError:
                return own[0] if "@" not in reference else None
        return exact or (None if parsed.is_version else own[0])

    # backwards

    def _origins(self, thing: Manifest) -> Iterator[Node]:
        """A dataset that an adapter among the parents was trained on is shown below that adapter alone."""
        if isinstance(thing, DatasetManifest):
            yield from self._rows_of(thing)
        adapters = [self._find("adapter", f"{p.name}@{p.digest}") for p in thing.parents if p.kind in TUNED]
        below = {(p.kind, p.digest) for adapter in adapters if adapter for p in adapter.parents}
        for parent in thing.parents:
            if parent.kind == "review" or (parent.kind, parent.digest) in below:
                continue
            yield self._origin(parent)

    def _origin(self, parent: Parent) -> Node:
        label = parent.name if parent.name == parent.digest else f"{parent.name}@{parent.digest}"
        kind: Any = "adapter" if parent.kind in TUNED else parent.kind
        if kind not in KINDS:
            return Node(parent.kind, label)
        found = self._find(kind, label)
        if found is None:
            return Node(parent.kind, label, self._why_gone(parent))
        return Node(parent.kind, label, _says(found), children=tuple(self._origins(found)))

    def _why_gone(self, parent: Parent) -> str:
        try:
            if parent.kind == "dataset":
                self._curator.dataset(parent.name, parent.digest)
        except BurnishError as error:
            return error.message.partition(":")[0] if error.reason == "ERASED" else "is not there any more"
        return "is not there any more"

    def _rows_of(self, dataset: DatasetManifest) -> Iterator[Node]:
        """What the rows were made from: each question with the lines that asked it, and who corrected it."""
        run_log = self._find("runlog", dataset.spec.run_log_id)
        if not isinstance(run_log, RunLogManifest):
            return
        split = dataset.split
        groups = [
            ("trained on", [*split.train, *split.validation]),
            ("replayed", split.anchors),
            ("held out", split.held_out),
        ]
        lines = self._lines_by_question(run_log, [question for _, ids in groups for question in ids])
        reviewers = self._reviewers(dataset)
        for says, ids in groups:
            questions = [
                Node(
                    "question",
                    question,
                    reviewers.get(question, "") if says != "replayed" else "",
                    children=tuple(
                        _line_node(line, _use(line, lines[question], dataset)) for line in lines.get(question, ())
                    ),
                )
                for question in ids
            ]
            if questions:
                yield Node("questions", says, f"{len(ids):,} questions", children=tuple(questions))

    def _reviewers(self, dataset: DatasetManifest) -> dict[str, str]:
        """Question id -> who corrected it, as the review says it; of a teacher's answer that nobody decided about, the teacher."""
        taught = {
            question_id: f"{origin.kind}, by {origin.teacher}"
            for origin in dataset.origins
            if origin.kind in ("grader-verified", "teacher")
            for question_id in origin.questions
        }
        return self._decided(dataset) | taught

    def _decided(self, dataset: DatasetManifest) -> dict[str, str]:
        try:
            items = self._curator.export_review(dataset.spec.run_log_id, dataset.spec.labels)
        except BurnishError as error:
            self._unknown.append(f"reviewers: {error.message}")
            return {}
        return {
            item.question_id: f"{item.state or 'corrected'}{f' by {item.author}' if item.author else ''}"
            for item in items
            if item.earlier_correction
        }

    def _lines(self, run_log: RunLogManifest, **among: Any) -> Iterator[Line]:
        offset = 0
        while True:
            page = self._curator.run_log_rows(run_log.id, offset=offset, limit=PAGE_ROWS, **among)
            yield from (Line(run_log, number, row) for number, row in zip(page.line_numbers, page.rows, strict=True))
            offset += len(page.rows)
            if offset >= page.total or not page.rows:
                return

    def _lines_by_question(self, run_log: RunLogManifest, ids: Sequence[str]) -> dict[str, list[Line]]:
        found: dict[str, list[Line]] = {question: [] for question in ids}
        for start in range(0, len(ids), QUESTIONS_AT_ONCE):
            for line in self._lines(run_log, question=list(ids[start : start + QUESTIONS_AT_ONCE])):
                found[line.row.question_id].append(line)
        return found

    # forwards

    def _of_lines(self, reference: str) -> Lineage:
        lines = self.find_lines(reference)
        family = {log.id: log for log in self._family(lines[0].run_log)}
        same = {run_key(line.row) for line in lines}
        questions = sorted({line.row.question_id for line in lines})
        seen_by: list[Node] = []
        for run_log in family.values():
            asked = self._lines_by_question(run_log, questions)
            copies = [line for found in asked.values() for line in found if run_key(line.row) in same]
            if run_log.id != lines[0].run_log.id and copies:
                seen_by.append(Node("runlog", run_log.id, f"{run_log.name}: {_numbers(copies)}"))
            for dataset in self._datasets:
                if dataset.spec.run_log_id == run_log.id:
                    seen_by += self._dataset_that_saw(dataset, copies, asked)
        shown = {node.name for top in seen_by for node in _below(top)}
        seen_by += [node for node in self._evals_that_asked(questions, family) if node.name not in shown]
        thing = Node("line", reference, children=tuple(_line_node(line) for line in lines))
        return Lineage(thing, seen_by=tuple(seen_by), unknown=self.unknown)

    def _dataset_that_saw(
        self, dataset: DatasetManifest, lines: Sequence[Line], asked: dict[str, list[Line]]
    ) -> Iterator[Node]:
        split = dataset.split
        uses = {
            "trained on": {*split.train, *split.validation},
            "replayed": {*split.anchors},
            "held out": {*split.held_out},
        }
        for says, ids in uses.items():
            own = [line for line in lines if line.row.question_id in ids]
            for line in own[:1]:
                use = _use(line, asked[line.row.question_id], dataset)
                yield Node(
                    "dataset",
                    _name(dataset),
                    f"question {says}" + (f"; {use}" if use else ""),
                    children=self._followers(dataset),
                )

    def _evals_that_asked(self, questions: Sequence[str], family: dict[str, RunLogManifest]) -> Iterator[Node]:
        benchmarks: dict[str, bool] = {}
        for one in self._evals:
            if any(p.kind == "runlog" and p.name in family for p in one.parents):
                yield Node("eval", one.id, f"{_says(one)}; takes answers from the run log")
                continue
            if one.benchmark not in benchmarks:
                benchmarks[one.benchmark] = self._asks(one.benchmark, questions)
            if benchmarks[one.benchmark]:
                yield Node("eval", one.id, f"{_says(one)}; asked the same question")

    def _asks(self, benchmark: str, questions: Sequence[str]) -> bool:
        name, _, version = benchmark.partition("/")
        try:
            asked = self._curator.benchmark_questions(name, version)
        except BurnishError as error:
            self._unknown.append(f"questions of benchmark {benchmark}: {error.message}")
            return False
        return not {question.question_id for question in asked}.isdisjoint(questions)

    def _family(self, run_log: RunLogManifest) -> list[RunLogManifest]:
        """The run log, those that it was made from, and those that were made from any of these: they have the same lines."""
        family = {run_log.id}
        while True:
            related = {run_log.id for run_log in self._run_logs for parent in run_log.parents if parent.name in family}
            related |= {parent.name for one in self._run_logs if one.id in family for parent in one.parents}
            if related <= family:
                return [run_log, *(one for one in self._run_logs if one.id in family and one.id != run_log.id)]
            family |= related

    def _followers(self, thing: Manifest) -> tuple[Node, ...]:
        """What was made from a thing, and what rests on it."""
        if isinstance(thing, RunLogManifest):
            wanted, candidates = thing.id, [*self._run_logs, *self._datasets, *self._evals]
        elif isinstance(thing, DatasetManifest | Tuned):
            wanted, candidates = thing.version, [*self._datasets, *self._adapters, *self._evals]
        else:
            return ()
        following = [one for one in candidates if one is not thing and any(p.digest == wanted for p in one.parents)]
        below = {
            one.id for adapter in following if isinstance(adapter, Tuned) for one in self._evals
            if any(p.digest == adapter.version for p in one.parents)
        }  # fmt: skip
        return tuple(
            Node(_kind(one), _name(one), _says(one), children=self._followers(one))
            for one in following
            if not (isinstance(one, EvalManifest) and one.id in below)
        )


def _below(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _below(child)


def _kind(thing: Manifest) -> Kind:
    kinds: dict[type[Manifest], Kind] = {
        EvalManifest: "eval", AdapterManifest: "adapter", RemoteModelManifest: "adapter", DatasetManifest: "dataset", RunLogManifest: "runlog"
    }  # fmt: skip
    return kinds[type(thing)]


def _name(thing: Manifest) -> str:
    if isinstance(thing, (RunLogManifest, EvalManifest)):
        return thing.id
    assert isinstance(thing, DatasetManifest | Tuned)
    return f"{thing.name}@{thing.version}"


def _says(thing: Manifest) -> str:
    if isinstance(thing, EvalManifest):
        return f"{thing.verdict}, on {thing.benchmark.replace('/', '@')}"
    if isinstance(thing, RunLogManifest):
        return f"{thing.name}, {thing.accepted:,} lines"
    if isinstance(thing, DatasetManifest):
        return f"{thing.spec.format}, {thing.counts.train + thing.counts.validation:,} rows"
    return thing.method if isinstance(thing, Tuned) else ""


def _line_node(line: Line, says: str = "") -> Node:
    row = line.row
    facts = {"question_id": row.question_id, "run_id": row.run_id, "trace_id": row.trace_id, "user_id": row.user_id}
    words = [row.grade or "ungraded", row.failure_label, says]
    return Node("line", line.name, ", ".join(word for word in words if word), {k: v for k, v in facts.items() if v})


def _numbers(lines: Iterable[Line]) -> str:
    numbers = sorted({line.number for line in lines})
    return f"line{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:5]))}{' …' if len(numbers) > 5 else ''}"


def _use(line: Line, asked: Sequence[Line], dataset: DatasetManifest) -> str:
    """Whether a row was made from this very line: the first that failed under the labels, or of an anchor the first that passes."""
    if line.row.question_id in dataset.split.anchors:
        made_from = next((one for one in asked if (one.row.grade or "").casefold() in PASSING_GRADES), None)
    else:
        made_from = next((one for one in asked if _failed_under(one.row, dataset.spec.labels)), None)
    return "its row is this line's" if made_from is not None and made_from.number == line.number else ""


def _failed_under(row: RunLogLine, labels: Sequence[str]) -> bool:
    failed = (row.grade or "").strip().casefold() in FAILING_GRADES
    return failed and row.retrieval_hit is not False and row.failure_label in labels
