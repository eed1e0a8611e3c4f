"""Grouping by a map of boundaries: against the formulas pixel by pixel, and what it must not break."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from softseg import pipeline
from softseg.errors import InputError
from softseg.pipeline import decompose
from softseg.segments import group, segment_tree
from softseg.segments.borders import Borders
from softseg.settings import GroupingSettings, Settings
from tests.reference import merging

from .test_grouping import one_hot, random_regions


def random_map(seed: int, size: tuple[int, int] = (7, 11)) -> np.ndarray:
    return np.random.default_rng(seed).random(size).astype(np.float32) ** 2


@pytest.mark.parametrize("size", [(7, 11), (24, 40), (1, 1), (30, 3)])
def test_shares_are_means_along_the_borders(size: tuple[int, int]) -> None:
    labels, image, features = random_regions(0)
    boundaries = random_map(3, size)
    seen = Borders.between(labels, 8, image, features, 2, boundaries).seen()
    touching = 0
    for a in range(8):
        for b in range(a):
            expected = merging.mean_share(labels, boundaries, a, b)
            assert seen[a, b] == seen[b, a] == pytest.approx(expected, rel=1e-12)
            touching += expected < 1
    assert touching >= 8 or size == (1, 1)


def test_without_a_map_every_border_is_seen() -> None:
    labels, image, features = random_regions(0)
    assert (Borders.between(labels, 8, image, features, 2).seen() == 1).all()


def test_shares_of_merged_segments() -> None:
    labels, image, features = random_regions(1)
    borders = Borders.between(labels, 8, image, features, 2, random_map(0))
    borders.merge(2, 5)
    again = Borders.between(np.where(labels == 5, 2, labels), 8, image, features, 2, random_map(0))
    assert np.ptp(again.seen()) > 0.1
    np.testing.assert_allclose(borders.seen(), again.seen(), rtol=1e-12)
    np.testing.assert_array_equal(borders.lengths, again.lengths)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("settings", [GroupingSettings(), GroupingSettings(0.5, 0.1, 0.02, 0.3, 1.5, 0.3)])
def test_the_tree_is_that_of_the_formula(seed: int, settings: GroupingSettings) -> None:
    labels, image, features = random_regions(seed, 6)
    boundaries = random_map(seed)
    tree = segment_tree(one_hot(labels), features, image, settings, boundaries=boundaries)
    order, costs = merging.merges(labels, image, features, boundaries, settings)
    assert tree.merges == order
    np.testing.assert_allclose(tree.costs, costs, rtol=1e-6)
    assert tree.costs != segment_tree(one_hot(labels), features, image, settings).costs


def test_what_nobody_would_part_becomes_one() -> None:
    """Four quarters, all alike in colours and features: the map alone says which two belong together."""
    labels = np.repeat(np.repeat([[0, 1], [2, 3]], 20, axis=0), 20, axis=1)
    rng = np.random.default_rng(0)
    image, features = (0.5 + 0.1 * rng.normal(size=(40, 40, 3)) for _ in range(2))
    features += 0.2 * np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.6, 0.6]])[labels]
    across = np.zeros((11, 11))
    across[5] = 1  # a line between the upper and the lower half
    for boundaries, expected in ((across, [0, 0, 1, 1]), (across.T, [0, 1, 0, 1])):
        assert group(one_hot(labels), features, 2, image=image, boundaries=boundaries)[1].tolist() == expected


@pytest.mark.parametrize("wrong", [np.zeros(5), np.full((3, 3), np.nan), np.full((3, 3), 1.5), np.zeros((0, 3))])
def test_a_map_that_is_none_is_refused(wrong: np.ndarray) -> None:
    labels, image, features = random_regions(0)
    with pytest.raises(InputError, match=r"boundaries .* expected a .y, x. map of shares"):
        group(one_hot(labels), features, 2, image=image, boundaries=wrong)


def test_a_map_needs_the_image() -> None:
    labels, _, features = random_regions(0)
    with pytest.raises(InputError, match="without an image"):
        segment_tree(one_hot(labels), features, boundaries=random_map(0))


def small_settings() -> Settings:
    few = Settings.for_solver("fast")
    return replace(few, constrained=replace(few.constrained, clusters=12, iterations=12))


def photo(size: tuple[int, int] = (48, 64), seed: int = 0) -> np.ndarray:
    """A few flat patches with noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((3, 4, 3))
    rows, columns = (np.arange(n) * cells // n for n, cells in zip(size, (3, 4), strict=True))
    return (coarse[rows][:, columns] + 0.02 * rng.normal(size=(*size, 3))).clip(0, 1)


@pytest.mark.parametrize("size", [(16, 16), (48, 64), (61, 17)])
def test_layers_are_nested(size: tuple[int, int]) -> None:
    image = photo(size)
    parts = decompose(image, features=image, settings=small_settings())
    for count in range(2, min(8, len(parts.segments))):
        fewer, more = parts.tree.cut(count), parts.tree.cut(count + 1)
        assert sorted(np.bincount([len(np.unique(fewer[more == k])) for k in range(count + 1)])[1:]) == [count + 1]


def test_the_map_is_made_once_and_only_if_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = pipeline.boundary_map

    def counted(image: np.ndarray, device: str) -> np.ndarray:
        calls.append(device)
        return real(image, device)

    monkeypatch.setattr(pipeline, "boundary_map", counted)
    image = photo()
    settings = replace(small_settings(), device="cpu")
    parts = decompose(image, features=image, settings=settings)
    for count in (2, "auto"):
        assert "boundary_weights" in parts.layers(count).statistics
    assert calls == ["cpu"]
    without = decompose(
        image, features=image, settings=replace(settings, grouping=GroupingSettings(boundary_exponent=0))
    )
    assert without.boundaries is None and "boundary_weights" not in without.layers(2).statistics
    assert calls == ["cpu"]


def test_the_same_bytes_again_and_the_map_counts() -> None:
    image = np.repeat(photo().mean(axis=2, keepdims=True), 3, axis=2)  # gray
    one, two = (decompose(image, features=photo(), settings=small_settings()) for _ in range(2))
    assert one.tree.merges == two.tree.merges and one.tree.costs == two.tree.costs
    assert one.tree.costs != segment_tree(one.segments, one.features, image, one.settings.grouping).costs
    assert one.boundaries is not None and np.array_equal(one.boundaries, two.boundaries)
