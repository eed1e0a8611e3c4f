"""The errors of alpha mattes: against a slow transcription, and on cases that can be worked out by hand."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from softseg.errors import InputError
from softseg.evaluation.alpha_errors import AlphaErrors, alpha_errors, connectedness, gradient_length
from tests.reference.alpha_errors import errors_reference


def soft(seed: int, shape: tuple[int, int] = (17, 23)) -> np.ndarray:
    """Blobs of all opacities, in steps of 1/255 as files have them."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return np.rint(np.clip(0.5 + 3 * noise, 0, 1) * 255) / 255


@pytest.mark.parametrize("seed", range(3))
def test_as_the_transcription(seed: int) -> None:
    alpha, truth = soft(seed), soft(seed + 10)
    alpha = 0.37 * alpha + 0.63 * truth  # not all wrong: sources of many shapes
    mask = np.random.default_rng(seed).random(truth.shape) < 0.5
    expected = errors_reference(alpha, truth, mask)
    assert min(expected) > 1e-5
    assert astuple(alpha_errors(alpha, truth, mask)) == pytest.approx(expected, rel=1e-9)
    everywhere = np.ones_like(mask)
    assert astuple(alpha_errors(alpha, truth)) == pytest.approx(errors_reference(alpha, truth, everywhere), rel=1e-9)


def test_the_truth_is_perfect_and_its_opposite_is_not() -> None:
    truth = soft(0)
    assert alpha_errors(truth, truth) == AlphaErrors(0, 0, 0, 0)
    truth = np.zeros((40, 50))
    truth[:, 20:] = 1
    assert (alpha_errors(1 - truth, truth).sad, alpha_errors(1 - truth, truth).mse) == (2.0, 1.0)


def test_a_constant_offset() -> None:
    """0.2 everywhere where the truth is 0: no gradient, and not connected as there is no source."""
    truth = np.zeros((20, 50))
    errors = alpha_errors(np.full((20, 50), 0.2), truth)
    assert errors.sad == pytest.approx(0.2)
    assert errors.mse == pytest.approx(0.04)
    assert errors.gradient == 0
    assert errors.connectivity == pytest.approx(0.2)
    assert alpha_errors(np.full((20, 50), 0.1), truth).connectivity == 0  # below 0.15


def test_the_gradient_of_a_ramp_and_of_a_step() -> None:
    """A filter of unit norm g(y) g'(x) gives a ramp of slope s the value s sum(g) sum(x g'), a step sum(g) sum(g'+)."""
    x = np.arange(-4, 5)
    g = np.exp(-(x**2) / (2 * 1.4**2))
    d = x * g
    g, d = g / np.linalg.norm(g), d / np.linalg.norm(d)
    ramp = np.tile(np.arange(40) / 40, (30, 1))
    assert gradient_length(ramp)[15, 20] == pytest.approx(g.sum() * (d * x).sum() / 40)
    assert gradient_length(ramp.T)[20, 15] == pytest.approx(g.sum() * (d * x).sum() / 40)
    step = np.zeros((30, 40))
    step[:, 20:] = 1
    assert gradient_length(step)[15, 20] == pytest.approx(g.sum() * d[4:].sum())
    assert gradient_length(step)[15, 10] == pytest.approx(0, abs=1e-12)
    # a step in the wrong place: 2 x 9 columns of lengths, none of them taken away by the other
    length = gradient_length(step)[15] ** 2
    moved = np.roll(step, 12, axis=1)
    moved[:, :20] = 0
    assert alpha_errors(moved, step).gradient == pytest.approx(30 * (2 * length.sum()) / 1000, rel=0.05)


def test_an_island_is_not_connected() -> None:
    """A part of 0.6 that hangs on to the rest is right; cut off by a gap of one pixel it is 0.6 off in each pixel."""
    truth = np.zeros((10, 30))
    truth[:, :20] = 1
    truth[:, 20:] = 0.6
    assert alpha_errors(truth, truth).connectivity == 0
    cut = truth.copy()
    cut[:, 22] = 0
    # the gap: opaque in the truth by 0.6 over nothing; the island is as opaque in both, and as little connected
    assert alpha_errors(cut, truth).connectivity == pytest.approx(10 * 0.6 / 1000)
    degrees, true_degrees = connectedness(cut, truth)
    assert degrees[0, [5, 21, 22, 25]] == pytest.approx([1, 1, 1, 0.4])
    assert true_degrees[0, [5, 21, 22, 25]] == pytest.approx([1, 1, 0.4, 0.4])


def test_tenths_are_reached_in_spite_of_rounding() -> None:
    """A matte that is a little below 0.3 by rounding is connected at that level all the same; 0.44 is within 0.15."""
    alpha, truth = np.full((5, 5), 0.44), np.full((5, 5), 0.3) - 1e-12
    assert (connectedness(alpha, truth)[0] == 1).all()
    assert connectedness(np.full((5, 5), 0.46), truth)[0] == pytest.approx(np.full((5, 5), 0.84))


def test_only_the_mask_counts() -> None:
    truth, alpha = soft(1), soft(1).copy()
    alpha[:, 15:] = 1 - alpha[:, 15:]
    mask = np.zeros(truth.shape, bool)
    mask[:, :5] = True
    errors = alpha_errors(alpha, truth, mask)
    assert (errors.sad, errors.mse, errors.gradient) == (0, 0, 0)
    assert alpha_errors(alpha, truth, ~mask).sad == pytest.approx(alpha_errors(alpha, truth).sad)
    assert alpha_errors(alpha, truth, ~mask).mse > alpha_errors(alpha, truth).mse


@pytest.mark.parametrize(
    ("alpha", "truth", "mask", "sentence"),
    [
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4)), None, "the alpha has shape .* uint8.*divide bytes by 255"),
        (np.zeros((4, 4)), np.zeros((4, 4, 3)), None, "the true alpha has shape"),
        (np.zeros((4, 4)), np.zeros((4, 5)), None, "must be of one photo"),
        (np.full((4, 4), 1.5), np.zeros((4, 4)), None, r"spans \[1.5, 1.5\]"),
        (np.full((4, 4), np.nan), np.zeros((4, 4)), None, "spans"),
        (np.zeros((0, 4)), np.zeros((0, 4)), None, "shape"),
        (np.zeros((4, 4)), np.zeros((4, 4)), np.zeros((4, 4), bool), "0 pixels that count"),
        (np.zeros((4, 4)), np.zeros((4, 4)), np.ones((4, 4)), "type float64"),
        (np.zeros((4, 4)), np.zeros((4, 4)), np.ones((4, 5), bool), "expected booleans of shape"),
    ],
)
def test_what_is_refused(alpha: np.ndarray, truth: np.ndarray, mask: np.ndarray | None, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        alpha_errors(alpha, truth, mask)
