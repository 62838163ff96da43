"""Failures without labels become named clusters; a person edits them; a later log is put into them. On answers whose way to fail was planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cluster_making import agreement, intents, open_planted, planted
from runlog_making import open_log, run

from burnish.clustering.communities import NEAR_DUPLICATE, communities
from burnish.clustering.edits import check_edit, merge, rename, split
from burnish.clustering.failures import Failures, compare, failing_rows, read_failures
from burnish.clustering.finding import ALONE, Found, find
from burnish.clustering.placing import place
from burnish.clustering.storage import given_labels, read_rows, seal
from burnish.diagnosis import diagnose, read_codes
from burnish.embedding.neighbours import leaders
from burnish.embedding.vectors import WordLlama
from burnish.erasure.parts import rewrite
from burnish.errors import InvalidInputError, NotFoundError, PreconditionError
from burnish.runlogs.reader import RunLogReader
from burnish.schemas.clustering import ClusteringSpec, Edit

EMBEDDER = WordLlama()
MADE = planted("held", 600, seed=11)


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> Failures:
    log, codes = open_planted(tmp_path_factory.mktemp("log"), MADE)
    return read_failures(log, codes, failing_rows(codes))


@pytest.fixture(scope="module")
def found(failures: Failures) -> Found:
    return find(failures, EMBEDDER, seed=0)


def test_intents_are_found_by_the_default_embedder() -> None:
    texts, labels = intents("held", 1500, seed=7)
    vectors = EMBEDDER.vectors(texts)
    assert agreement(communities(vectors, leaders(vectors, NEAR_DUPLICATE), 0).of, labels) >= 0.70


def test_planted_ways_to_fail_are_found_and_topics_apart_from_them(found: Found) -> None:
    modes, topics = [each.mode for each in MADE], [each.topic for each in MADE]
    assert agreement(found.cluster_R, modes) >= 0.80
    assert agreement(found.cluster_R, topics) < 0.05
    assert agreement(found.topic_R, topics) >= 0.80


def test_a_cluster_has_a_name_to_type_counts_and_examples(found: Found) -> None:
    names = [cluster.name for cluster in found.clusters]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalnum() for name in names)
    assert [cluster.size for cluster in found.clusters] == sorted((c.size for c in found.clusters), reverse=True)
    for number, cluster in enumerate(found.clusters):
        rows = set(found.line_R[found.cluster_R == number].tolist())
        assert len(rows) == cluster.size == sum(cluster.topics.values())
        assert set(cluster.central) | set(cluster.odd) <= rows
        assert cluster.central
        assert cluster.distinct <= cluster.size
        assert cluster.stability is not None
    assert any("arr" in name or "matey" in name for name in names)


def test_signatures_come_first_and_share_the_names_of_runs_grade(tmp_path: Path) -> None:
    lines = [run(f"a{i}", answer="", failure_label=None) for i in range(4)]
    lines += [run(f"b{i}", answer=f"I'm sorry, but I can't help with {i}.", failure_label=None) for i in range(5)]
    lines += [run(f"c{i}", answer="The tariff is four euros", failure_label=None) for i in range(6)]
    lines += [run("d", answer="A quince ripens in October", failure_label=None), run("e", failure_label="empty")]
    log, codes = open_log(tmp_path, lines)
    found = find(read_failures(log, codes, failing_rows(codes)), EMBEDDER, 0, ["empty"])
    sizes = {cluster.name: (cluster.size, cluster.signature) for cluster in found.clusters}
    assert sizes.pop("refusal") == (5, "refusal")
    assert sizes.pop("empty") == (4, "empty")
    assert list(sizes.values()) == [(6, None)]
    assert found.cluster_R[found.row_R == 15].tolist() == [ALONE]


def test_examples_are_of_different_questions_where_a_log_has_several_runs_of_each(tmp_path: Path) -> None:
    things = [
        "a loan",
        "the weather in Oslo",
        "my tax",
        "a poem on bees",
        "two bikes",
        "this lock",
        "old maps",
        "a fever",
    ]
    lines = [
        run(f"q{n}", answer=f"I'm sorry, but I can't help with {thing}.", failure_label=None, run_id=f"r{again}")
        for n, thing in enumerate(things)
        for again in range(2)
    ]
    log, codes = open_log(tmp_path, lines)
    [cluster] = find(read_failures(log, codes, failing_rows(codes)), EMBEDDER, 0).clusters
    for examples in (cluster.central, cluster.odd):
        questions = [lines[line - 1]["question_id"] for line in examples]
        assert len(set(questions)) == len(questions) > 1


def test_a_log_without_unlabelled_failures_says_what_to_do(tmp_path: Path) -> None:
    log, codes = open_log(tmp_path, [run("a")])
    with pytest.raises(PreconditionError, match="--label"):
        find(read_failures(log, codes, failing_rows(codes)), EMBEDDER, 0)
    assert failing_rows(codes, ["not-json"]).tolist() == [0]
    with pytest.raises(InvalidInputError, match="there are not-json"):
        failing_rows(codes, ["nope"])


def test_a_clustering_decides_labels_that_diagnosis_and_rows_read(tmp_path: Path, found: Found) -> None:
    log, _ = open_planted(tmp_path, MADE)
    manifest, content = seal("log1", ClusteringSpec(), EMBEDDER.reference, found)
    again, other = (seal("log1", ClusteringSpec(), EMBEDDER.reference, found)[0] for _ in range(2))
    assert manifest.version == again.version == other.version
    labelled = log.labelled(given_labels(read_rows(content, manifest, log)))
    clusters = {c.label: c.size for c in diagnose("log1", labelled, read_codes(labelled)).clusters}
    assert {cluster.name: cluster.size for cluster in found.clusters}.items() <= clusters.items()
    largest = found.clusters[0]
    assert [line.failure_label for line in labelled.lines([n - 1 for n in largest.central])] == [largest.name] * len(
        largest.central
    )
    assert labelled.find(failure_label=[largest.name]).tolist() == found.row_R[found.cluster_R == 0].tolist()
    assert next(iter(log.lines([0]))).failure_label is None


def test_logged_labels_stay_unless_they_are_clustered(tmp_path: Path) -> None:
    log, codes = open_log(tmp_path, [run("a"), run("b", failure_label=None, answer=""), run("c", failure_label="old")])
    found = find(read_failures(log, codes, failing_rows(codes, ["old"])), EMBEDDER, 0)
    labels = [line.failure_label for line in log.labelled(given_labels(found)).lines([0, 1, 2])]
    assert labels == ["not-json", "empty", None]


def test_a_person_renames_merges_and_splits(failures: Failures, found: Found) -> None:
    first, second = found.clusters[0], found.clusters[1]
    renamed = rename(found, 0, "my name")
    assert renamed.clusters[0].name == "my name"
    assert (renamed.cluster_R == found.cluster_R).all()
    together = merge(found, [0, 1], "both", failures.question_R)
    assert together.clusters[0].name == "both"
    assert together.clusters[0].size == first.size + second.size
    assert len(together.clusters) == len(found.clusters) - 1
    assert np.bincount(together.cluster_R[together.cluster_R >= 0]).tolist() == [c.size for c in together.clusters]
    compared = compare(failures, EMBEDDER, 0)
    parts = split(together, 0, 2, failures, compared, [], 0)
    assert len(parts.clusters) == len(together.clusters) + 1
    assert np.bincount(parts.cluster_R[parts.cluster_R >= 0]).tolist() == [c.size for c in parts.clusters]
    was = together.cluster_R == 0
    assert len(np.unique(parts.cluster_R[was])) == 2
    assert sum(c.size for c in parts.clusters) == sum(c.size for c in together.clusters)


def proposal(label: str) -> dict[str, str]:
    return {"label": label, "sentence": "They do it.", "model": "m"}


@pytest.mark.parametrize(
    ("edit", "error", "said"),
    [
        ({"kind": "rename", "clusters": ["nope"], "name": "x"}, NotFoundError, "no cluster 'nope'"),
        ({"kind": "merge", "clusters": ["A"]}, InvalidInputError, "two clusters"),
        ({"kind": "rename", "clusters": ["A"]}, InvalidInputError, "takes the new name"),
        ({"kind": "rename", "clusters": ["A"], "name": "B"}, InvalidInputError, "merge them"),
        ({"kind": "rename", "clusters": ["A"], "name": "logged"}, InvalidInputError, "logged with"),
        ({"kind": "split", "clusters": ["A", "B"]}, InvalidInputError, "takes one cluster"),
        ({"kind": "propose", "clusters": ["A"]}, InvalidInputError, "one proposal for each"),
        (
            {"kind": "propose", "clusters": ["A"], "proposals": [proposal("logged")]},
            InvalidInputError,
            "'logged' is taken",
        ),
        (
            {"kind": "propose", "clusters": ["A", "B"], "proposals": [proposal("one")] * 2},
            InvalidInputError,
            "'one' is taken",
        ),
    ],
)
def test_an_edit_that_cannot_be_made_says_why(
    found: Found, edit: dict[str, object], error: type[Exception], said: str
) -> None:
    names = {"A": found.clusters[0].name, "B": found.clusters[1].name}
    edit["clusters"] = [names.get(name, name) for name in edit["clusters"]]  # type: ignore[attr-defined]
    edit["name"] = names.get(str(edit.get("name")), edit.get("name"))
    with pytest.raises(error, match=said):
        check_edit(found, Edit.model_validate(edit), ["logged"])


def test_a_later_log_is_put_into_known_clusters_and_new_ways_are_new(
    tmp_path: Path, failures: Failures, found: Found
) -> None:
    later = list(planted("held", 200, seed=99))
    other = [each for each in planted("tuned", 400, seed=5) if each.mode == "sales-pitch"]
    log, codes = open_planted(tmp_path, [*later, *other])
    placed = place(read_failures(log, codes, failing_rows(codes)), failures, found, EMBEDDER, 0)
    known = np.array([number >= 0 and placed.clusters[number].known for number in placed.cluster_R])
    assert known[: len(later)].mean() > 0.8
    assert known[len(later) :].mean() < 0.1
    mode_of = {
        cluster.name: max((modes := [MADE[i].mode for i in np.flatnonzero(found.cluster_R == number)]), key=modes.count)
        for number, cluster in enumerate(found.clusters)
    }
    right = [
        mode_of[placed.clusters[placed.cluster_R[i]].name] == each.mode for i, each in enumerate(later) if known[i]
    ]
    assert np.mean(right) > 0.9


def test_lines_that_an_erasure_took_leave_the_others_as_they_are(tmp_path: Path, found: Found) -> None:
    log, _ = open_planted(tmp_path / "whole", MADE)
    manifest, content = seal("log1", ClusteringSpec(), EMBEDDER.reference, found)
    whole = [line.failure_label for line in log.labelled(given_labels(found)).lines(range(len(MADE)))]
    (part,) = (tmp_path / "whole").glob("part-*")
    rewrite([part], range(1, 101), folder := tmp_path)
    less = RunLogReader(sorted(folder.glob("part-*")))
    left = less.labelled(given_labels(read_rows(content, manifest, less)))
    assert [line.failure_label for line in left.lines(range(left.rows))] == whole[100:]
