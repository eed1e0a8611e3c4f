"""Grouping that looks at the borders between soft segments, and the number of layers it finds by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from softseg.errors import InputError
from softseg.pipeline import decompose
from softseg.segments import group, segment_tree
from softseg.segments.borders import Borders
from softseg.segments.grouping import seen_areas
from softseg.segments.merging import MergeTree, merge_tree
from softseg.settings import GroupingSettings, Settings
from tests.reference import merging as reference

SHAPE = (24, 40)


def one_hot(labels: np.ndarray) -> np.ndarray:
    """(m, h, w) segments of hard labels."""
    return (labels == np.arange(labels.max() + 1)[:, None, None]).astype(float)


def random_regions(seed: int, count: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels of nearest random points, a noisy image and noisy features, (h, w), (h, w, 3) and (h, w, 2)."""
    rng = np.random.default_rng(seed)
    points = rng.random((count, 2)) * SHAPE
    grid = np.stack(np.mgrid[: SHAPE[0], : SHAPE[1]], axis=-1)
    labels = ((grid[:, :, None] - points) ** 2).sum(axis=-1).argmin(axis=-1)
    image = (rng.random((count, 3))[labels] + 0.05 * rng.normal(size=(*SHAPE, 3))).clip(0, 1)
    features = rng.random((count, 2))[labels] + 0.05 * rng.normal(size=(*SHAPE, 2))
    return labels, image, features


