"""Laws of the graph: affinities, Laplacian, superpixels.

What does not hold, and is not tested: a flipped photo does not have the flipped superpixels (SLIC scans the pixels in
order), and for given superpixels a flip does not flip the affinities between them exactly, because the centroid is
rounded half up: a centroid half-way between two pixels goes to the later one, whichever way the photo is turned.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.linalg import eigvalsh
from scipy.ndimage import label
from scipy.special import erf, erfinv

from softseg.errors import InputError
from softseg.graph import color_affinity, laplacian, matting_affinity, semantic_affinity, superpixels
from softseg.graph.superpixels import representative_pixels
from softseg.segments import relaxed_sparsification
from softseg.spectrum import smallest_eigenpairs
from tests.laws.examples import KINDS, images, make_image, make_laplacian, make_partition, seeds
from tests.laws.profile import few, law
from tests.reference.dense import touch


def matting_laplacian(image: np.ndarray, epsilon: float = 1e-7) -> sp.csr_array:
    nothing = sp.csr_array((image.shape[0] * image.shape[1],) * 2)
    return laplacian(matting_affinity(image, epsilon), nothing, nothing)


def windows_over(h: int, w: int) -> np.ndarray:
    """(h, w) number of 3 x 3 windows inside the image that hold each pixel."""
    count = np.zeros((h, w))
    for y in range(h - 2):
        for x in range(w - 2):
            count[y : y + 3, x : x + 3] += 1
    return count


# The matting affinity


@law
@given(images(3, 20))
def test_matting_affinity_is_symmetric_and_joins_pixels_of_one_window(image: np.ndarray) -> None:
    h, w, _ = image.shape
    affinity = matting_affinity(image)
    assert affinity.shape == (h * w, h * w) and affinity.dtype == np.float64
    assert (affinity != affinity.T).nnz == 0
    y, x = np.divmod(np.arange(h * w), w)
    i, j = np.repeat(np.arange(h * w), np.diff(affinity.indptr)), affinity.indices
    assert max(abs(y[i] - y[j]).max(), abs(x[i] - x[j]).max()) == 2
    stored = np.diff(affinity.indptr).reshape(h, w)
    rows = [min(k, 2) + min(h - 1 - k, 2) + 1 for k in range(h)]
    columns = [min(k, 2) + min(w - 1 - k, 2) + 1 for k in range(w)]
    np.testing.assert_array_equal(stored, np.outer(rows, columns))
    assert (stored[2 : h - 2, 2 : w - 2] == 25).all()


@law
@given(images(3, 20))
def test_matting_degree_is_the_number_of_windows(image: np.ndarray) -> None:
    # The deviations from a window's mean sum to zero: only the ones remain. This ties every entry of a row together.
    degree = matting_affinity(image).sum(axis=1)
    np.testing.assert_allclose(degree, windows_over(*image.shape[:2]).ravel(), atol=1e-9, rtol=0)


@few
@given(images(3, 16), st.sampled_from([1e-7, 1e-4]))
def test_matting_laplacian_is_positive_semidefinite(image: np.ndarray, epsilon: float) -> None:
    dense = matting_laplacian(image, epsilon).toarray()
    values = eigvalsh(dense)
    assert values[0] >= -1e-9 and values[-1] <= 18  # a pixel is in at most nine windows: Gershgorin on projections
    assert abs(dense.sum(axis=1)).max() < 1e-11


@few
@given(images(3, 12), st.sampled_from([1e-7, 1e-3]), seeds)
def test_matting_energy_is_that_of_the_best_color_line_in_every_window(
    image: np.ndarray, epsilon: float, seed: int
) -> None:
    # a^T L a = sum_k min_(b, d) sum_(i in k) (a_i - b . I_i - d)^2 + epsilon |b|^2   (Levin et al. 2008, Eq. (6))
    h, w, _ = image.shape
    alpha = np.random.default_rng(seed).random((h, w))
    energy = 0.0
    for y in range(h - 2):
        for x in range(w - 2):
            colors = image[y : y + 3, x : x + 3].reshape(9, 3)
            model = np.vstack([np.hstack([colors, np.ones((9, 1))]), np.sqrt(epsilon) * np.eye(3, 4)])
            values = np.concatenate([alpha[y : y + 3, x : x + 3].ravel(), np.zeros(3)])
            fit = np.linalg.lstsq(model, values, rcond=None)[0]
            energy += ((model @ fit - values) ** 2).sum()
    flat = alpha.ravel()
    assert flat @ matting_laplacian(image, epsilon) @ flat == pytest.approx(energy, rel=1e-6, abs=1e-9)


@law
@given(images(3, 20), seeds, st.sampled_from([1e-7, 1e-5, 1e-3]))
def test_color_affine_functions_are_nearly_in_the_null_space(image: np.ndarray, seed: int, epsilon: float) -> None:
    # With b = c and d in every window the error vanishes; only the regularisation of each window is left.
    h, w, _ = image.shape
    *c, d = np.random.default_rng(seed).normal(size=4)
    a = (image @ c + d).ravel()
    energy = a @ matting_laplacian(image, epsilon) @ a
    assert -1e-9 <= energy <= epsilon * np.dot(c, c) * (h - 2) * (w - 2) * (1 + 1e-6) + 1e-9


@pytest.mark.parametrize("color", [0.0, 0.3, 1.0])
def test_matting_affinity_of_a_constant_photo_counts_shared_windows(color: float) -> None:
    h, w = 7, 9
    affinity = matting_affinity(np.full((h, w, 3), color)).toarray()
    inside = windows_over(h, w)
    assert affinity[0, 0] == pytest.approx(1 / 9, abs=1e-12)
    np.testing.assert_allclose(affinity.diagonal(), inside.ravel() / 9, atol=1e-12)
    center = 3 * w + 4  # shares (3 - |dy|) (3 - |dx|) windows with its neighbours
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            shared = (3 - abs(dy)) * (3 - abs(dx))
            assert affinity[center, center + dy * w + dx] == pytest.approx(shared / 9, abs=1e-12)


# Differences of colours carry rounding errors of 1e-16; in a flat window they are divided by the square root of
# epsilon / 9 twice.
ROUNDING = 1e-8


@law
@given(images(3, 20), st.floats(0, 0.5))
def test_matting_affinity_ignores_added_brightness(image: np.ndarray, brightness: float) -> None:
    image = image / 2
    difference = matting_affinity(image + brightness) - matting_affinity(image)
    assert abs(difference).max() < ROUNDING


@law
@given(images(3, 20), st.floats(0.05, 1))
def test_matting_affinity_ignores_contrast_if_epsilon_goes_with_its_square(image: np.ndarray, contrast: float) -> None:
    difference = matting_affinity(contrast * image, 1e-5 * contrast**2) - matting_affinity(image, 1e-5)
    assert abs(difference).max() < ROUNDING


@law
@given(images(3, 20), st.permutations([0, 1, 2]))
def test_matting_affinity_ignores_the_order_of_the_channels(image: np.ndarray, order: list[int]) -> None:
    assert abs(matting_affinity(image[..., order]) - matting_affinity(image)).max() < ROUNDING


@law
@given(images(3, 20), st.sampled_from(["flip y", "flip x", "transpose", "half turn"]))
def test_turning_the_photo_permutes_the_matting_affinity(image: np.ndarray, turn: str) -> None:
    def turned(array: np.ndarray) -> np.ndarray:
        return {
            "flip y": array[::-1],
            "flip x": array[:, ::-1],
            "transpose": array.swapaxes(0, 1),
            "half turn": array[::-1, ::-1],
        }[turn]

    pixels = turned(np.arange(image.shape[0] * image.shape[1]).reshape(image.shape[:2])).ravel()
    expected = matting_affinity(image)[pixels][:, pixels]
    assert abs(matting_affinity(np.ascontiguousarray(turned(image))) - expected).max() < ROUNDING


# The semantic affinity


def make_example(kind: str, h: int, w: int, regions: int, contrast: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels (h, w) of convex regions and a map (h, w, 3) in [0, 1]."""
    return make_partition(h, w, regions, seed), make_image(kind, h, w, seed) * contrast


