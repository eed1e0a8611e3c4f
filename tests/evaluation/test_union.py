"""The best union of layers: against brute force, and where the answer is known."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from softseg.errors import InputError
from softseg.evaluation.union import all_subsets, best_union


def by_force(layers: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """The smallest squared error of any subset, each looked at pixel by pixel."""
    return min(
        float(((layers[list(subset)].sum(axis=0) - truth)[mask] ** 2).sum())
        for size in range(len(layers) + 1)
        for subset in combinations(range(len(layers)), size)
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [1, 3, 7])
def test_as_by_force(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layers = rng.dirichlet(np.full(count, 0.3), size=(9, 11)).transpose(2, 0, 1)
    truth = np.clip(layers[: count // 2].sum(axis=0) + rng.normal(scale=0.4, size=(9, 11)), 0, 1)
    mask = rng.random((9, 11)) < 0.4
    for chosen in (mask, np.ones_like(mask)):
        subset, union = best_union(layers, truth, None if chosen.all() else chosen)
        assert ((union - truth)[chosen] ** 2).sum() == pytest.approx(by_force(layers, truth, chosen))
        np.testing.assert_allclose(union, layers[list(subset)].sum(axis=0), atol=1e-12)


def test_the_layers_that_make_up_the_truth_are_found() -> None:
    rng = np.random.default_rng(0)
    layers = rng.dirichlet(np.full(12, 0.2), size=(20, 20)).transpose(2, 0, 1)
    wanted = (0, 3, 4, 11)
    assert best_union(layers, layers[list(wanted)].sum(axis=0))[0] == wanted


def test_none_and_all() -> None:
    layers = np.random.default_rng(0).dirichlet(np.ones(4), size=(5, 6)).transpose(2, 0, 1)
    subset, union = best_union(layers, np.zeros((5, 6)))
    assert (subset, union.max()) == ((), 0)
    assert best_union(layers, np.ones((5, 6)))[0] == (0, 1, 2, 3)


def test_the_mask_decides() -> None:
    left = np.repeat([[1.0, 0.0]], 3, axis=0)
    layers = np.stack([left, 1 - left])
    truth = np.ones((3, 2))
    assert best_union(layers, truth)[0] == (0, 1)
    assert best_union(layers, truth, left.astype(bool))[0] == (0,)


def test_of_equals_the_fewest() -> None:
    layers = np.stack([np.zeros((3, 3)), np.ones((3, 3)), np.zeros((3, 3))])
    assert best_union(layers, np.ones((3, 3)))[0] == (1,)


def test_all_subsets_are_there_once() -> None:
    subsets = all_subsets(5)
    assert len({tuple(row) for row in subsets}) == len(subsets) == 32
    assert (np.diff(subsets.sum(axis=1)) >= 0).all()


def test_a_sum_above_one_is_cut_after_the_search() -> None:
    layers = np.full((2, 2, 2), 0.7)
    subset, union = best_union(layers, np.full((2, 2), 1.3))
    assert subset == (0, 1)
    assert union.max() == 1


@pytest.mark.parametrize(
    ("layers", "truth", "mask", "sentence"),
    [
        (np.zeros((13, 2, 2)), np.zeros((2, 2)), None, "13 layers .* at most 12"),
        (np.zeros((0, 2, 2)), np.zeros((2, 2)), None, "expected"),
        (np.zeros((3, 2, 2)), np.zeros((2, 3)), None, "shape"),
        (np.zeros((2, 2)), np.zeros((2, 2)), None, "shape"),
        (np.zeros((3, 2, 2)), np.zeros((2, 2)), np.zeros((2, 2), bool), "at least one of them true"),
        (np.zeros((3, 2, 2)), np.zeros((2, 2)), np.ones((2, 2)), "expected booleans"),
    ],
)
def test_what_is_refused(layers: np.ndarray, truth: np.ndarray, mask: np.ndarray | None, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        best_union(layers, truth, mask)
