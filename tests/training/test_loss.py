"""The loss against its transcription: values, gradients, extremes, half precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from softseg.errors import InputError
from softseg.training import metric_loss
from tests.reference import metric_loss as reference

LABELS = np.array([0, 0, 0, 3, 3, 5, 5, 5, 5, 9])


def features(scale: float, seed: int = 0) -> np.ndarray:
    return scale * np.random.default_rng(seed).normal(size=(len(LABELS), 6))


def value_and_gradient(
    values: np.ndarray, labels: np.ndarray = LABELS, dtype: torch.dtype = torch.float64, **options: bool
) -> tuple[float, np.ndarray]:
    leaf = torch.tensor(values, dtype=dtype, requires_grad=True)
    loss = metric_loss(leaf, torch.from_numpy(labels), **options)
    loss.backward()
    assert leaf.grad is not None
    return float(loss.detach()), leaf.grad.double().numpy()


@pytest.mark.parametrize("scale", [1e-3, 0.3, 1.0, 5.0, 70.0])  # mean distances from 2e-6 to 1e4
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_and_gradients_are_those_of_the_equation(scale: float, dtype: torch.dtype) -> None:
    values = features(scale)
    loss, gradient = value_and_gradient(values, dtype=dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 3e-6  # some units of the last place
    assert loss == pytest.approx(reference.metric_loss(values, LABELS), rel=tolerance)
    expected = reference.gradient(values, LABELS)
    np.testing.assert_allclose(gradient, expected, atol=10 * tolerance * np.abs(expected).max())


@pytest.mark.parametrize("distance", [0.0, 1e-12, 1e-3, 1.0, 19.0, 21.0, 39.0, 41.0, 90.0, 1e3, 1e4])
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_any_distance_is_finite_and_exact(distance: float, same: bool, dtype: torch.dtype) -> None:
    values = np.zeros((2, 4))
    values[1, 0] = math.sqrt(4 * distance)
    loss, gradient = value_and_gradient(values, np.array([1, 1 if same else 2]), dtype)
    expected = reference.pair_loss(distance, same=same)  # the pairs (0, 1) and (1, 0), over n = 2
    precision = 1e-12 if dtype == torch.float64 else 1e-6
    assert loss == pytest.approx(expected, rel=precision, abs=precision)
    assert np.isfinite(gradient).all()


def test_equal_features_have_no_gradient_and_the_documented_value() -> None:
    loss, gradient = value_and_gradient(np.full((6, 3), 2.5), np.repeat([0, 1, 2], 2))
    assert loss == pytest.approx((6 - 6 / 3) * math.log(1.5), rel=1e-12)
    np.testing.assert_array_equal(gradient, 0)
    balanced, _ = value_and_gradient(np.full((6, 3), 2.5), np.repeat([0, 1, 2], 2), negatives=1.0)
    assert balanced == pytest.approx(math.log(1.5), rel=1e-12)


def test_far_from_the_origin_nothing_is_lost() -> None:
    values = features(1.0)
    far, _ = value_and_gradient(values + 1000, dtype=torch.float32)
    assert far == pytest.approx(reference.metric_loss(values, LABELS), rel=2e-4)  # 1000 + x itself has 6e-5 left of x


def test_balanced_is_the_mean_over_each_kind_of_pair() -> None:
    values = features(0.7)
    positive, negative = [], []
    for p in range(len(LABELS)):
        for q in range(len(LABELS)):
            d = float(((values[p] - values[q]) ** 2).mean())
            if p != q:
                same = bool(LABELS[p] == LABELS[q])
                (positive if same else negative).append(reference.pair_loss(d, same=same))
    loss, gradient = value_and_gradient(values, negatives=1.0)
    assert loss == pytest.approx(np.mean(positive) + np.mean(negative), rel=1e-12)
    step = 1e-6
    moved = values.copy()
    moved[3, 2] += step
    slope = (value_and_gradient(moved, negatives=1.0)[0] - loss) / step
    assert gradient[3, 2] == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("labels", [np.zeros(4, np.int64), np.arange(4)])
def test_balanced_without_one_kind_of_pair(labels: np.ndarray) -> None:
    loss, gradient = value_and_gradient(features(1.0)[:4], labels, negatives=1.0)
    assert math.isfinite(loss) and loss > 0 and np.isfinite(gradient).all()


def test_one_pixel_has_no_loss() -> None:
    assert value_and_gradient(np.ones((1, 5)), np.array([2]))[0] == 0
    assert value_and_gradient(np.ones((1, 5)), np.array([2]), negatives=1.0)[0] == 0


@pytest.mark.parametrize("scale", [0.0, 1.0, 70.0])
def test_inside_autocast_the_loss_is_computed_in_float32(scale: float) -> None:
    leaf = torch.tensor(features(scale), dtype=torch.float32).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = metric_loss(leaf, torch.from_numpy(LABELS))
    loss.backward()
    assert loss.dtype == torch.float32
    assert leaf.grad is not None and torch.isfinite(leaf.grad).all()
    rounded = leaf.detach().double().numpy()
    assert float(loss.detach()) == pytest.approx(reference.metric_loss(rounded, LABELS), rel=3e-6, abs=1e-6)


def test_gradients_against_finite_differences() -> None:
    leaf = torch.tensor(features(0.8), requires_grad=True)
    labels = torch.from_numpy(LABELS)
    assert torch.autograd.gradcheck(lambda x: metric_loss(x, labels), leaf)
    assert torch.autograd.gradcheck(lambda x: metric_loss(x, labels, negatives=1.0), leaf)


@pytest.mark.parametrize(
    ("shape", "count", "words"),
    [((3, 4, 5), 3, "reshape"), ((0, 4), 0, "expected \\(n, D\\) floats"), ((3, 4), 2, "one for each row")],
)
def test_wrong_shapes_are_refused(shape: tuple[int, ...], count: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        metric_loss(torch.zeros(shape), torch.zeros(count, dtype=torch.int64))


def test_wrong_types_are_refused() -> None:
    with pytest.raises(InputError, match="floats"):
        metric_loss(torch.zeros((3, 4), dtype=torch.int64), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(InputError, match="integers"):
        metric_loss(torch.zeros((3, 4)), torch.zeros(3))
