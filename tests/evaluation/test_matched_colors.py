"""One thing has one colour in every column."""

from __future__ import annotations

import numpy as np

from softseg.baselines.label_map import LabelMap
from softseg.evaluation.matched_colors import matched_colors
from softseg.layers import layer_colors

PALETTE = layer_colors(6)


def soft(labels: np.ndarray, count: int) -> np.ndarray:
    return np.stack([labels == k for k in range(count)]).astype(np.float32)


BANDS = np.repeat(np.arange(4), 10)[None].repeat(8, axis=0)  # (8, 40)


def test_the_last_has_the_colours_of_its_overview() -> None:
    (colors,) = matched_colors([soft(BANDS, 4)])
    np.testing.assert_array_equal(colors, PALETTE[:4])


def test_the_order_of_labels_does_not_matter() -> None:
    order = np.array([2, 0, 3, 1])
    hard, _ = matched_colors([LabelMap(order[BANDS], tuple("abcd")), soft(BANDS, 4)])
    np.testing.assert_array_equal(hard[order], PALETTE[:4])


def test_what_is_new_gets_a_new_colour_which_stays_its_own() -> None:
    halves = (np.arange(8) >= 4).astype(int)[:, None].repeat(40, axis=1)
    stripes = LabelMap(halves, ("top", "bottom"))  # overlap each band by a sixth or less: in none
    first, second, last = matched_colors([stripes, stripes, soft(BANDS, 4)])
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, PALETTE[4:6])
    np.testing.assert_array_equal(last, PALETTE[:4])


def test_two_regions_never_share_a_colour() -> None:
    twins = LabelMap(np.where(BANDS == 0, np.arange(40) % 2, 2), ("left", "right", "rest"))
    colors, _ = matched_colors([twins, soft(np.minimum(BANDS, 1), 2)])
    assert len(np.unique(colors, axis=0)) == 3


def test_nothing_and_absent_labels_take_no_colour_from_others() -> None:
    found = LabelMap(np.where(BANDS == 3, 5, 0), ("nothing", "a", "b", "c", "d", "thing"), nothing=0)
    colors, _ = matched_colors([found, soft(BANDS, 4)])
    np.testing.assert_array_equal(colors[5], PALETTE[3])


def test_overlaps_are_measured_on_a_grid_of_large_photos() -> None:
    large = np.kron(BANDS, np.ones((100, 25), dtype=int))  # 800 x 1000
    hard, _ = matched_colors([LabelMap(3 - large, tuple("abcd")), soft(large, 4)])
    np.testing.assert_array_equal(hard, PALETTE[3::-1])


def test_no_region_at_all() -> None:
    nothing = LabelMap(np.zeros((4, 5), dtype=int), ("nothing",), nothing=0)
    assert [len(colors) for colors in matched_colors([nothing, nothing])] == [1, 1]
