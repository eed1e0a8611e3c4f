"""Boundary pixels and their matching: known answers, brute force, and the boundaries that BSDS 500 comes with."""

from __future__ import annotations

import math
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.io import loadmat
from scipy.ndimage import binary_dilation

from softseg.errors import InputError
from softseg.evaluation.boundary_errors import (
    BoundaryCounts,
    boundary_errors,
    boundary_pixels,
    match_boundaries,
)
from tests.laws.profile import law
from tests.reference import boundary_errors as reference

BSDS = Path(os.environ.get("SOFTSEG_DATA", Path(__file__).parents[3] / "shared" / "data")) / "bsds500" / "val"

masks = arrays(bool, (5, 6))
label_maps = arrays(np.int64, (6, 7), elements=st.integers(0, 2))


def columns(at: int, height: int = 6, width: int = 20) -> np.ndarray:
    """Left of column `at` 0, right of it 1: a vertical boundary of `height` pixels at `at` - 1."""
    return (np.arange(width) >= at).astype(int) * np.ones((height, 1), int)


def test_boundary_of_halves() -> None:
    found = boundary_pixels(columns(5))
    assert np.argwhere(found).tolist() == [[y, 4] for y in range(6)]
    assert not boundary_pixels(np.zeros((4, 4), int)).any()


@law
@given(label_maps)
def test_boundaries_are_thin_and_where_labels_differ(labels: np.ndarray) -> None:
    wide = reference.wide_boundaries(labels)
    thin = {(int(y), int(x)) for y, x in np.argwhere(boundary_pixels(labels))}
    assert thin <= wide
    assert bool(thin) == bool(wide)
    near = binary_dilation(boundary_pixels(labels), np.ones((3, 3)), iterations=3)
    assert all(near[pixel] for pixel in wide)  # thinned, not cut away


@law
@given(label_maps, st.permutations(range(3)))
def test_names_do_not_matter(labels: np.ndarray, names: list[int]) -> None:
    np.testing.assert_array_equal(boundary_pixels(np.array(names)[labels]), boundary_pixels(labels))


@pytest.mark.parametrize(("distance", "recalls"), [(0, [1, 1, 1]), (1, [1, 1, 1]), (2, [0, 1, 1]), (5, [0, 0, 0])])
def test_distance_decides(distance: int, recalls: list[float]) -> None:
    counts = boundary_errors(columns(8 + distance), [columns(8)])
    assert [count.recall for count in counts] == recalls
    assert [count.precision for count in counts] == recalls
    assert all((count.ours, count.people) == (6, 6) for count in counts)


def test_distance_is_euclidean_and_the_tolerance_included() -> None:
    ours, theirs = np.zeros((2, 9, 9), bool)
    ours[1, 1] = theirs[4, 5] = True  # 3, 4, 5
    assert [count.matched for count in match_boundaries(ours, [theirs], [4.99, 5])] == [0, 1]


def test_one_to_one() -> None:
    """Two lines of ours beside one true line: only as many of ours are right as there are true pixels."""
    ours, theirs = np.zeros((2, 10, 10), bool)
    ours[:, [4, 6]] = theirs[:, 5] = True
    (count,) = match_boundaries(ours, [theirs], [2])
    assert count == BoundaryCounts(matched=10, ours=20, recalled=10, people=10)
    assert (count.precision, count.recall) == (0.5, 1)
    assert count.f_measure == pytest.approx(2 / 3)


def test_as_many_as_possible() -> None:
    """Nearest first would pair the middle ones and leave both ends over."""
    ours, theirs = np.zeros((2, 1, 9), bool)
    ours[0, [1, 4]] = theirs[0, [3, 6]] = True
    (count,) = match_boundaries(ours, [theirs], [2])
    assert count.matched == count.recalled == 2


