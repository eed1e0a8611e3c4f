"""The projection to three dimensions: its range, what it depends on, and inputs without anything to project."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from softseg.errors import InputError
from softseg.features import guided_filter, project
from softseg.features.projection import principal_directions
from softseg.settings import FeatureSettings


def _inputs(seed: int, h: int = 24, w: int = 32, channels: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((h, w, 3)), rng.normal(size=(h, w, channels)) * np.arange(1, channels + 1) / channels


def _dense(features: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The same by a singular value decomposition of all vectors."""
    filtered = guided_filter(image, features.clip(-5, 5)).astype(np.float64)
    vectors = filtered.reshape(-1, features.shape[2])
    vectors -= vectors.mean(axis=0)
    directions = np.linalg.svd(vectors, full_matrices=False)[2][:3].T
    directions *= np.sign(directions[np.abs(directions).argmax(axis=0), range(3)])
    coordinates = vectors @ directions
    coordinates -= coordinates.min(axis=0)
    scaled: np.ndarray = coordinates / coordinates.max(axis=0)
    return scaled.reshape(image.shape)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_a_singular_value_decomposition(seed: int) -> None:
    image, features = _inputs(seed)
    projected = project(features, image)
    assert projected.dtype == np.float32
    assert projected.flags.c_contiguous
    np.testing.assert_allclose(projected, _dense(features, image), atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.integers(1, 8), st.integers(1, 5))
def test_fills_the_unit_range_or_is_one_half(seed: int, h: int, w: int, channels: int, dimensions: int) -> None:
    image, features = _inputs(seed, h, w, channels)
    projected = project(features, image, dimensions)
    assert projected.shape == (h, w, dimensions)
    for d in range(dimensions):
        ends = projected[..., d].min(), projected[..., d].max()
        assert ends in ((0, 1), (0.5, 0.5))
    assert (projected[..., channels:] == 0.5).all()


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_the_channels_does_not_matter(order: list[int]) -> None:
    image, features = _inputs(4)
    np.testing.assert_allclose(project(features[..., order], image), project(features, image), atol=1e-4)


def test_a_rotation_of_the_features_changes_nothing_but_signs() -> None:
    image, features = _inputs(5)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    rotated, plain = project(features @ rotation, image), project(features, image)
    np.testing.assert_allclose(np.abs(rotated - 0.5), np.abs(plain - 0.5), atol=1e-4)


def test_offsets_and_flips_do_not_matter() -> None:
    image, features = _inputs(6)
    features = features.clip(-3, 3)
    plain = project(features, image)
    np.testing.assert_allclose(project(features + 1.5, image), plain, atol=1e-4)
    np.testing.assert_allclose(project(features[:, ::-1], image[:, ::-1]), plain[:, ::-1], atol=1e-4)
    np.testing.assert_allclose(project(features.swapaxes(0, 1), image.swapaxes(0, 1)), plain.swapaxes(0, 1), atol=1e-4)


def test_values_are_clipped_first() -> None:
    image, features = _inputs(7)
    np.testing.assert_array_equal(project(features * 1e4, image), project((features * 1e4).clip(-5, 5), image))
    wide = FeatureSettings(clip=1e9)
    assert np.abs(project(features * 1e4, image, settings=wide) - project(features * 1e4, image)).max() > 0.01


def test_the_call_says_how_many_dimensions() -> None:
    image, features = _inputs(8)
    assert project(features, image).shape[2] == 3
    assert project(features, image, 4).shape[2] == 4
    with pytest.raises(InputError, match="dimensions"):
        project(features, image, 0)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.3, 1e4])
def test_constant_features_become_one_half(value: float) -> None:
    image, features = _inputs(9)
    assert (project(np.full_like(features, value), image) == 0.5).all()


def test_features_of_rank_one_have_one_dimension() -> None:
    image, features = _inputs(10)
    projected = project(features[..., :1] * np.array([0.1, 0.2, 0.3, 0.4]), image)
    assert np.ptp(projected[..., 0]) == 1
    assert (projected[..., 1:] == 0.5).all()


def test_a_photo_of_one_colour_is_smoothed_and_projected() -> None:
    _, features = _inputs(11)
    projected = project(features, np.full((24, 32, 3), 0.2))
    assert np.isfinite(projected).all()
    np.testing.assert_allclose(np.ptp(projected, axis=(0, 1)), 1)


def test_two_calls_give_the_same_bytes() -> None:
    image, features = _inputs(12, 40, 50, 32)
    assert project(features, image).tobytes() == project(features, image).tobytes()


def test_the_largest_entry_of_a_direction_is_positive() -> None:
    vectors = torch.from_numpy(_inputs(13)[1].reshape(-1, 6).T.copy())
    directions = principal_directions(vectors, 6)
    np.testing.assert_allclose(directions.T @ directions, np.eye(6), atol=1e-12)
    assert (directions.gather(0, directions.abs().argmax(0, keepdim=True)) > 0).all()
