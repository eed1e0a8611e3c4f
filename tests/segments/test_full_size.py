"""Layers of a reduced photo at every pixel of the full one: whole, seamless, and as sharp as the photo."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from softseg import decompose, segment
from softseg.errors import InputError
from softseg.segments import full_size
from softseg.segments.full_size import at_full_size, enlarged, reduced, working_size
from softseg.settings import RelaxedSettings, Settings

QUICK = RelaxedSettings(tolerance=1e-5)


def disk(size: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright disk with a soft edge on a dark ground, each with some texture, and its (2, size, size) alphas."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    alpha = np.clip(0.5 + (0.3 - np.hypot(y, x)) * 40, 0, 1)
    texture = 0.03 * np.random.default_rng(0).random((size, size, 3))
    image = alpha[..., None] * [0.9, 0.7, 0.2] + (1 - alpha[..., None]) * [0.1, 0.2, 0.4] + texture
    return image, np.stack([alpha, 1 - alpha])


@pytest.mark.parametrize(
    ("size", "pixels", "expected"),
    [
        ((300, 400), 120_000, (300, 400)),
        ((300, 400), 30_000, (150, 200)),
        ((16, 100_000), 1_000, (16, 2500)),
        ((600, 20), 4_000, (346, 16)),
    ],
)
def test_the_working_size_keeps_the_shape(size: tuple[int, int], pixels: int, expected: tuple[int, int]) -> None:
    assert working_size(size, pixels) == expected


def test_parts_are_averaged_and_spread_again() -> None:
    values = np.random.default_rng(0).random((12, 20, 2))
    small = reduced(values, (4, 5))
    np.testing.assert_allclose(small, values.reshape(4, 3, 5, 4, 2).mean(axis=(1, 3)), atol=1e-12)
    np.testing.assert_array_equal(enlarged(small, (12, 20)), small.repeat(3, axis=0).repeat(4, axis=1))
    assert enlarged(small, (13, 22)).shape == (13, 22, 2)
    np.testing.assert_allclose(reduced(values, (5, 7)).mean(), values.mean(), atol=0.05)


@pytest.mark.parametrize("factor", [2, 3.3])
def test_alphas_are_those_of_the_full_photo(factor: float) -> None:
    image, truth = disk(132)
    cells = round(132 / factor)
    small = reduced(np.moveaxis(truth, 0, 2), (cells, cells))
    result = at_full_size(np.moveaxis(small, 2, 0), image, QUICK).alphas
    assert result.shape == truth.shape and result.dtype == np.float32
    np.testing.assert_allclose(result.sum(axis=0), 1, atol=1e-5)
    assert result.min() >= 0 and result.max() <= 1
    spread = enlarged(small, (132, 132)).transpose(2, 0, 1)
    assert np.abs(result - truth).mean() < 0.35 * np.abs(spread - truth).mean()


def test_tiles_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    image, truth = disk(160)
    small = np.moveaxis(reduced(np.moveaxis(truth, 0, 2), (80, 80)), 2, 0)
    whole = at_full_size(small, image, QUICK).alphas
    monkeypatch.setattr(full_size, "_TILE", 40)
    assert len(list(full_size._tiles(160, 160))) == 16
    apart = np.abs(at_full_size(small, image, QUICK).alphas - whole)
    monkeypatch.setattr(full_size, "_OVERLAP", 0)
    cut = np.abs(at_full_size(small, image, QUICK).alphas - whole)
    assert apart.max() < 5e-3 and 5 * apart.max() < cut.max()  # measured: 0.0024 and 0.026


@pytest.mark.parametrize("size", [(16, 50), (3000, 4000), (17, 100_000), (1201, 1200)])
def test_tiles_are_all_pixels_once_and_none_is_large(size: tuple[int, int]) -> None:
    covered = np.zeros(size, dtype=np.int8)
    for outer, inner in full_size._tiles(*size):
        covered[inner] += 1
        assert all(o.start <= i.start and o.stop >= i.stop for o, i in zip(outer, inner, strict=True))
        assert all(o.stop - o.start <= 1264 for o in outer)
    assert (covered == 1).all()


def test_alphas_of_a_larger_photo_are_refused() -> None:
    with pytest.raises(InputError, match=r"alphas \(2, 20, 8\) are not those of a reduced photo \(16, 16, 3\)"):
        at_full_size(np.ones((2, 20, 8)), np.zeros((16, 16, 3)), QUICK)


def test_a_large_photo_is_taken_apart_reduced_and_put_together_whole() -> None:
    image, truth = disk(120)
    settings = replace(Settings.for_solver("fast"), working_pixels=60 * 60)
    parts = decompose(image, features=image, settings=settings)
    assert parts.pixels.shape == parts.features.shape == (60, 60, 3)
    assert parts.laplacian.shape == (3600, 3600) and parts.photo.pixels.shape == (120, 120, 3)
    result = parts.layers(2)
    assert result.alphas.shape == truth.shape and result.image.shape == image.shape
    assert result.statistics["working_size"] == [60, 60] and "full size" in result.timings
    assert result.notes == ("taken apart at 60 x 60 pixels, layers brought to full size",)
    np.testing.assert_allclose(result.alphas.sum(axis=0), 1, atol=1e-5)
    assert (np.diff(result.areas) <= 0).all()
    ground = truth[1] if truth[1].mean() > 0.5 else truth[0]
    assert np.abs(result.alphas[0] - ground).mean() < 0.02


def test_eigenvectors_that_are_not_refined_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    image, _ = disk(40)
    said = "the eigenvectors are those of the coarse space, not refined at every pixel"
    refined = decompose(image, features=image)
    assert said not in refined.photo.notes
    monkeypatch.setattr(sys.modules["softseg.spectrum.eigenbasis"], "_LARGEST_REFINED", 40 * 40 - 1)
    assert said in decompose(image, features=image).photo.notes
    # who asks for no smoothing knows it
    settings = refined.settings
    coarse = replace(settings, spectrum=replace(settings.spectrum, smoothing_steps=0))
    assert said not in decompose(image, features=image, settings=coarse).photo.notes


def test_a_photo_within_the_limit_is_taken_as_it_is() -> None:
    image, _ = disk(60)
    settings = replace(Settings.for_solver("fast"), working_pixels=60 * 60)
    parts = decompose(image, features=image, settings=settings)
    assert parts.pixels is parts.photo.pixels
    result = parts.layers(2)
    assert "full size" not in result.timings and "working_size" not in result.statistics
    without = segment(image, 2, features=image, settings=replace(settings, working_pixels=None))
    assert result.alphas.tobytes() == without.alphas.tobytes()


def test_features_have_the_size_of_the_photo_not_of_the_work() -> None:
    image, _ = disk(96)
    settings = replace(Settings.for_solver("fast"), working_pixels=48 * 48)
    with pytest.raises(InputError, match="features"):
        decompose(image, features=np.zeros((48, 48, 3)), settings=settings)


def test_the_exact_route_reduces_nothing() -> None:
    assert Settings.for_solver("exact").working_pixels is None
    assert Settings.for_solver("fast").working_pixels == 1_000_000
    for wrong in (100, 1e6, float("nan")):
        with pytest.raises(InputError, match=r"working_pixels is .*choose a whole number from 256, or None"):
            Settings(working_pixels=wrong)  # type: ignore[arg-type]


def test_a_panorama_stays_high_enough() -> None:
    image = np.random.default_rng(0).random((16, 400, 3))
    image[:, 200:] *= 0.2
    settings = replace(Settings.for_solver("fast"), working_pixels=1_000)
    result = segment(image, 2, features=image, settings=settings)
    assert result.alphas.shape == (2, 16, 400) and result.statistics["working_size"] == [16, 158]


@pytest.mark.parametrize("features", ["five", "kmeans"])
def test_other_features_and_groupings(features: str) -> None:
    image, _ = disk(64)
    settings = replace(Settings.for_solver("fast"), working_pixels=32 * 32)
    given = np.dstack([image, image[..., :2]]) if features == "five" else image
    method = "kmeans" if features == "kmeans" else "agglomerative"
    result = segment(image, 2, features=given, settings=settings, grouping=method)  # type: ignore[arg-type]
    assert result.alphas.shape == (2, 64, 64)
    assert "boundary_weights" in result.statistics


@pytest.mark.parametrize("working_pixels", [None, 24 * 24])
def test_a_photo_that_is_read_only(working_pixels: int | None) -> None:
    image, _ = disk(48)
    settings = replace(Settings.for_solver("fast"), working_pixels=working_pixels)
    expected = segment(image, 2, features=image, settings=settings)
    image.flags.writeable = False
    result = segment(image, 2, features=image, settings=settings)
    np.testing.assert_array_equal(result.alphas, expected.alphas)
