"""The pairs of pixels that scores compare: balanced, of the distance that was asked for, and none of the void."""

from __future__ import annotations

import math

import numpy as np
import pytest

from softseg.errors import InputError
from softseg.training.score import area_under_curve, draw_pairs

LABELS = np.arange(40)[:, None] // 20 + 2 * (np.arange(60)[None, :] // 30)  # four quarters of 20 x 30


def apart(pairs: np.ndarray) -> np.ndarray:
    (y1, y2), (x1, x2) = pairs // 60, pairs % 60
    return np.maximum(abs(y1 - y2), abs(x1 - x2))


@pytest.mark.parametrize("options", [{}, {"nearby": 7}, {"beyond": 15}])
def test_half_of_the_pairs_are_of_one_region(options: dict[str, int]) -> None:
    same, different = draw_pairs(LABELS, 1000, seed=1, **options)
    assert same.shape == different.shape == (2, 500)
    regions = LABELS.ravel()
    assert (regions[same[0]] == regions[same[1]]).all()
    assert (regions[different[0]] != regions[different[1]]).all()


def test_near_and_far_pairs_keep_their_distance_and_reach_it() -> None:
    for kind in draw_pairs(LABELS, 2000, nearby=7):
        assert apart(kind).max() == 7
        assert apart(kind).min() == 1
    for kind in draw_pairs(LABELS, 2000, beyond=15):
        assert apart(kind).min() == 16


def test_where_no_pair_is_that_far_apart_there_are_none() -> None:
    same, different = draw_pairs(LABELS, 100, beyond=30)
    assert same.shape == (2, 0)  # no quarter is as wide
    assert different.shape == (2, 50)
    assert math.isnan(area_under_curve(np.zeros(0), np.ones(50)))


def test_void_pixels_are_never_drawn() -> None:
    labels = np.where(LABELS == 3, -1, LABELS)
    for kind in draw_pairs(labels, 1000, void=0):
        assert set(labels.ravel()[kind.ravel()]) == {1, 2}


def test_ties_count_half() -> None:
    assert area_under_curve(np.array([0.0, 1.0]), np.array([0.0, 1.0])) == 0.5
    assert area_under_curve(np.array([0.0, 0.0, 1.0]), np.array([1.0])) == pytest.approx(2.5 / 3)


def test_refuses_a_distance_below_one_pixel() -> None:
    with pytest.raises(InputError, match="0 pixels apart"):
        draw_pairs(LABELS, 100, beyond=0)
