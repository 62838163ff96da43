"""How clusterings read on a screen."""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_uppercase
from typing import TYPE_CHECKING

from burnish_client.cli.views import console

if TYPE_CHECKING:
    from burnish.schemas.clustering import Cluster, ClusteringManifest, ProposedName
    from burnish.schemas.runlog import RunLogLine

SHOWN_CLUSTERS = 20
HOT_CLUSTERS, HOT_TOPICS = 10, 8
SHOWN_CHARACTERS = 400


def row(manifest: ClusteringManifest) -> list[str]:
    edit = manifest.edit
    made_by = (
        f"{'names proposed for' if edit.kind == 'propose' else edit.kind} {', '.join(edit.clusters)}"
        if edit
        else f"find, like {manifest.spec.like}"
        if manifest.spec.like
        else "find"
    )
    return [
        manifest.version,
        f"{manifest.lines:,}",
        f"{len(manifest.clusters):,}",
        console.one_line(made_by),
        console.when(manifest.created_at),
    ]


def show_clustering(found: ClusteringManifest) -> None:
    """Counts, clusters, and where clusters and topics meet."""
    out = console.out()
    alone = f"{found.alone:,} in none: too few are like them" if found.alone else None
    pairs = [
        ("clustering", found.version),
        ("run log", found.name),
        ("failures", f"{found.lines:,} in {len(found.clusters):,} clusters on {len(found.topics):,} topics"),
        ("alone", alone),
        ("embedder", f"{found.embedder.name} {found.embedder.digest[:23]}"),
    ]
    out.print(console.facts(pairs))
    table = console.table("~cluster", ">failures", ">questions", ">distinct", ">stable", "found by")
    for cluster in found.clusters[:SHOWN_CLUSTERS]:
        table.add_row(
            console.one_line(cluster.name),
            f"{cluster.size:,}",
            f"{cluster.questions:,}",
            f"{cluster.distinct:,}",
            "" if cluster.stability is None else console.percent(cluster.stability),
            _found_by(cluster),
        )
    console.show_table(table)
    if len(found.clusters) > SHOWN_CLUSTERS:
        console.note(f"[dim]… and {len(found.clusters) - SHOWN_CLUSTERS:,} smaller ones: --json has them all[/]")
    show_proposals({cluster.name: cluster.proposed for cluster in found.clusters if cluster.proposed}, {})
    _show_heat(found)


def show_proposals(proposed: Mapping[str, ProposedName], refused: Mapping[str, str]) -> None:
    if proposed:
        table = console.table("~cluster", "~proposed name", "~what it says of them")
        for name, one in proposed.items():
            table.add_row(*(console.one_line(text) for text in (name, one.label, one.sentence)))
        console.show_table(table)
    for name, reason in refused.items():
        console.note(f"[yellow]no name for {console.one_line(name)}:[/] {console.one_line(reason)}")


def _found_by(cluster: Cluster) -> str:
    if cluster.known:
        return "known"
    if cluster.canned:
        return "one text"
    return "signature" if cluster.signature else "a person" if cluster.stability is None else "answers"


def _show_heat(found: ClusteringManifest) -> None:
    """Failures of the largest clusters by the largest topics, which have letters so that the table fits."""
    topics = list(found.topics)[:HOT_TOPICS]
    if len(topics) < 2 or not found.clusters:
        return
    letters = dict(zip(topics, ascii_uppercase, strict=False))
    heat = console.table("~failures by topic", *(f">{letter}" for letter in letters.values()), ">other")
    for cluster in found.clusters[:HOT_CLUSTERS]:
        counts = [cluster.topics.get(topic, 0) for topic in topics]
        cells = [f"{count:,}" if count else "[dim]·[/]" for count in [*counts, cluster.size - sum(counts)]]
        heat.add_row(console.one_line(cluster.name), *cells)
    console.out().print()
    console.show_table(heat)
    for topic, letter in letters.items():
        console.out().print(f"[dim]{letter}  {console.one_line(topic)}, {found.topics[topic]:,} failures[/]")


def show_cluster(cluster: Cluster, lines: Mapping[int, RunLogLine]) -> None:
    out = console.out()
    said, one = ", ".join(cluster.phrases), cluster.proposed
    proposed = f"{one.label}: {console.one_line(one.sentence)} ({console.one_line(one.model)})" if one else None
    topics = ", ".join(f"{console.one_line(topic)} {count:,}" for topic, count in list(cluster.topics.items())[:5])
    pairs = [
        ("cluster", console.one_line(cluster.name)),
        ("failures", f"{cluster.size:,} of {cluster.questions:,} questions, {cluster.distinct:,} distinct answers"),
        ("found by", f"signature {cluster.signature}" if cluster.signature else _found_by(cluster)),
        ("stable", None if cluster.stability is None else f"{console.percent(cluster.stability)} in subsamples"),
        ("proposed", proposed),
        ("says", console.one_line(said) or None),
        ("topics", topics),
    ]
    out.print(console.facts(pairs))
    for title, rows in (("typical", cluster.central), ("least typical", cluster.odd)):
        for line in (lines[number] for number in rows if number in lines):
            out.print(f"[bold]{title}[/], {console.one_line(line.question_id)}")
            asked, answered = (console.fold(text)[:SHOWN_CHARACTERS] for text in (line.question, line.answer))
            out.print(console.facts([("asked", asked), ("answered", answered)]))
