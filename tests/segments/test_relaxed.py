"""The haze that the relaxed sparsification leaves where a layer is not."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from softseg.segments.relaxed import RELEASED, relax
from softseg.settings import RelaxedSettings, Settings

FLAT = np.full((6, 8, 3), 0.5)


@pytest.mark.parametrize(("floor", "rest"), [(0.01, 0.0063), (0.001, 0.0005)])
def test_an_alpha_that_wants_to_be_zero_rests_where_the_weights_are_even(floor: float, rest: float) -> None:
    """Without neighbours (u + v + 1) a = v, u = floor^(0.9 - 2) and v = 1, but for the last round and the sum."""
    layers = np.eye(3)[np.arange(48) % 3].T
    alphas = relax(layers, sp.csr_array((48, 48)), FLAT, RelaxedSettings(floor=floor)).alphas.reshape(3, 48)
    assert alphas[layers == 0].max() < 1.2 * rest
    assert alphas[layers == 0].min() > 0.2 * rest
    np.testing.assert_allclose(1 / (floor**-1.1 + 2), rest, rtol=0.07)


def test_the_pipeline_uses_the_lower_floor() -> None:
    assert RELEASED.floor == 0.01
    assert {Settings.for_solver(solver).relaxed.floor for solver in ("fast", "exact")} == {0.001}  # type: ignore[arg-type]
