"""The clusters of the features, the nearest centre against all distances."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from softseg.segments import initial_clusters
from softseg.segments.clusters import kmeans


@pytest.mark.parametrize("shape", [(3, 1), (17, 31), (211, 203)])
def test_every_pixel_goes_to_its_nearest_centre(shape: tuple[int, int]) -> None:
    features = np.random.default_rng(0).random((*shape, 3))
    centers = kmeans(features.reshape(-1, 3), 20, seed=4)
    expected = ((features[:, :, None] - centers) ** 2).sum(axis=3).argmin(axis=2)
    np.testing.assert_array_equal(initial_clusters(features, 20, seed=4), expected)


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