def test_right_for_one_person_is_right_but_all_people_are_to_be_recalled() -> None:
    truths = [columns(5), columns(15), np.zeros((6, 20), int)]
    (count,) = boundary_errors(columns(5), truths, [2])
    assert count == BoundaryCounts(matched=6, ours=6, recalled=6, people=12)
    (both,) = boundary_errors(columns(5) + columns(15), truths, [2])
    assert (both.precision, both.recall) == (1, 1)


def test_two_people_who_agree_are_both_recalled() -> None:
    (count,) = boundary_errors(columns(5), [columns(5), columns(6)], [1])
    assert count == BoundaryCounts(matched=6, ours=6, recalled=12, people=12)


def test_no_boundaries() -> None:
    nothing, line = np.zeros((6, 20), int), columns(5)
    (ours,) = boundary_errors(nothing, [line], [2])
    assert math.isnan(ours.precision)
    assert (ours.recall, ours.ours) == (0, 0)
    (people,) = boundary_errors(line, [nothing], [2])
    assert math.isnan(people.recall)
    assert people.precision == 0
    assert math.isnan(boundary_errors(nothing, [nothing], [2])[0].f_measure)


def test_nothing_is_judged_where_nobody_has_drawn() -> None:
    truth = columns(5)
    truth[:, 10:] = -1
    (count,) = boundary_errors(columns(5) + columns(15), [truth], [1])
    assert count == BoundaryCounts(matched=6, ours=6, recalled=6, people=6)  # neither ours at 15 nor the edge at 10
    (seen,) = boundary_errors(columns(5) + columns(15), [truth, columns(5)], [1])
    assert (seen.ours, seen.people) == (12, 12)  # the second has drawn there


@law
@given(ours=masks, theirs=masks, tolerance=st.sampled_from([0, 1, 1.5, 2]))
def test_as_many_as_brute_force_finds(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> None:
    one, two = ([tuple(pixel) for pixel in np.argwhere(mask).tolist()] for mask in (ours, theirs))
    (count,) = match_boundaries(ours, [theirs], [tolerance])
    assert count.matched == count.recalled == reference.matching_size(one, two, tolerance)


@law
@given(ours=masks, people=st.lists(masks, min_size=1, max_size=3))
def test_more_people_and_wider_tolerance_never_take_away(ours: np.ndarray, people: list[np.ndarray]) -> None:
    all_people = match_boundaries(ours, people, [0, 1, 2, 4])
    first = match_boundaries(ours, people[:1], [0, 1, 2, 4])
    assert all(a.matched <= b.matched <= b.ours for a, b in zip(first, all_people, strict=True))
    assert all(a.recalled <= b.recalled for a, b in pairwise(all_people))
    assert all(a.matched <= b.matched for a, b in pairwise(first))


def test_counts_add_up() -> None:
    total = sum([BoundaryCounts(1, 2, 3, 4), BoundaryCounts(4, 4, 0, 1)], BoundaryCounts())
    assert total == BoundaryCounts(5, 6, 3, 5)
    assert (total.precision, total.recall) == (5 / 6, 3 / 5)


@pytest.mark.parametrize(
    ("truths", "tolerances", "sentence"),
    [
        ([], [1], "pass one or more"),
        ([columns(5, 4)], [1], "of the photo's size"),
        ([columns(5), columns(5, 4)], [1], "of the photo's size"),
        ([columns(5)], [-1], "at least 0"),
    ],
)
def test_refuses(truths: list[np.ndarray], tolerances: list[float], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        boundary_errors(columns(5), truths, tolerances)


@pytest.mark.data
@pytest.mark.skipif(not BSDS.is_dir(), reason=f"BSDS 500 is not there: {BSDS}")
def test_boundaries_of_bsds() -> None:
    """Ours of its `Segmentation` maps are its own `Boundaries`."""
    for path in sorted(BSDS.glob("*.mat"))[:10]:
        cells = loadmat(path)["groundTruth"]
        for a in range(cells.shape[1]):
            labels, boundaries = (cells[0, a][name][0, 0] for name in ("Segmentation", "Boundaries"))
            np.testing.assert_array_equal(boundary_pixels(labels), boundaries > 0)