def slow_borders(labels: np.ndarray, count: int, values: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of pairs and sum of differences between the two sides of every border, pair by pair."""
    pairs, sums = np.zeros((count, count)), np.zeros((count, count))
    h, w = labels.shape
    for y in range(h):
        for x in range(w):
            for v, u in ((y + reach, x), (y, x + reach)):
                if v < h and u < w and labels[y, x] != labels[v, u]:
                    a, b = labels[y, x], labels[v, u]
                    for i, j in ((a, b), (b, a)):
                        pairs[i, j] += 1
                        sums[i, j] += np.sqrt(((values[y, x] - values[v, u]) ** 2).sum())
    return pairs, sums


@pytest.mark.parametrize("reach", [1, 3])
def test_borders_are_sums_over_pairs_of_pixels(reach: int) -> None:
    labels, image, features = random_regions(0)
    borders = Borders.between(labels, 8, image, features, reach)
    pairs, sums = slow_borders(labels, 8, features, reach)
    np.testing.assert_array_equal(borders.pairs, pairs)
    np.testing.assert_allclose(borders.features, sums, rtol=1e-12)
    assert pairs.sum() > 100


def test_the_contrast_of_colors_sees_a_step_and_not_the_noise() -> None:
    labels = np.repeat([[0, 1, 2]], 60, axis=0).repeat(30, axis=1)
    noise = 0.1 * np.random.default_rng(0).normal(size=(60, 90, 3))
    image = np.array([0.2, 0.2, 0.8])[labels][..., None] + noise
    borders = Borders.between(labels, 3, image, image, 6)
    color, feature = borders.contrast(np.full((3, 3), 9.0), np.full((3, 3), 7.0))
    step = 0.6 * np.sqrt(3)
    assert 0.65 * step < color[1, 2] < step  # smoothed, and seen from all distances below the reach
    assert color[0, 1] < 0.1 * step < feature[0, 1]  # features are not smoothed: they have been
    assert (color[0, 2], feature[0, 2]) == (9, 7)  # they do not touch


def test_a_photo_smaller_than_the_reach_has_no_borders() -> None:
    labels, image, features = random_regions(0)
    assert not Borders.between(labels, 8, image, features, 50).pairs.any()


def test_merged_borders_are_those_of_merged_segments() -> None:
    labels, image, features = random_regions(1)
    borders = Borders.between(labels, 8, image, features, 2)
    borders.merge(2, 5)
    labels = np.where(labels == 5, 2, labels)
    again = Borders.between(labels, 8, image, features, 2)
    for merged, expected in zip(vars(borders).values(), vars(again).values(), strict=True):
        np.testing.assert_allclose(merged, expected, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_tree_is_that_of_the_formula(seed: int) -> None:
    labels, image, features = random_regions(seed)
    tree = segment_tree(one_hot(labels), features, image)
    merges, costs = reference.merges(labels, image, features, np.ones((2, 2)), GroupingSettings())
    assert tree.merges == merges
    np.testing.assert_allclose(tree.costs, costs, rtol=1e-6)


def test_large_areas_that_may_be_one_thing_are_joined_first() -> None:
    """The halves of a sky differ a little more than those of a kite, and are joined before them."""
    y, x = np.mgrid[:60, :80]
    labels = np.where(x < 40, 0, 1)
    kite = (abs(y - 30) < 6) & (abs(x - 40) < 6)
    labels[kite] = np.where(x < 40, 2, 3)[kite]
    features = np.stack([0.2 + 0.03 * (x >= 40), 0.0 * x, 0.0 * x], axis=-1)
    features[kite] = np.stack([0.8 + 0.02 * (x >= 40), 0.0 * x, 0.0 * x], axis=-1)[kite]
    merged = {
        joining: segment_tree(one_hot(labels), features, features, GroupingSettings(joining=joining)).merges[0]
        for joining in (0.0, GroupingSettings().joining)
    }
    assert merged == {0.0: (2, 3), GroupingSettings().joining: (0, 1)}


def sky_and_kite() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A sky whose features and colours change slowly from segment 0 to 1, and a small kite, 2, between the two."""
    y, x = np.mgrid[:60, :80]
    labels = np.where(x < 40, 0, 1)
    kite = (abs(y - 30) < 6) & (abs(x - 20) < 6)
    image = np.stack([0.3 + 0.005 * x, 0.4 + 0.0 * x, 0.9 - 0.003 * x], axis=-1)
    image[kite] = (0.9, 0.1, 0.1)
    features = np.stack([0.8 * x / 80, 0.2 + 0.0 * x, 0.0 * x], axis=-1)
    features[kite, 1] = 0.5
    return np.where(kite, 2, labels), image, features


def test_no_border_no_parting() -> None:
    """The ends of the sky differ more in features than the kite from the sky; only the borders tell otherwise."""
    labels, image, features = sky_and_kite()
    assert group(one_hot(labels), features, 2)[1].tolist() != [0, 0, 1]
    assert group(one_hot(labels), features, 2, image=image)[1].tolist() == [0, 0, 1]


def test_an_image_of_another_size_is_refused() -> None:
    labels, image, features = random_regions(0)
    with pytest.raises(InputError, match=r"\(24, 39, 3\) does not have the 960 pixels"):
        group(one_hot(labels), features, 2, image=image[:, 1:])


def test_clusters_apart_end_before_the_first_dear_merge() -> None:
    tree = MergeTree([(0, 1), (2, 3), (0, 2), (0, 4)], [0.1, 0.5, 0.3, 0.9])
    assert [tree.clusters_apart(cost) for cost in (0.05, 0.1, 0.4, 0.5, 1.0)] == [5, 4, 4, 2, 1]


def test_clusters_apart_by_costs_that_fall_and_are_negative() -> None:
    tree = MergeTree([(0, 1), (0, 2), (3, 4), (0, 3)], [-0.4, -0.5, 0.2, 0.1])
    assert [tree.clusters_apart(cost) for cost in (-1.0, -0.4, 0.15, 0.2)] == [5, 3, 3, 1]


@pytest.mark.parametrize("apart", [0.0, -1.0, float("nan")])
def test_an_unlikeness_that_cannot_be_divided_by_is_refused(apart: float) -> None:
    with pytest.raises(InputError, match=r"grouping.apart is .*choose a number above 0"):
        Settings(grouping=GroupingSettings(apart=apart))


def test_ward_needs_no_borders() -> None:
    points = np.array([[0.0], [0.1], [1.0]])
    tree = merge_tree(points, np.array([1.0, 1.0, 2.0]))
    assert tree.merges == [(0, 1), (0, 2)]
    np.testing.assert_allclose(tree.costs, [0.125 * 0.01, 0.25 * 0.95**2])


@pytest.mark.parametrize("parts", [2, 3, 6])
def test_auto_finds_as_many_layers_as_there_are_parts(parts: int) -> None:
    rng = np.random.default_rng(parts)
    labels = np.repeat(np.arange(parts)[None], 32, axis=0).repeat(96 // parts, axis=1)
    colors = np.stack([np.arange(parts) % 2, np.arange(parts) // 2 % 2, np.arange(parts) // 4], axis=1)
    image = (0.15 + 0.7 * colors[labels] + 0.02 * rng.normal(size=(*labels.shape, 3))).clip(0, 1)
    few = Settings.for_solver("fast")
    few = replace(few, constrained=replace(few.constrained, clusters=12, iterations=12))
    parts_of = decompose(image, features=image, settings=few)
    assert parts_of.natural_count == parts
    result = parts_of.layers("auto")
    assert len(result) == parts
    assert np.array_equal(result.alphas, parts_of.layers(parts).alphas)
    one = replace(few, grouping=GroupingSettings(automatic_cost=1e9))
    assert replace(parts_of, settings=one).natural_count == 2
    all_of_them = replace(few, grouping=GroupingSettings(automatic_cost=0, automatic_most=4))
    assert replace(parts_of, settings=all_of_them).natural_count == min(4, len(parts_of.segments))


def test_a_haze_that_is_the_largest_nowhere_is_joined_before_things() -> None:
    """Three stripes and a faint segment over all of them, whose mean features are those of none."""
    image, stripe = np.zeros((30, 60, 3)), np.arange(60) // 20
    image[:] = np.array([[0.1, 0.1, 0.8], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])[stripe]
    things = np.repeat((stripe == np.arange(3)[:, None])[:, None], 30, axis=1).reshape(3, -1)
    segments = np.concatenate([0.8 * things, np.full((1, 1800), 0.2)])
    tree = segment_tree(segments, image, image)
    assert len(set(tree.cut(3)[:3])) == 3 and tree.clusters_apart(GroupingSettings().automatic_cost) == 3
    owners = segments.argmax(axis=0)
    np.testing.assert_array_equal(seen_areas(np.array([480.0, 480, 480, 360]), owners), [480, 480, 480, 0])
    owners[:2] = 3  # one pixel in a thousand, and another
    np.testing.assert_array_equal(seen_areas(np.array([480.0, 480, 480, 360]), owners), [480, 480, 480, 360])