partitions = st.builds(
    make_example,
    st.sampled_from(KINDS),
    st.integers(16, 40),
    st.integers(16, 40),
    st.integers(1, 30),
    st.sampled_from([0.05, 0.3, 1.0]),
    seeds,
)


@law
@given(partitions)
def test_semantic_affinity_has_its_form(example: tuple[np.ndarray, np.ndarray]) -> None:
    labels, features = example
    affinity = semantic_affinity(features, labels)
    assert affinity.shape == (labels.size, labels.size) and affinity.dtype == np.float64
    assert (affinity != affinity.T).nnz == 0
    assert not affinity.diagonal().any()
    pixels = representative_pixels(labels)
    if len(np.unique(pixels)) == len(pixels):  # otherwise their affinities add up, see below
        assert abs(affinity).max() <= 1
        owner = {int(pixel): s for s, pixel in enumerate(pixels)}
        upper = sp.triu(affinity).tocoo()
        for i, j in zip(*upper.coords, strict=True):
            assert touch(labels, owner[int(i)], owner[int(j)])


def test_affinities_stay_in_their_range_where_centroids_coincide() -> None:
    labels = np.zeros((9, 9), dtype=np.int64)  # a frame, a ring in it and a core: one centroid
    labels[1:8, 1:8] = 1
    labels[3:6, 3:6] = 2
    labels[1:8, 8] = 3
    assert color_affinity(np.zeros((9, 9, 3)), labels).max() <= 1


