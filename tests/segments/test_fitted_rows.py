"""The rows to which soft segments are fitted, against loops over pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from softseg.errors import InputError
from softseg.segments.constrained import fit_segments
from softseg.segments.fitted_rows import fitted_rows
from softseg.settings import ConstrainedSettings
from softseg.spectrum import Eigenbasis

RNG = np.random.default_rng(0)
SUPERPIXELS = RNG.permutation(np.r_[np.arange(30), RNG.integers(0, 30, 270)]).reshape(20, 15)
LABELS = RNG.integers(0, 3, 300)
VECTORS = np.linalg.qr(np.column_stack([np.ones(300), RNG.normal(size=(300, 2))]))[0]
BASIS = Eigenbasis(np.array([0.0, 0.1, 0.2]), VECTORS, None, {})
COARSE = Eigenbasis(BASIS.values, RNG.normal(size=(12, 3)), sp.csr_array(sp.random(300, 12, 0.3, random_state=RNG)), {})


MEANS = ConstrainedSettings(sample=200, superpixel_means=True, iterations=3)


@pytest.mark.parametrize(
    ("basis", "tolerance"),
    [(BASIS, 1e-14), (COARSE, 1e-14), (replace(BASIS, coefficients=VECTORS.astype(np.float32)), 1e-6)],
)
def test_a_superpixel_is_its_mean_its_area_and_the_label_of_most_of_it(basis: Eigenbasis, tolerance: float) -> None:
    fitted = fitted_rows(basis, LABELS, MEANS, superpixels=SUPERPIXELS)
    assert fitted.rows.shape == (30, 3) and fitted.rows.dtype == np.float64 and basis.pixels == 300
    rows = basis.rows(np.arange(300))
    for i in range(30):
        inside = SUPERPIXELS.ravel() == i
        np.testing.assert_allclose(fitted.rows[i], rows[inside].mean(axis=0), rtol=0, atol=tolerance)
        counts = [int((LABELS[inside] == k).sum()) for k in range(3)]
        assert fitted.labels[i] == counts.index(max(counts))
        assert fitted.shares[i] == pytest.approx(inside.sum() / 10)


def test_few_superpixels_do_not_determine_many_coefficients() -> None:
    """Ten for each eigenvector are enough; with fewer, pixels are taken as if there were none."""
    few = np.where(SUPERPIXELS == 29, 0, SUPERPIXELS)
    by_means, by_pixels = (fit_segments(BASIS, LABELS, MEANS, superpixels=each) for each in (SUPERPIXELS, few))
    assert by_pixels.tobytes() == fit_segments(BASIS, LABELS, MEANS).tobytes() != by_means.tobytes()
    by_default = replace(MEANS, superpixel_means=False)
    assert by_pixels.tobytes() == fit_segments(BASIS, LABELS, by_default, superpixels=SUPERPIXELS).tobytes()


def test_pixels_are_drawn_by_chance_and_count_the_same() -> None:
    fitted = fitted_rows(BASIS, LABELS, ConstrainedSettings(sample=100), seed=3)
    drawn = np.sort(np.random.default_rng(3).choice(300, 100, replace=False))
    np.testing.assert_array_equal(fitted.rows, VECTORS[drawn])
    np.testing.assert_array_equal(fitted.labels, LABELS[drawn])
    assert (fitted.shares == 1).all()
    for everything in (None, 300, 301):
        rows = fitted_rows(BASIS, LABELS, ConstrainedSettings(sample=everything), seed=3).rows
        np.testing.assert_array_equal(rows, VECTORS)


@pytest.mark.parametrize("superpixels", [SUPERPIXELS[:-1], SUPERPIXELS + 1])
def test_superpixels_that_are_not_those_of_the_photo_are_refused(superpixels: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"0\.\.s-1, all of them present, at the 300 pixels"):
        fitted_rows(BASIS, LABELS, MEANS, superpixels=superpixels)
