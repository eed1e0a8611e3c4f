"""The hard segmentation by features alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.random import default_rng

from softseg.baselines import feature_clusters
from softseg.errors import InputError
from softseg.segments.clusters import kmeans


def squared_distance(features: np.ndarray, labels: np.ndarray) -> float:
    """Of every pixel to the mean of its cluster, summed."""
    clusters = [features[labels == label] for label in range(labels.max() + 1)]
    return sum(float(((points - points.mean(axis=0)) ** 2).sum()) for points in clusters)


def test_finds_the_regions_largest_first() -> None:
    truth = np.repeat([2, 0, 0, 0, 1, 1], 5)[:, None].repeat(11, axis=1)
    features = np.eye(3)[truth] + 0.05 * default_rng(0).random((30, 11, 3))
    labels = feature_clusters(features, 3)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, truth)


@pytest.mark.parametrize("count", [1, 2, 5, 12, 40])
def test_every_label_occurs_and_areas_fall(count: int) -> None:
    areas = np.bincount(feature_clusters(default_rng(1).random((23, 31, 3)), count).ravel())
    assert len(areas) == count
    assert areas.min() > 0
    assert (np.diff(areas) <= 0).all()


def test_no_more_clusters_than_distinct_features() -> None:
    features = np.arange(3.0)[default_rng(2).integers(0, 3, (20, 20))][..., None]
    labels = feature_clusters(features, 7)
    assert np.unique(labels).tolist() == [0, 1, 2]
    assert squared_distance(features, labels) == 0
    assert not feature_clusters(np.ones((4, 4, 3)), 5).any()


def test_the_best_of_ten_starts() -> None:
    features = default_rng(3).random((40, 40, 3))
    points = features.reshape(-1, 3)
    starts = []
    for seed in range(10):
        distance = ((points[:, None] - kmeans(points, 9, seed=seed)) ** 2).sum(axis=2)
        starts.append(squared_distance(features, distance.argmin(axis=1).reshape(40, 40)))
    assert squared_distance(features, feature_clusters(features, 9)) == pytest.approx(min(starts), rel=1e-12)
    assert min(starts) < 0.99 * max(starts)


def test_large_photos_are_fitted_on_a_sample_but_labelled_everywhere() -> None:
    truth = default_rng(4).integers(0, 4, (150, 200))  # 30,000 pixels
    features = truth[..., None] + 0.1 * default_rng(5).random((150, 200, 3))
    labels = feature_clusters(features, 4)
    pairs = np.unique(np.stack([labels.ravel(), truth.ravel()]), axis=1)
    assert pairs.shape == (2, 4)  # one to one
    np.testing.assert_array_equal(labels, feature_clusters(features, 4))


@pytest.mark.parametrize(
    ("features", "layers", "sentence"),
    [
        (np.zeros((4, 4, 3)), 0, "0 layers were asked for: choose a whole number from 1"),
        (np.zeros((4, 4, 3)), 2.5, r"2\.5 layers were asked for"),
        (np.zeros((4, 4)), 2, r"shape \(4, 4\), expected \(h, w, D\)"),
        (np.full((4, 4, 3), np.nan), 2, "48 values that are NaN or infinite"),
        (np.zeros((0, 4, 3)), 2, r"shape \(0, 4, 3\)"),
    ],
)
def test_refuses(features: np.ndarray, layers: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        feature_clusters(features, layers)