@law
@given(st.floats(0, 0.3), st.floats(-5, 5))
def test_semantic_affinity_turns_from_attraction_to_repulsion_at_015(distance: float, offset: float) -> None:
    labels = np.repeat([[0, 0, 0, 1, 1, 1]], 3, axis=0)
    direction = np.array([2, -1, 2]) / 3
    features = offset + distance * labels[..., None] * direction
    value = semantic_affinity(features, labels).sum() / 2
    assert value == pytest.approx(erf(20 * (0.15 - distance)), abs=1e-12)
    if abs(distance - 0.15) > 1e-9:
        assert np.sign(value) == np.sign(0.15 - distance)


@law
@given(partitions, seeds)
def test_affinities_ignore_the_names_of_the_labels(example: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    labels, image = example
    renamed = np.random.default_rng(seed).permutation(labels.max() + 1)[labels]
    for affinity in (semantic_affinity, color_affinity):
        difference = affinity(image, renamed) - affinity(image, labels)
        assert abs(difference).max() < 1e-13


@law
@given(partitions, seeds)
def test_semantic_affinity_ignores_where_features_lie(example: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    labels, features = example
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    moved = features @ rotation + rng.normal(size=3)
    assert abs(semantic_affinity(moved, labels) - semantic_affinity(features, labels)).max() < 1e-12


# The colour affinity


@law
@given(partitions)
def test_color_affinity_has_its_form(example: tuple[np.ndarray, np.ndarray]) -> None:
    labels, image = example
    h, w = labels.shape
    affinity = color_affinity(image, labels)
    assert affinity.shape == (labels.size, labels.size) and affinity.dtype == np.float64
    assert (affinity != affinity.T).nnz == 0
    assert not affinity.diagonal().any()
    assert affinity.nnz == 0 or affinity.data.min() > 0  # exact zeros are not stored
    i, j = affinity.tocoo().coords
    assert (np.hypot((i // w - j // w) / h, (i % w - j % w) / w) <= 0.2 + 1e-12).all()
    pixels = representative_pixels(labels)
    assert np.isin(i, pixels).all()
    if len(np.unique(pixels)) == len(pixels):
        assert affinity.nnz == 0 or affinity.data.max() <= 1


@pytest.mark.parametrize(("apart", "joined"), [(3, True), (4, True), (5, False)])
def test_color_affinity_ends_at_a_fifth_of_the_photo(apart: int, joined: bool) -> None:
    labels = np.zeros((1, 20), dtype=np.int64)  # pixels 5 and 5 + apart alone, of one colour
    labels[0, 5], labels[0, 5 + apart] = 1, 2
    affinity = color_affinity(np.full((1, 20, 3), 0.5), labels)
    assert bool(affinity[5, 5 + apart] > 0.99) is joined


@law
@given(st.floats(0, 0.2))
def test_color_affinity_is_one_half_at_005(distance: float) -> None:
    labels = np.repeat([[0, 1]], 3, axis=0).repeat(3, axis=1)
    labels = np.pad(labels, ((0, 0), (0, 20)), constant_values=2)
    image = distance * (labels[..., None] == 1) * np.array([2, -1, 2]) / 3 + 0.2
    s, t, _ = representative_pixels(labels)
    value = color_affinity(image, labels)[s, t]
    assert value == pytest.approx((erf(50 * (0.05 - distance)) + 1) / 2, abs=1e-12)
    if 1e-3 < value < 1 - 1e-3:
        assert distance == pytest.approx(0.05 - erfinv(2 * value - 1) / 50, abs=1e-6)


# The Laplacian


@law
@given(images())
def test_laplacian_is_symmetric_with_the_constant_in_its_null_space(image: np.ndarray) -> None:
    matrix = make_laplacian(image)
    assert abs(matrix - matrix.T).max() == 0
    assert abs(matrix @ np.ones(matrix.shape[0])).max() < 1e-11


@law
@given(images(), st.floats(0, 1), st.floats(0, 1))
def test_laplacian_is_linear_in_the_affinities(image: np.ndarray, semantic_weight: float, color_weight: float) -> None:
    labels = make_partition(*image.shape[:2], 20)
    affinities = matting_affinity(image), semantic_affinity(image, labels), color_affinity(image, labels)
    nothing = 0 * affinities[0]
    alone = [
        laplacian(affinities[0], nothing, nothing),
        laplacian(nothing, affinities[1], nothing, 1, 1),
        laplacian(nothing, nothing, affinities[2], 1, 1),
    ]
    expected = alone[0] + semantic_weight * alone[1] + color_weight * alone[2]
    assert abs(laplacian(*affinities, semantic_weight, color_weight) - expected).max() < 1e-12


def two_halves() -> tuple[np.ndarray, np.ndarray]:
    """A photo of one flat half above another, and features that say that the halves are not the same."""
    image = np.full((20, 24, 3), 0.2)
    image[10:] = 0.8
    return image, np.where(image > 0.5, 0.6, 0.1)


def test_laplacian_can_be_indefinite_and_the_solvers_take_it() -> None:
    image, features = two_halves()
    rows, columns = np.mgrid[0:20, 0:24] // 5
    labels = rows * 5 + columns
    matrix = laplacian(matting_affinity(image), semantic_affinity(features, labels), color_affinity(image, labels))
    # The indicator of a half is affine in colour: the matting affinity does not hold it back, the repulsion drives it.
    expected = eigvalsh(matrix.toarray())
    assert expected[0] < -5e-4

    values, vectors = smallest_eigenpairs(matrix, 12)
    nearest = np.sort(expected[np.argsort(abs(expected))[:12]])
    np.testing.assert_allclose(values, nearest, atol=1e-10)
    np.testing.assert_allclose(matrix @ vectors, vectors * values, atol=1e-8)

    left = np.linspace(0.7, 0.3, 24) * np.ones((20, 1))
    alphas = relaxed_sparsification(np.stack([left, 1 - left]), matrix, image)
    assert np.isfinite(alphas).all() and abs(alphas.sum(axis=0) - 1).max() < 1e-6


def test_laplacian_of_affinities_of_different_photos_is_refused() -> None:
    square = sp.csr_array((4, 4))
    with pytest.raises(InputError, match="one photo"):
        laplacian(square, square, sp.csr_array((5, 5)))
    with pytest.raises(InputError, match=r"\(N, N\)"):
        laplacian(*[sp.csr_array((4, 5))] * 3)


# Superpixels


@law
@given(images(16, 40), st.sampled_from([1, 12, 60, 2500]))
def test_superpixels_are_a_partition_into_connected_regions(image: np.ndarray, count: int) -> None:
    h, w, _ = image.shape
    labels = superpixels(image, count)
    assert labels.shape == (h, w) and labels.dtype == np.int64
    found = np.unique(labels)
    np.testing.assert_array_equal(found, np.arange(len(found)))
    # Fragments below a quarter of the mean area, rounded down, are joined to others: 2 of 9 pixels may stay.
    assert len(found) <= 4.5 * max(1, min(count, h * w // 9))
    for s in found:
        assert label(labels == s)[1] == 1  # by 4-adjacency
    np.testing.assert_array_equal(labels, superpixels(image, count))


def test_superpixels_respect_a_clear_edge() -> None:
    image, _ = two_halves()
    labels = superpixels(image, 30)
    assert not np.intersect1d(labels[:10], labels[10:]).size
    assert labels.max() >= 15


@law
@given(st.integers(16, 60), st.integers(16, 60), seeds, st.sampled_from([1, 12, 60, 2500]))
def test_superpixels_come_near_their_count_where_the_photo_is_smooth(h: int, w: int, seed: int, count: int) -> None:
    # Not where it is rough: superpixels of strong noise are crumbs, of which the small ones are joined, see below.
    aimed = max(1, min(count, h * w // 9))
    found = superpixels(make_image("smooth", h, w, seed), count).max() + 1
    assert 0.6 * aimed <= found <= 1.6 * aimed + 1


def test_superpixels_come_near_their_count_where_the_photo_is_grainy() -> None:
    grain = np.random.default_rng(0).normal(scale=0.15, size=(160, 160, 3))
    image = np.clip(make_image("smooth", 160, 160) + grain, 0, 1)
    assert superpixels(image, 625).max() + 1 >= 625 / 2
