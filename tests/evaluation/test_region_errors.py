"""The errors of regions: known answers, the definitions, what must hold for any labels, and published values."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from softseg.errors import InputError
from softseg.evaluation.region_errors import (
    RegionErrors,
    contingency,
    covering,
    probabilistic_rand_index,
    region_errors,
    variation_of_information,
)
from softseg.training.datasets import Bsds
from tests.laws.profile import law
from tests.reference import region_errors as reference

BSDS = Path(os.environ.get("SOFTSEG_DATA", Path(__file__).parents[3] / "shared" / "data")) / "bsds500" / "val"

ONE = np.zeros((4, 4), int)
HALVES = np.repeat([[0, 0, 1, 1]], 4, axis=0)
QUARTERS = HALVES + 2 * HALVES.T
PIXELS = np.arange(16).reshape(4, 4)

label_maps = arrays(np.int64, (3, 4), elements=st.integers(0, 4))


@pytest.mark.parametrize("labels", [ONE, HALVES, QUARTERS, PIXELS])
def test_identical_labels_are_perfect(labels: np.ndarray) -> None:
    assert region_errors(labels, [labels, labels]) == RegionErrors(32.0, 32.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("labels", "truth", "expected"),
    [
        (ONE, HALVES, (1 / 2, 1 - 64 / 120, 1)),  # 8 * 8 of the 120 pairs are apart in the truth only
        (HALVES, ONE, (1 / 2, 1 - 64 / 120, 1)),
        (QUARTERS, HALVES, (1 / 2, 1 - 32 / 120, 1)),
        (HALVES, QUARTERS, (1 / 2, 1 - 32 / 120, 1)),
        (HALVES, HALVES.T, (1 / 3, 1 - 64 / 120, 2)),
        (ONE, PIXELS, (1 / 16, 0, 4)),
        (PIXELS, ONE, (1 / 16, 0, 4)),
    ],
)
def test_known_answers(labels: np.ndarray, truth: np.ndarray, expected: tuple[float, float, float]) -> None:
    found = (
        covering(labels, [truth]),
        probabilistic_rand_index(labels, [truth]),
        variation_of_information(labels, [truth]),
    )
    assert found == pytest.approx(expected)


def test_covering_weights_true_regions_by_their_area() -> None:
    """Of the truth, 12 pixels are cut in two (best 8 / 12), 4 are as they should be; the other way round it differs."""
    truth = np.array([0] * 12 + [1] * 4)
    labels = np.array([0] * 8 + [1] * 4 + [2] * 4)
    assert covering(labels, [truth]) == pytest.approx((12 * 8 / 12 + 4) / 16)
    assert covering(truth, [labels]) == pytest.approx((8 * 8 / 12 + 4 * 4 / 12 + 4) / 16)


def test_several_people_are_a_mean() -> None:
    truths = [HALVES, QUARTERS, ONE]
    for measure in (covering, probabilistic_rand_index, variation_of_information):
        each = [measure(HALVES, [truth]) for truth in truths]
        assert measure(HALVES, truths) == pytest.approx(np.mean(each))


def test_unlabelled_pixels_count_nowhere() -> None:
    truth = HALVES.copy()
    truth[0] = -1
    assert region_errors(QUARTERS, [truth]) == region_errors(QUARTERS[1:], [HALVES[1:]])
    assert region_errors(QUARTERS, [truth]).area == 12


def test_one_person_with_fewer_labels_weighs_less_in_the_covering() -> None:
    truth = HALVES.copy()
    truth[:2] = -1
    both = region_errors(HALVES, [truth, HALVES.T])
    assert (both.covered, both.area) == pytest.approx((8 + 16 / 3, 24))


@law
@given(labels=label_maps, truths=st.lists(label_maps, min_size=1, max_size=3))
def test_as_by_definition(labels: np.ndarray, truths: list[np.ndarray]) -> None:
    found = region_errors(labels, truths)
    assert found.covering == pytest.approx(reference.covering(labels, truths))
    assert found.rand_index == pytest.approx(np.mean([reference.rand_index(labels, truth) for truth in truths]))
    assert found.information == pytest.approx(np.mean([reference.information(labels, truth) for truth in truths]))


@law
@given(labels=label_maps, truth=label_maps)
def test_ranges_and_symmetry(labels: np.ndarray, truth: np.ndarray) -> None:
    one, other = region_errors(labels, [truth]), region_errors(truth, [labels])
    assert 0 < one.covering <= 1
    assert 0 <= one.rand_index <= 1
    assert 0 <= one.information <= np.log2(labels.size) + 1e-12
    assert one.rand_index == pytest.approx(other.rand_index)
    assert one.information == pytest.approx(other.information)


@law
@given(labels=label_maps, truth=label_maps, order=st.permutations(range(12)), scale=st.sampled_from([1, 7, 10**9]))
def test_neither_names_nor_places_matter(labels: np.ndarray, truth: np.ndarray, order: list[int], scale: int) -> None:
    expected = region_errors(labels, [truth])
    shuffled = region_errors(labels.ravel()[order], [truth.ravel()[order]])
    renamed = region_errors(5 - scale * labels, [7 + scale * truth])
    for found in (shuffled, renamed):
        assert found.covering == pytest.approx(expected.covering)
        assert found.rand_index == pytest.approx(expected.rand_index)
        assert found.information == pytest.approx(expected.information)


@law
@given(one=label_maps, two=label_maps, three=label_maps)
def test_the_variation_of_information_is_a_metric(one: np.ndarray, two: np.ndarray, three: np.ndarray) -> None:
    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return variation_of_information(a, [b])

    assert distance(one, three) <= distance(one, two) + distance(two, three) + 1e-12
    assert distance(one, one) == 0
    same = probabilistic_rand_index(one, [two]) == 1
    assert (distance(one, two) < 1e-12) == same


def test_large_photos_do_not_overflow() -> None:
    labels = np.zeros(6_000_000, np.uint8)
    errors = region_errors(labels, [labels])
    assert (errors.covering, errors.rand_index, errors.information) == (1, 1, 0)


def test_tables_have_no_empty_rows_or_columns() -> None:
    table = contingency(np.array([3, 3, 9, -2]), np.array([5, 7, 7, -1]))
    assert table.tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize(
    ("labels", "truths", "sentence"),
    [
        (ONE, [], "no truth was given"),
        (ONE, [ONE[:2]], "labels of shape"),
        (ONE, [ONE - 1], "fewer than two pixels"),
        (ONE.astype(float), [ONE], "expected whole numbers"),
    ],
)
def test_refuses(labels: np.ndarray, truths: list[np.ndarray], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        region_errors(labels, truths)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not BSDS.is_dir(), reason=f"BSDS 500 is not there: {BSDS}")
def test_published_values() -> None:
    """Arbelaez et al., TPAMI 2011, region benchmarks on BSDS 300, whose test photos are `val` of BSDS 500.

    The rows of a fixed quad-tree (levels of 1, 4, 16, ... rectangles; best level of all, best for each photo) and of
    people, each against the others.
    """
    data = Bsds(BSDS)
    quad, people = [], []
    for i in range(len(data.names)):
        truths = data.annotations(i)
        quad.append([region_errors(rectangles(truths[0].shape, 2**level), truths) for level in range(4)])
        people += [region_errors(labels, truths[:k] + truths[k + 1 :]) for k, labels in enumerate(truths)]
    levels = list(zip(*quad, strict=True))
    area = sum(errors[0].area for errors in quad)
    assert max(sum(e.covered for e in level) / area for level in levels) == pytest.approx(0.33, abs=0.006)
    assert sum(max(e.covered for e in photo) for photo in quad) / area == pytest.approx(0.39, abs=0.006)
    assert max(np.mean([e.rand_index for e in level]) for level in levels) == pytest.approx(0.71, abs=0.006)
    assert np.mean([max(e.rand_index for e in photo) for photo in quad]) == pytest.approx(0.75, abs=0.006)
    assert min(np.mean([e.information for e in level]) for level in levels) == pytest.approx(2.34, abs=0.006)
    assert np.mean([min(e.information for e in photo) for photo in quad]) == pytest.approx(2.22, abs=0.006)
    assert sum(e.covered for e in people) / sum(e.area for e in people) == pytest.approx(0.73, abs=0.006)
    assert np.mean([e.rand_index for e in people]) == pytest.approx(0.87, abs=0.006)
    assert np.mean([e.information for e in people]) == pytest.approx(1.16, abs=0.006)


def rectangles(shape: tuple[int, ...], side: int) -> np.ndarray:
    """(h, w) labels of side * side rectangles of nearly one size."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (y * side // shape[0]) * side + x * side // shape[1]
