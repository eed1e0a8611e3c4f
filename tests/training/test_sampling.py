"""The sampler: instances and pixels in equal numbers, void never."""

from __future__ import annotations

import numpy as np
import pytest

from softseg.errors import InputError
from softseg.training import sample_pixels


def stripes(*widths: int) -> np.ndarray:
    """(4, sum of widths): label k in a stripe of the k-th width."""
    return np.tile(np.repeat(np.arange(len(widths)), widths), (4, 1)).astype(np.int32)


def drawn(labels: np.ndarray, **options: int) -> dict[int, int]:
    indices = sample_pixels(labels, np.random.default_rng(3), **options)
    assert indices.dtype == np.int64 and indices.ndim == 1
    values, counts = np.unique(labels.ravel()[indices], return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def test_as_many_pixels_of_each_of_three_instances() -> None:
    labels = stripes(300, 300, 300, 300, 300)
    counts = drawn(labels)
    assert len(counts) == 3 and set(counts.values()) == {1000}


def test_pixels_are_different_while_there_are_enough() -> None:
    labels = stripes(25, 5)
    indices = sample_pixels(labels, np.random.default_rng(0), instances=2, pixels=100)
    large = indices[labels.ravel()[indices] == 0]
    assert sorted(large) == np.flatnonzero(labels.ravel() == 0).tolist()
    assert (labels.ravel()[indices] == 1).sum() == 100  # of 20


def test_fewer_instances_than_asked_for() -> None:
    assert drawn(stripes(3, 4), pixels=7) == {0: 7, 1: 7}
    assert drawn(stripes(3), pixels=7) == {0: 7}


def test_void_is_never_drawn() -> None:
    labels = stripes(5, 5, 5, 5)
    labels[:, :5] = -1
    assert set(drawn(labels, instances=4)) == {1, 2, 3}
    assert set(drawn(labels, instances=4, void=2)) == {1, 3}


def test_instances_have_equal_chances_whatever_their_size() -> None:
    labels = stripes(1, 100, 1, 10)
    rng = np.random.default_rng(0)
    first = [int(labels.ravel()[sample_pixels(labels, rng, 1, 1)[0]]) for _ in range(800)]
    assert np.bincount(first).min() > 140  # expected 200, deviation 12


def test_the_same_seed_draws_the_same() -> None:
    labels = stripes(50, 50, 50)
    once, again, other = (sample_pixels(labels, np.random.default_rng(seed), pixels=20) for seed in (1, 1, 2))
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()


@pytest.mark.parametrize(
    ("labels", "options", "words"),
    [
        (np.full((3, 4), -1), {}, "leave this photo out"),
        (np.zeros((3, 4), int), {"void": 0}, "leave this photo out"),
        (np.zeros((3, 4)), {}, "integers"),
        (np.zeros(12, int), {}, "integers"),
        (np.zeros((3, 4), int), {"instances": 0}, "at least 1"),
        (np.zeros((3, 4), int), {"pixels": 0}, "at least 1"),
    ],
)
def test_impossible_requests_are_refused(labels: np.ndarray, options: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        sample_pixels(labels, np.random.default_rng(0), **options)
