"""Names that a model proposes for clusters of failures. Called by `burnish clusters name`; a person accepts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from burnish.clustering.naming.proposals import RESPONSE_FORMAT, Example, naming_messages, read_proposal
from burnish.errors import InvalidInputError, UnavailableError
from burnish.schemas.benchmark import BenchmarkQuestion, GraderSpec
from burnish.schemas.clustering import Cluster, ClusteringManifest, Edit, ProposedName
from burnish_client.evaluation.asking.ask import ProgressCallback, Side, ask_sides
from burnish_client.evaluation.asking.chat import prompt_digest
from burnish_client.evaluation.request import Endpoint, Sampling
from burnish_client.sdk.curator import CuratorClient

CONCURRENCY = 16
MAX_TOKENS = 256  # of one reply


@dataclass(frozen=True)
class Naming:
    """clustering: the one that has the proposals now. refused: cluster -> why there is no proposal for it."""

    clustering: ClusteringManifest
    proposed: dict[str, ProposedName]
    refused: dict[str, str]


async def propose_names(
    client: CuratorClient,
    found: ClusteringManifest,
    clusters: Sequence[Cluster],
    namer: tuple[Endpoint, str],
    out: Path,
    progress: ProgressCallback | None = None,
) -> Naming:
    """Ask a model for the name of each cluster, by its typical and odd answers, and keep what can be used as a new version.

    namer: endpoint and model. out: JSONL of the replies; the same call after a kill asks only what is missing. Of two clusters with one
    label the larger has it. UnavailableError if every request failed; what `ask_sides` raises.
    """
    endpoint, model = namer
    asked: dict[str, tuple[Cluster, list[Example]]] = {}
    questions: list[BenchmarkQuestion] = []
    for cluster in clusters:
        typical, odd = (_examples(client, found.name, lines) for lines in (cluster.central, cluster.odd))
        messages = naming_messages(cluster, typical, odd)
        name = f"{len(questions)}:{prompt_digest(messages)[:16]}"
        spec = GraderSpec(name="exact")
        questions.append(BenchmarkQuestion(question_id=name, messages=messages, expected_answer="a name", grader=spec))
        asked[name] = (cluster, [*typical, *odd])
    sampling = Sampling(MAX_TOKENS, extra={"response_format": RESPONSE_FORMAT})
    (answers,) = await ask_sides(
        [Side(endpoint, model, out)], questions, sampling=sampling, concurrency=CONCURRENCY, progress=progress
    )
    if answers and all(answer.text is None for answer in answers):
        raise UnavailableError(f"{endpoint.url} named no cluster: {answers[0].error}")
    taken = {cluster.name: "the name of a cluster" for cluster in found.clusters}
    taken |= {
        cluster.proposed.label: f"a proposal for {cluster.name!r}"
        for cluster in found.clusters
        if cluster.proposed and cluster not in clusters
    }
    proposed: dict[str, ProposedName] = {}
    refused: dict[str, str] = {}
    for answer in answers:
        cluster, examples = asked[answer.question_id]
        try:
            if answer.text is None:
                raise InvalidInputError(f"the request failed: {answer.error}")
            proposal = read_proposal(answer.text, model, examples, taken)
            _check_logged(client, found.name, proposal.label)
        except InvalidInputError as error:
            refused[cluster.name] = error.message
            continue
        proposed[cluster.name] = proposal
        taken[proposal.label] = f"a proposal for {cluster.name!r}"
    if proposed:
        edit = Edit(kind="propose", clusters=list(proposed), proposals=list(proposed.values()))
        found = client.edit_clustering(found.name, found.version, edit)
    return Naming(found, proposed, refused)


def _examples(client: CuratorClient, run_log_id: str, lines: Sequence[int]) -> list[Example]:
    rows = client.run_log_rows(run_log_id, line=list(lines)).rows if lines else []
    return [(row.question, row.answer) for row in rows]


def _check_logged(client: CuratorClient, run_log_id: str, label: str) -> None:
    try:
        client.run_log_rows(run_log_id, label=label, limit=1)
    except InvalidInputError as error:
        if error.metadata.get("field") == "label":  # no line has it
            return
        raise
    raise InvalidInputError(
        f"the label {label!r} is taken, by lines that were logged with it, which are other failures"
    )
