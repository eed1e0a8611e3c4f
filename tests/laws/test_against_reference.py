"""The affinities against their transcriptions."""

from __future__ import annotations

import numpy as np
import pytest

from softseg.graph import color_affinity, matting_affinity, semantic_affinity
from softseg.graph.superpixels import representative_pixels
from tests.laws.examples import KINDS, make_image, make_partition
from tests.reference.dense import (
    color_affinity_reference,
    matting_affinity_reference,
    representative_pixel,
    semantic_affinity_reference,
)

# Primes: no two pixels are exactly the radius of the colour affinity apart, where the last bit would decide.
SIZES = [(7, 11), (13, 7), (3, 17), (17, 13)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kind", "epsilon"), [*((kind, 1e-4) for kind in KINDS), ("noise", 1e-7), ("smooth", 1e-7)])
def test_matting_affinity(size: tuple[int, int], kind: str, epsilon: float) -> None:
    # The transcription inverts: where the image is flat it loses digits to the condition number, 1 / epsilon. With the
    # default epsilon the two are compared to eight digits where colours vary.
    image = make_image(kind, *size, seed=1)
    expected = matting_affinity_reference(image, epsilon)
    np.testing.assert_allclose(matting_affinity(image, epsilon).toarray(), expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("kind", ["blocks", "gray", "levels"])
def test_matting_affinity_of_flat_windows(kind: str) -> None:
    image = make_image(kind, 11, 7, seed=2)
    expected = matting_affinity_reference(image, 1e-7)
    np.testing.assert_allclose(matting_affinity(image).toarray(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [2, 9, 25])
@pytest.mark.parametrize("seed", [0, 1])
def test_semantic_affinity(size: tuple[int, int], count: int, seed: int) -> None:
    labels = make_partition(*size, count, seed)
    features = np.random.default_rng(seed).random((*size, 4)) + labels[..., None] % 3 * 0.2
    expected = semantic_affinity_reference(features, labels)
    np.testing.assert_allclose(semantic_affinity(features, labels).toarray(), expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [2, 9, 25])
@pytest.mark.parametrize("seed", [0, 1])
def test_color_affinity(size: tuple[int, int], count: int, seed: int) -> None:
    labels = make_partition(*size, count, seed)
    image = 0.2 * np.random.default_rng(seed).random((*size, 3)) + labels[..., None] % 4 * 0.04
    expected = color_affinity_reference(image, labels)
    np.testing.assert_allclose(color_affinity(image, labels).toarray(), expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("size", [(16, 16), (20, 31)])
@pytest.mark.parametrize("seed", range(4))
def test_representative_pixels(size: tuple[int, int], seed: int) -> None:
    # Scattered labels: many centroids lie half-way between two pixels, to the last bit.
    labels = np.random.default_rng(seed).permutation(np.arange(size[0] * size[1]) % 60).reshape(size)
    y, x = np.divmod(representative_pixels(labels), size[1])
    assert list(zip(y, x, strict=True)) == [representative_pixel(labels, s) for s in range(60)]
