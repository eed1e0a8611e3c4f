"""k-means of the features against SciPy's, and the nearest centre against all distances."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy.cluster.vq import kmeans2

from softseg.segments import clusters, initial_clusters
from softseg.segments.clusters import kmeans, nearest


@pytest.mark.parametrize("n", [1, 511, 512, 513, 3000])
@pytest.mark.parametrize(("depth", "count"), [(1, 1), (3, 40), (19, 7)])
def test_nearest_is_the_least_of_all_distances(n: int, depth: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(n)
    points, centers = rng.random((n, depth)), rng.random((count, depth))
    expected = ((points[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)
    found = nearest(points, centers)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)
    monkeypatch.setattr(clusters, "_STRIP", 700)  # several strips
    np.testing.assert_array_equal(nearest(np.asfortranarray(points), centers), expected)


def test_the_first_of_equal_centres_is_the_nearest() -> None:
    centers = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    assert nearest(np.array([[0.5, 0.5], [0.9, 0.0]]), centers).tolist() == [0, 1]


@pytest.mark.parametrize(("n", "depth", "count"), [(50, 3, 40), (3001, 3, 40), (1000, 19, 20), (700, 1, 2)])
def test_kmeans_is_that_of_scipy(n: int, depth: int, count: int) -> None:
    for seed in range(3):
        points = np.random.default_rng(seed).random((n, depth))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an empty cluster
            rng = np.random.default_rng(seed)
            centers, labels = kmeans2(points, count, iter=30, minit="++", seed=rng)
        np.testing.assert_allclose(kmeans(points, count, seed=seed), centers[np.unique(labels)], rtol=0, atol=1e-12)


def test_few_distinct_points_among_many_are_their_own_centres() -> None:
    few = np.random.default_rng(0).random((5, 3))
    points = few[np.random.default_rng(1).integers(0, 5, 4000)]
    np.testing.assert_array_equal(kmeans(points, 5, seed=0), np.unique(few, axis=0))
    points[-1] = 2  # only there: not among the first that are looked at
    assert len(kmeans(points, 6, seed=0)) == 6


def test_clusters_do_not_depend_on_threads() -> None:
    features = np.random.default_rng(0).random((211, 203, 3))
    threads = torch.get_num_threads()
    try:
        found = []
        for number in (1, 3):
            torch.set_num_threads(number)
            found.append(initial_clusters(features, 40).tobytes())
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1]
