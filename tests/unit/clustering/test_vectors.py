"""Vectors, their nearest neighbours, and near-duplicates: exact, and without a network."""

from __future__ import annotations

import numpy as np
import pytest

from burnish.clustering.communities import communities
from burnish.embedding import neighbours
from burnish.embedding.neighbours import leaders, nearest
from burnish.embedding.vectors import WordLlama, unit, without_common


def made(count: int, width: int = 16, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, width)))


@pytest.mark.parametrize("count", [1, 2, 7, 40, 333, 1500])
def test_the_nearest_are_those_that_a_full_comparison_finds(count: int) -> None:
    vectors = made(count)
    indices, cosines = nearest(vectors, 5)
    full = vectors @ vectors.T
    np.fill_diagonal(full, -2)
    expected = -np.sort(-full, axis=1)[:, : indices.shape[1]]
    assert indices.shape == (count, min(5, count - 1))
    np.testing.assert_allclose(-np.sort(-cosines, axis=1), expected, atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(full, indices.astype(int), axis=1), cosines, atol=1e-6)


def test_queries_may_find_themselves() -> None:
    vectors = made(200)
    indices, cosines = nearest(vectors, 1, vectors[:30])
    assert indices[:, 0].tolist() == list(range(30))
    np.testing.assert_allclose(cosines, 1, atol=1e-5)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = made(300)
    whole = nearest(vectors, 7)[1], leaders(vectors, 0.5)
    monkeypatch.setattr(neighbours, "BLOCK", 32)
    np.testing.assert_allclose(np.sort(nearest(vectors, 7)[1]), np.sort(whole[0]), atol=1e-6)
    stands = leaders(vectors, 0.5)
    assert ((vectors * vectors[stands]).sum(axis=1) >= 0.5 - 1e-6).all()
    assert (stands[stands] == stands).all()


def test_near_duplicates_have_one_leader_and_others_are_their_own() -> None:
    vectors = unit(np.repeat(made(10), 4, axis=0) + np.random.default_rng(1).normal(size=(40, 16)) * 0.01)
    assert leaders(vectors, 0.95).tolist() == [4 * (row // 4) for row in range(40)]
    assert leaders(np.zeros((3, 4), dtype=np.float32), 0.95).tolist() == [0, 1, 2]


def test_wordllama_needs_no_network_and_gives_texts_without_a_word_zeros() -> None:
    model = WordLlama()
    vectors = model.vectors(["where is my parcel", "", "my parcel has not come", "a fugue in c minor"])
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, model.reference.dimensions)
    assert not vectors[1].any()
    assert vectors[0] @ vectors[2] > vectors[0] @ vectors[3]
    assert model.reference.digest.startswith("sha256:")


def test_the_direction_that_all_share_is_taken_out() -> None:
    shared = unit(made(200) + 3 * np.eye(16, dtype=np.float32)[0])
    assert (shared @ shared.T).mean() > 0.5
    assert abs((without_common(shared) @ without_common(shared).T).mean()) < 0.1


def test_communities_are_found_again_by_the_same_seed_and_say_how_stable_they_are() -> None:
    middles = made(4)
    vectors = unit(np.repeat(middles, 40, axis=0) + np.random.default_rng(2).normal(size=(160, 16)) * 0.1)
    found, again = (communities(vectors, np.arange(160), seed=3) for _ in range(2))
    assert (found.of == again.of).all()
    assert (found.stability == again.stability).all()
    assert len({tuple(found.of[start : start + 40]) for start in range(0, 160, 40)}) == 4
    assert (found.stability > 0.9).all()
