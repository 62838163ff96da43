"""Canned texts are clusters of their own; a signature is several clusters only if its answers are several things."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cluster_making import Planted, agreement, canned, open_planted, planted, signed
from runlog_making import open_log, run

from burnish.clustering.failures import compare, failing_rows, read_failures
from burnish.clustering.finding import Draft, Found, describe, find, topics_of
from burnish.clustering.placing import place
from burnish.embedding.vectors import WordLlama

EMBEDDER = WordLlama()


def found_in(folder: Path, made: list[Planted]) -> Found:
    log, codes = open_planted(folder, made)
    return find(read_failures(log, codes, failing_rows(codes)), EMBEDDER, 0)


def likeness(found: Found, inside: np.ndarray) -> float:
    """Jaccard similarity of these rows with the cluster that has most of them."""
    numbers = found.cluster_R[inside]
    same = found.cluster_R == np.bincount(numbers[numbers >= 0]).argmax()
    return float((same & inside).sum() / (same | inside).sum())


@pytest.mark.parametrize(("seed", "wordings"), [(1, 0), (3, 3), (4, 3), (5, 0)])
def test_a_canned_text_is_a_cluster_of_its_own(tmp_path: Path, seed: int, wordings: int) -> None:
    made = canned("held", 200, seed, wordings)
    found = found_in(tmp_path, made)
    modes = np.array([each.mode for each in made])
    texts = {mode for mode in modes if mode[2] == "-"}
    assert len(texts) == 3
    often = [mode for mode in texts if (modes == mode).mean() > 0.07]
    assert len(often) >= 2
    assert [likeness(found, modes == mode) for mode in often] == [1.0] * len(often)
    assert agreement(found.cluster_R, modes) >= 0.80


def test_a_canned_text_is_called_by_its_opening_and_marked(tmp_path: Path) -> None:
    text = "Je suis désolé, je ne peux pas répondre à cette question."
    made = [Planted(f"On {each.topic}?", text, "fr", each.topic) for each in planted("held", 12, seed=5)]
    found = found_in(tmp_path, [*made, *planted("held", 48, seed=6)])
    (one,) = [cluster for cluster in found.clusters if cluster.canned]
    assert (one.name, one.size, one.distinct, one.stability) == ("je-suis-désolé-je-ne", 12, 1, None)


def test_a_name_in_a_canned_text_is_no_part_of_its_name(tmp_path: Path) -> None:
    names = ["Ana", "Luis", "Carmen", "Jorge"]
    made = [
        Planted(each.question, f"Hola {names[n % 4]}, un agente se pondrá en contacto. Caso {n}.", "es", each.topic)
        for n, each in enumerate(planted("held", 20, seed=5))
    ]
    found = found_in(tmp_path, [*made, *planted("held", 80, seed=6)])
    (one,) = [cluster for cluster in found.clusters if cluster.canned]
    assert (one.name, one.size) == ("hola-un-agente-se-pondrá", 20)


TOPICS = [
    "billing",
    "refunds",
    "shipping",
    "returns",
    "orders",
    "invoices",
    "taxes",
    "stock",
    "colours",
    "sizes",
    "prices",
    "offers",
]


@pytest.mark.parametrize("seed", [0, 1])
def test_answers_of_one_template_are_called_by_its_opening(tmp_path: Path, seed: int) -> None:
    """No word sets them apart, since there are no others. Twice the same opening is two names."""
    answers = [f"Your question about {topic} is not one that we answer." for topic in TOPICS]
    log, codes = open_log(tmp_path, [run(f"q{n}", answer=each, failure_label=None) for n, each in enumerate(answers)])
    failures = read_failures(log, codes, failing_rows(codes))
    assert [cluster.name for cluster in find(failures, EMBEDDER, seed).clusters] == ["your-question-about-is-not"]
    compared = compare(failures, EMBEDDER, seed)
    halves = np.arange(len(failures)) % 2
    found = describe(failures, compared, [Draft(), Draft()], halves, topics_of(failures, compared))
    assert [cluster.name for cluster in found.clusters] == [
        "your-question-about-is-not",
        "your-question-about-is-not-2",
    ]


def test_what_is_said_to_one_question_alone_is_no_name(tmp_path: Path) -> None:
    """A clustering holds no person's text, so that an erasure need not look there."""
    log, codes = open_log(tmp_path, [run("q", answer="Dear Anna Kowalska, no.", failure_label=None)] * 3)
    failures = read_failures(log, codes, failing_rows(codes))
    compared = compare(failures, EMBEDDER, 0)
    found = describe(failures, compared, [Draft()], np.zeros(3, dtype=int), topics_of(failures, compared))
    assert [cluster.name for cluster in found.clusters] == ["unnamed"]


def test_a_pattern_with_the_topic_filled_in_is_not_canned(tmp_path: Path) -> None:
    found = found_in(tmp_path, planted("held", 400, seed=3))
    assert not any(cluster.canned for cluster in found.clusters)


def with_signature(made: list[Planted], **fields: Any) -> list[dict[str, Any]]:
    return [
        run(f"s{n}", question=each.question, answer=each.answer, failure_label=None, **fields)
        for n, each in enumerate(made)
    ]


def plain(count: int, seed: int) -> list[dict[str, Any]]:
    return [
        run(f"p{n}", question=each.question, answer=each.answer, failure_label=None)
        for n, each in enumerate(planted("held", count, seed))
    ]


def test_a_signature_of_several_kinds_is_several_clusters_that_say_so(tmp_path: Path) -> None:
    kinds = ["invalid-json/xml", "invalid-json/table", "invalid-json/chatty"]
    made = signed("held", kinds, 240, seed=1)
    lines = with_signature(made, system_prompt="Answer with a JSON object.")
    log, codes = open_log(tmp_path / "a", lines + plain(100, 2))
    failures = read_failures(log, codes, failing_rows(codes))
    found = find(failures, EMBEDDER, 0)
    inside = [cluster for cluster in found.clusters if cluster.signature]
    assert {cluster.signature for cluster in inside} == {"invalid-json"}
    assert len(inside) == 3
    assert all(cluster.name.startswith("invalid-json-") and cluster.stability for cluster in inside)
    assert agreement(found.cluster_R[: len(made)], [each.mode for each in made]) >= 0.9

    later = signed("held", kinds, 60, seed=9)
    log, codes = open_log(tmp_path / "b", with_signature(later, system_prompt="Answer with a JSON object."))
    placed = place(read_failures(log, codes, failing_rows(codes)), failures, found, EMBEDDER, 0)
    assert all(cluster.known for cluster in placed.clusters)
    assert agreement(placed.cluster_R, [each.mode for each in later]) >= 0.9


def test_a_signature_of_one_kind_or_of_few_answers_stays_one(tmp_path: Path) -> None:
    one = signed("held", ["one/refusal"], 240, seed=1)
    few = signed("held", ["invalid-json/xml", "invalid-json/table"], 30, seed=1)
    lines = with_signature(one) + [
        {**line, "question_id": f"j{n}"}
        for n, line in enumerate(with_signature(few, system_prompt="Answer with a JSON object."))
    ]
    log, codes = open_log(tmp_path, lines + plain(100, 2))
    found = find(read_failures(log, codes, failing_rows(codes)), EMBEDDER, 0)
    sizes = {cluster.name: cluster.size for cluster in found.clusters if cluster.signature}
    assert set(sizes) == {"refusal", "invalid-json"}
    assert sizes["refusal"] > 150
    assert sizes["invalid-json"] == 30
