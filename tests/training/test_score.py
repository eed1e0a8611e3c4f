"""The score: known areas, void, near pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from softseg.errors import InputError
from softseg.training import pair_auc

LABELS = np.repeat(np.repeat([[0, 1], [2, 3]], 20, axis=0), 30, axis=1)


def test_perfect_and_chance() -> None:
    perfect = np.eye(4)[LABELS]
    assert pair_auc(perfect, LABELS) == 1
    noise = np.random.default_rng(0).normal(size=(*LABELS.shape, 1))
    assert pair_auc(noise, LABELS) == pytest.approx(0.5, abs=0.01)  # deviation 0.004
    assert pair_auc(np.zeros_like(noise), LABELS) == 0.5
    y, x = np.mgrid[0:40, 0:60]  # a checkerboard's colour says nothing about its halves
    assert pair_auc((y + x)[..., None] % 2, x // 30) == pytest.approx(0.5, abs=0.01)


def test_it_is_the_share_of_pairs_in_their_order() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(3, size=(6, 5))
    features = np.round(2 * rng.normal(size=(6, 5, 2)) + labels[..., None])  # rounded: with ties
    points, regions = features.reshape(30, 2), labels.ravel()
    same, different = [], []
    for i in range(30):
        for j in range(30):
            (same if regions[i] == regions[j] else different).append(np.linalg.norm(points[i] - points[j]))
    exact = np.mean([(b > a) + 0.5 * (b == a) for a in same for b in different])
    assert pair_auc(features, labels, pairs=100_000) == pytest.approx(exact, abs=0.005)


def test_void_does_not_count() -> None:
    features = np.eye(4)[LABELS]
    features[:20, :30] = np.random.default_rng(0).normal(size=(20, 30, 4))
    assert pair_auc(features, LABELS) < 1
    assert pair_auc(features, LABELS, void=0) == 1
    assert pair_auc(features, np.where(LABELS == 0, -1, LABELS)) == 1


def test_near_pairs_are_near() -> None:
    x = np.tile(np.arange(60.0), (40, 1))[..., None]  # tells only how far apart in x
    labels = (np.arange(60) // 30 + np.zeros((40, 1))).astype(int)
    assert pair_auc(x, labels) == pytest.approx(11 / 12, abs=0.01)  # for positions that are not whole numbers
    # Among neighbours of reach r both kinds differ little in x: a pair across the border is on average farther apart.
    assert 0.5 < pair_auc(x, labels, nearby=3) < 0.8


def test_without_one_kind_of_pair_there_is_no_score() -> None:
    assert math.isnan(pair_auc(np.zeros((5, 5, 1)), np.zeros((5, 5), int)))
    assert math.isnan(pair_auc(np.zeros((5, 5, 1)), np.full((5, 5), -1)))


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="size"):
        pair_auc(np.zeros((5, 4, 2)), np.zeros((4, 5), int))
    with pytest.raises(InputError, match="integers"):
        pair_auc(np.zeros((5, 4, 2)), np.zeros((5, 4)))
    with pytest.raises(InputError, match="at least 2 pairs"):
        pair_auc(np.zeros((5, 4, 2)), np.zeros((5, 4), int), pairs=1)
