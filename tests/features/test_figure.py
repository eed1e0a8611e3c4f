"""Fig. 2: what its panels show, and that it can be read for photos of any shape."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from softseg.errors import InputError
from softseg.features import draw_figure, project
from softseg.features.figure import panels


def _inputs(h: int, w: int, channels: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((h, w, 3)), rng.normal(size=(h, w, channels))


def _dark_ink(picture: Image.Image) -> np.ndarray:
    """Where the letters are: the photo and the features below are all of a light gray."""
    return np.asarray(picture.convert("L")) < 64


def test_the_panels_are_the_photo_and_three_reductions() -> None:
    image, features = _inputs(20, 30)
    photo, chance, components, filtered = panels(image, features)
    np.testing.assert_array_equal(photo, image)
    np.testing.assert_array_equal(filtered, project(features, image))
    for panel in (chance, components, filtered):
        assert panel.shape == (20, 30, 3)
        np.testing.assert_allclose(panel.min((0, 1)), 0, atol=1e-6)
        np.testing.assert_allclose(panel.max((0, 1)), 1, atol=1e-6)


def test_pca_without_the_filter_is_that_of_a_singular_value_decomposition() -> None:
    image, features = _inputs(20, 30)
    features = features * np.arange(1, 9) / 3
    components = panels(image, features)[2].reshape(-1, 3)
    vectors = features.clip(-5, 5).reshape(-1, 8)
    expected = (vectors - vectors.mean(0)) @ np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)[2][:3].T
    for k in range(3):
        assert abs(np.corrcoef(components[:, k], expected[:, k])[0, 1]) > 0.999999


def test_the_random_projection_is_linear_and_goes_by_its_seed() -> None:
    image, features = _inputs(12, 15, 4)
    one, again, other = (panels(image, features, seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1
    design = np.column_stack([features.reshape(-1, 4), np.ones(180)])
    residual = np.linalg.lstsq(design, one.reshape(-1, 3), rcond=None)[1]
    np.testing.assert_allclose(residual, 0, atol=1e-8)


def test_values_are_clipped_as_they_are_for_the_graph() -> None:
    image, features = _inputs(10, 12)
    features[0, 0] = 1e6
    cut = features.clip(-5, 5)
    for panel, expected in zip(panels(image, features), panels(image, cut), strict=True):
        np.testing.assert_array_equal(panel, expected)


def test_constant_features_are_gray() -> None:
    image, _ = _inputs(10, 12)
    for panel in panels(image, np.full((10, 12, 5), 2.0))[1:]:
        np.testing.assert_array_equal(panel, 0.5)


def test_few_channels_leave_gray() -> None:
    image, features = _inputs(10, 12, 1)
    np.testing.assert_array_equal(panels(image, features)[2][..., 1:], 0.5)


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((32, 48), (2, 2)),
        ((300, 400), (2, 2)),
        ((16, 400), (4, 1)),
        ((400, 16), (1, 4)),
        ((16, 16), (2, 2)),
        ((1, 1), (2, 2)),
        ((1, 3000), (4, 1)),
        ((30, 1500), (4, 1)),
    ],
)
def test_four_panels_and_four_labels_for_any_shape(size: tuple[int, int], grid: tuple[int, int]) -> None:
    light = np.full((*size, 3), 0.9)
    picture = draw_figure(light, np.zeros((*size, 2)))
    assert picture.mode == "RGB"
    assert picture.width <= 4 * 1100 and picture.height <= 4 * 1100
    ink = _dark_ink(picture)
    rows, columns = grid
    for part in (half for band in np.array_split(ink, rows, axis=0) for half in np.array_split(band, columns, axis=1)):
        letters = np.flatnonzero(part.any(axis=1))
        assert np.ptp(letters) >= 9  # the label is there, at least that many pixels high
    edges = np.concatenate([ink[:, :2].ravel(), ink[:, -2:].ravel(), ink[:2].ravel(), ink[-2:].ravel()])
    assert not edges.any()  # and nothing is cut off
    band = ink.any(axis=1).astype(int)
    assert (np.diff(band) == 1).sum() == rows  # as many lines of text as rows of panels


def test_panels_are_drawn_at_their_own_size() -> None:
    image, features = _inputs(260, 300)
    pixels = np.asarray(draw_figure(image, features))
    expected = np.rint(image * 255).astype(np.uint8)
    np.testing.assert_array_equal(pixels[8:268, 8:308], expected)


def test_tiny_photos_are_enlarged_without_smoothing() -> None:
    image, features = _inputs(16, 16)
    pixels = np.asarray(draw_figure(image, features))
    expected = np.rint(image * 255).astype(np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    np.testing.assert_array_equal(pixels[8 : 8 + 256, 8 : 8 + 256], expected)


def test_the_same_arguments_give_the_same_picture_and_are_left_alone() -> None:
    image, features = _inputs(20, 24)
    before = image.copy(), features.copy()
    assert draw_figure(image, features).tobytes() == draw_figure(image, features).tobytes()
    np.testing.assert_array_equal(before[0], image)
    np.testing.assert_array_equal(before[1], features)


@pytest.mark.parametrize("features", [np.zeros((4, 6, 2)), np.full((4, 5, 2), np.nan), np.zeros((4, 5))])
def test_refuses_features_that_do_not_fit(features: np.ndarray) -> None:
    with pytest.raises(InputError, match="features"):
        draw_figure(np.zeros((4, 5, 3)), features)
