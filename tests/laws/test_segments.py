"""Laws of the last three stages: constrained sparsification, grouping, relaxed sparsification."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from softseg.errors import InputError, SoftsegError
from softseg.segments import (
    constrained_sparsification,
    group,
    initial_clusters,
    relaxed_sparsification,
    weighted_grams,
)
from softseg.segments.constrained import fit_segments
from softseg.segments.relaxed import gradient_magnitude, project_to_simplex, relax
from softseg.settings import ConstrainedSettings, RelaxedSettings
from softseg.spectrum import Eigenbasis, smallest_eigenpairs
from tests.laws.examples import KINDS, make_image, make_laplacian, make_partition, seeds
from tests.laws.profile import few, law
from tests.reference.constrained import constrained_sparsification_reference
from tests.reference.relaxed import gradient_magnitude_reference, relaxed_sparsification_reference

# Constrained sparsification


def make_basis(n: int, seed: int, h: int = 16, w: int = 18) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, n) eigenvectors of a small photo, their values, and N labels to start from."""
    image = make_image("smooth", h, w, seed)
    values, vectors = smallest_eigenpairs(make_laplacian(image), n)
    return vectors, values, make_partition(h, w, 7, seed).ravel()


bases = st.builds(make_basis, st.sampled_from([6, 12, 20]), st.integers(0, 50))


@law
@given(bases)
def test_segments_sum_to_one_and_lie_in_the_span(basis: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    vectors, values, labels = basis
    segments = constrained_sparsification(vectors, values, labels)
    assert segments.dtype == np.float64 and segments.shape[1] == len(vectors)
    assert 1 <= len(segments) <= len(np.unique(labels))
    np.testing.assert_allclose(segments.sum(axis=0), 1, atol=1e-9)
    np.testing.assert_allclose(segments, segments @ vectors @ vectors.T, atol=1e-9)


# The weights reach 1e12 where an alpha is 0 or 1, which nails pixels down; which ones is decided by digits that
# rounding has touched. A difference of 1e-16 grows tenfold in an iteration, to 1e-2 at some pixels after forty. So the
# laws hold to many digits for a few iterations, and on the average for all of them.
SHORT = ConstrainedSettings(iterations=4, drop_below=0)


@pytest.mark.parametrize("n", [1, 5, 12])
@pytest.mark.parametrize("iterations", [1, 4, 8])
@pytest.mark.parametrize("drop_below", [0, 0.1, 0.9])
def test_segments_agree_with_the_transcription(n: int, iterations: int, drop_below: float) -> None:
    vectors, values, labels = make_basis(n, seed=3)
    if n == 1:
        labels = labels // 4  # two labels: more would vanish together
        drop_below = min(drop_below, 0.1)
    numbers = {"iterations": iterations, "drop_below": drop_below}
    expected = constrained_sparsification_reference(vectors, values, labels, **numbers)
    expected += (1 - expected.sum(axis=0)) / len(expected)  # what layers dropped last took with them
    segments = constrained_sparsification(vectors, values, labels, ConstrainedSettings(**numbers))
    np.testing.assert_allclose(segments, expected, atol=1e-5)


def test_all_iterations_agree_with_the_transcription_on_the_average() -> None:
    vectors, values, labels = make_basis(12, seed=3)
    expected = constrained_sparsification_reference(vectors, values, labels, drop_below=0)
    segments = constrained_sparsification(vectors, values, labels, ConstrainedSettings(drop_below=0))
    assert abs(segments - expected).mean() < 0.02
    assert sparsity(segments) == pytest.approx(sparsity(expected), rel=0.01)
    start = constrained_sparsification(vectors, values, labels, ConstrainedSettings(iterations=1))
    assert sparsity(segments) < sparsity(start)


@pytest.mark.parametrize("iterations", [1, 10, 40])
@pytest.mark.parametrize(("first_floor", "floor"), [(None, 1e-3), (1e-2, 1e-4)])
def test_rounding_does_not_grow_with_higher_floors(iterations: int, first_floor: float | None, floor: float) -> None:
    vectors, values, labels = make_basis(12, seed=3)
    numbers = {"iterations": iterations, "floor": floor, "first_floor": first_floor, "drop_below": 0}
    expected = constrained_sparsification_reference(vectors, values, labels, **numbers)
    segments = constrained_sparsification(vectors, values, labels, ConstrainedSettings(**numbers))
    np.testing.assert_allclose(
        segments, expected, atol=1e-11
    )  # measured: 1e-12; 0.005 to 0.02 after 40 rounds of 1e-10


def sparsity(segments: np.ndarray) -> float:
    """What the iteration makes small, without the share of the eigenvalues."""
    return float((abs(segments) ** 0.8 + abs(1 - segments) ** 0.8).sum())


@few
@given(bases, seeds)
def test_renaming_the_labels_permutes_the_segments(basis: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> None:
    vectors, values, labels = basis
    order = np.random.default_rng(seed).permutation(labels.max() + 1)
    renamed = constrained_sparsification(vectors, values, order[labels], SHORT)
    np.testing.assert_allclose(renamed[order], constrained_sparsification(vectors, values, labels, SHORT), atol=1e-6)


@few
@given(bases, seeds)
def test_segments_do_not_depend_on_the_choice_of_eigenvectors(
    basis: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int
) -> None:
    vectors, values, labels = basis
    rng = np.random.default_rng(seed)
    signs = np.sign(rng.normal(size=len(values)))
    np.testing.assert_allclose(  # all iterations: a sign changes no digit
        constrained_sparsification(vectors * signs, values, labels),
        constrained_sparsification(vectors, values, labels),
        atol=1e-12,
    )
    values = np.repeat(values[::2], 2)  # double eigenvalues: any rotation of the two is as good
    rotation = sp.block_diag([np.linalg.qr(rng.normal(size=(2, 2)))[0] for _ in values[::2]]).toarray()
    np.testing.assert_allclose(
        constrained_sparsification(vectors @ rotation, values, labels, SHORT),
        constrained_sparsification(vectors, values, labels, SHORT),
        atol=1e-6,
    )


@few
@given(bases, st.integers(0, 9))
def test_a_sample_of_all_pixels_is_no_sample(basis: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> None:
    everything = constrained_sparsification(*basis)
    for sample in (len(basis[0]), len(basis[0]) + 1):
        sampled = constrained_sparsification(*basis, ConstrainedSettings(sample=sample), seed=seed)
        assert sampled.tobytes() == everything.tobytes()


@few
@given(bases, st.integers(0, 9))
def test_a_sample_still_sums_to_one_everywhere(basis: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> None:
    settings = ConstrainedSettings(sample=100)
    once, again = (constrained_sparsification(*basis, settings, seed=seed) for _ in range(2))
    assert once.tobytes() == again.tobytes()
    np.testing.assert_allclose(once.sum(axis=0), 1, atol=1e-9)


def test_segments_are_the_same_with_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    basis = make_basis(12, seed=4)
    expected = constrained_sparsification(*basis, SHORT)
    monkeypatch.setattr(weighted_grams, "_PAIR_BYTES", 0)
    np.testing.assert_allclose(constrained_sparsification(*basis, SHORT), expected, atol=1e-8)


def test_labels_that_can_be_had_exactly_are_kept() -> None:
    labels = np.repeat([0, 1, 2], [40, 30, 50])
    vectors = np.linalg.qr(
        (labels[:, None] == np.arange(3)).astype(float) @ np.array([[1, 0, 2.0], [1, 1, 0], [1, 5, 1]])
    )[0]
    segments = constrained_sparsification(vectors, np.zeros(3), labels)
    np.testing.assert_allclose(segments, labels == np.arange(3)[:, None], atol=1e-9)


def test_labels_that_all_vanish_end_in_a_segment_or_in_advice() -> None:
    constant = np.full((200, 1), 200**-0.5)
    try:
        segments = constrained_sparsification(constant, np.zeros(1), np.arange(200) % 40)
    except SoftsegError:
        return
    np.testing.assert_allclose(segments.sum(axis=0), 1, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v, e, p: (v[0], e, p), "belong together"),
        (lambda v, e, p: (v, e[:-1], p), "belong together"),
        (lambda v, e, p: (v, e, p[:-1]), "belong together"),
        (lambda v, e, p: (v, e, p - 1), "minimum -1"),
        (lambda v, e, p: (v, e, p.astype(float)), "float64"),
    ],
)
def test_unusable_arguments_are_refused(change: Callable[..., tuple[np.ndarray, ...]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        constrained_sparsification(*change(*make_basis(3, seed=0)))


@law
@given(st.sampled_from(KINDS), st.integers(1, 60), seeds)
def test_initial_clusters_are_a_partition(kind: str, count: int, seed: int) -> None:
    features = make_image(kind, 20, 17, seed)
    labels = initial_clusters(features, count, seed=3)
    assert labels.shape == (20, 17) and labels.dtype == np.int64
    found = np.unique(labels)
    np.testing.assert_array_equal(found, np.arange(len(found)))
    distinct = len(np.unique(features.reshape(-1, 3), axis=0))
    assert len(found) <= count and (len(found) == distinct or distinct > count)
    np.testing.assert_array_equal(labels, initial_clusters(features, count, seed=3))
    means = np.array([features[labels == s].mean(axis=0) for s in found])
    assert ((features - means[labels]) ** 2).sum() <= ((features - features.mean(axis=(0, 1))) ** 2).sum() + 1e-9


# Grouping


def make_segments(m: int, pixels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(m, N) segments that sum to one and leave [0, 1] a little, and (N, 3) features."""
    rng = np.random.default_rng(seed)
    segments = rng.dirichlet(np.full(m, 0.3), size=pixels).T
    segments += 0.02 * (noise := rng.normal(size=(m, pixels))) - 0.02 * noise.mean(axis=0)
    return segments, rng.random((pixels, 3))


examples = st.builds(make_segments, st.integers(2, 15), st.just(60), seeds)
methods = st.sampled_from(["agglomerative", "kmeans"])


@law
@given(examples, methods, st.data())
def test_group_adds_segments_up(example: tuple[np.ndarray, np.ndarray], method: str, data: st.DataObject) -> None:
    segments, features = example
    count = data.draw(st.integers(1, len(segments)))
    layers, clusters = group(segments, features, count, method)  # type: ignore[arg-type]
    assert layers.shape == (count, 60) and clusters.shape == (len(segments),)
    assert sorted(set(clusters)) == list(range(count))
    for k in range(count):
        np.testing.assert_allclose(layers[k], segments[clusters == k].sum(axis=0), atol=1e-12)
    np.testing.assert_allclose(layers.sum(axis=0), 1, atol=1e-10)
    assert (np.diff(layers.sum(axis=1)) <= 1e-9).all()  # largest first


@law
@given(examples)
def test_groupings_are_nested(example: tuple[np.ndarray, np.ndarray]) -> None:
    segments, features = example
    coarse = group(segments, features, 1)[1]
    for count in range(2, len(segments) + 1):
        fine = group(segments, features, count)[1]
        parents = {(a, b) for a, b in zip(fine, coarse, strict=True)}
        assert len(parents) == count  # every layer lies in one of before: exactly one was split
        coarse = fine


@law
@given(examples)
def test_as_many_layers_as_segments_are_the_segments(example: tuple[np.ndarray, np.ndarray]) -> None:
    segments, features = example
    layers, clusters = group(segments, features, len(segments))
    np.testing.assert_array_equal(layers[clusters], segments)


@law
@given(examples, seeds, st.integers(1, 2))
def test_the_order_of_segments_does_not_matter(example: tuple[np.ndarray, np.ndarray], seed: int, count: int) -> None:
    segments, features = example
    order = np.random.default_rng(seed).permutation(len(segments))
    layers, clusters = group(segments, features, count)
    permuted, permuted_clusters = group(segments[order], features, count)
    np.testing.assert_array_equal(permuted_clusters, clusters[order])
    np.testing.assert_allclose(permuted, layers, atol=1e-12)


@law
@given(examples, seeds, st.integers(1, 2))
def test_moving_all_features_changes_nothing(example: tuple[np.ndarray, np.ndarray], seed: int, count: int) -> None:
    segments, features = example
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    moved = rng.uniform(0.5, 2) * features @ rotation + rng.normal(size=3)
    np.testing.assert_array_equal(group(segments, moved, count)[1], group(segments, features, count)[1])


@pytest.mark.parametrize("method", ["agglomerative", "kmeans"])
@pytest.mark.parametrize("seed", range(3))
def test_clear_clusters_are_found(method: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.repeat([0, 1, 2], [2, 3, 5])[rng.permutation(10)]
    segments = np.kron(np.eye(10), np.ones((1, 6)))  # six pixels each
    features = np.repeat(truth, 6)[:, None] + 0.1 * rng.random((60, 3))
    _, clusters = group(segments, features, 3, method)  # type: ignore[arg-type]
    np.testing.assert_array_equal(clusters, 2 - truth)


def test_group_takes_maps_and_lists_of_pixels() -> None:
    segments, features = make_segments(5, 60, seed=1)
    expected, clusters = group(segments, features, 3)
    layers, again = group(segments.reshape(5, 6, 10), features.reshape(6, 10, 3), 3)
    np.testing.assert_array_equal(layers, expected)
    np.testing.assert_array_equal(again, clusters)


def test_group_refuses_what_cannot_be() -> None:
    segments, features = make_segments(4, 60, seed=0)
    with pytest.raises(InputError, match="1 to 4 layers"):
        group(segments, features, 5)
    with pytest.raises(InputError, match="0 layers"):
        group(segments, features, 0)
    with pytest.raises(InputError, match="59 pixels"):
        group(segments, features[1:], 2)
    with pytest.raises(InputError, match="'ward'"):
        group(segments, features, 2, "ward")  # type: ignore[arg-type]


# Relaxed sparsification


def make_layers(kind: str, h: int, w: int, count: int, seed: int) -> tuple[np.ndarray, sp.csr_array, np.ndarray]:
    """(K, N) layers that sum to one and leave [0, 1] a little, a Laplacian, and the photo."""
    image = make_image(kind, h, w, seed)
    labels = make_partition(h, w, count, seed)
    count = labels.max() + 1
    layers = 0.8 * (labels.ravel() == np.arange(count)[:, None]) + 0.2 / count
    noise = 0.15 * np.random.default_rng(seed).normal(size=layers.shape)
    return layers + noise - noise.mean(axis=0), make_laplacian(image, np.roll(image, 2, axis=2)), image


relaxed_examples = st.builds(
    make_layers, st.sampled_from(KINDS), st.integers(16, 20), st.integers(16, 20), st.integers(2, 5), seeds
)
TIGHT = RelaxedSettings(floor=0.01, tolerance=1e-12, maximum_steps=2000)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [2, 3])
def test_relaxation_agrees_with_the_transcription(kind: str, count: int) -> None:
    layers, matrix, image = make_layers(kind, 12, 10, count, seed=4)
    expected = relaxed_sparsification_reference(layers, matrix.toarray(), image)
    np.testing.assert_allclose(relax(layers, matrix, image, TIGHT).alphas.reshape(layers.shape), expected, atol=1e-7)
    # With the default tolerance, as far as its measurement promises: 1e-5 in the mean.
    assert abs(relax(layers, matrix, image).alphas.reshape(layers.shape) - expected).mean() < 1e-4
    np.testing.assert_allclose(
        relaxed_sparsification(layers, matrix, image, TIGHT),
        project_to_simplex(expected.reshape(-1, 12, 10)),
        atol=1e-6,
    )


@few
@given(relaxed_examples)
def test_alphas_are_in_the_simplex(example: tuple[np.ndarray, sp.csr_array, np.ndarray]) -> None:
    layers, matrix, image = example
    alphas = relaxed_sparsification(layers, matrix, image)
    assert alphas.shape == (len(layers), *image.shape[:2]) and alphas.dtype == np.float32
    assert alphas.min() >= 0 and alphas.max() <= 1
    np.testing.assert_allclose(alphas.sum(axis=0, dtype=np.float64), 1, atol=1e-6)


@few
@given(relaxed_examples, seeds)
def test_permuting_the_layers_permutes_the_alphas(
    example: tuple[np.ndarray, sp.csr_array, np.ndarray], seed: int
) -> None:
    layers, matrix, image = example
    order = np.random.default_rng(seed).permutation(len(layers))
    permuted = relaxed_sparsification(layers[order], matrix, image, TIGHT)
    np.testing.assert_allclose(permuted, relaxed_sparsification(layers, matrix, image, TIGHT)[order], atol=1e-6)


@few
@given(relaxed_examples, st.sampled_from(["flip y", "flip x", "transpose"]))
def test_flipping_everything_flips_the_alphas(example: tuple[np.ndarray, sp.csr_array, np.ndarray], turn: str) -> None:
    layers, matrix, image = example
    h, w, _ = image.shape
    turned = {"flip y": lambda a: a[::-1], "flip x": lambda a: a[:, ::-1], "transpose": lambda a: a.swapaxes(0, 1)}[
        turn
    ]
    pixels = turned(np.arange(h * w).reshape(h, w)).ravel()
    flipped = relaxed_sparsification(
        layers[:, pixels], sp.csr_array(matrix[pixels][:, pixels]), np.ascontiguousarray(turned(image)), TIGHT
    )
    expected = relaxed_sparsification(layers, matrix, image, TIGHT)
    np.testing.assert_allclose(flipped, np.stack([turned(layer) for layer in expected]), atol=1e-6)


def test_relaxation_refuses_what_does_not_belong_together() -> None:
    layers, matrix, image = make_layers("noise", 16, 17, 3, seed=0)
    for arguments in ((layers[:, 1:], matrix, image), (layers, matrix[1:, 1:], image), (layers, matrix, image[1:])):
        with pytest.raises(InputError, match="belong together"):
            relaxed_sparsification(*arguments)


# The projection to the simplex

points = st.builds(
    lambda count, scale, seed: scale * np.random.default_rng(seed).normal(size=(count, 4, 5)) + 1 / count,
    st.integers(1, 6),
    st.sampled_from([0.01, 0.3, 1.0, 30.0]),
    seeds,
)


@law
@given(points)
def test_projection_is_the_nearest_point_of_the_simplex(alphas: np.ndarray) -> None:
    projected = project_to_simplex(alphas)
    assert projected.dtype == np.float32 and projected.shape == alphas.shape
    flat, result = alphas.reshape(len(alphas), -1).T, projected.reshape(len(alphas), -1).T
    for point, found in zip(flat, result, strict=True):
        np.testing.assert_allclose(found, nearest_by_trying_all_faces(point), atol=1e-6)


def nearest_by_trying_all_faces(point: np.ndarray) -> np.ndarray:
    """The nearest point of every face's plane that lies in the simplex; the nearest of these."""
    best, least = point, np.inf
    for size in range(1, len(point) + 1):
        for face in itertools.combinations(range(len(point)), size):
            foot = np.zeros(len(point))
            foot[list(face)] = point[list(face)] + (1 - point[list(face)].sum()) / size
            distance = ((foot - point) ** 2).sum()
            if foot.min() >= -1e-12 and distance < least:
                best, least = foot, distance
    return best


@law
@given(points)
def test_projection_is_in_the_simplex_and_stays_there(alphas: np.ndarray) -> None:
    once = project_to_simplex(alphas)
    assert once.min() >= 0 and once.max() <= 1
    np.testing.assert_allclose(once.sum(axis=0, dtype=np.float64), 1, atol=1e-6)
    np.testing.assert_allclose(project_to_simplex(once), once, atol=1e-6)


@law
@given(st.integers(1, 40), seeds)
def test_projection_keeps_points_of_the_simplex(count: int, seed: int) -> None:
    alphas = np.random.default_rng(seed).dirichlet(np.full(count, 0.5), size=20).T
    np.testing.assert_allclose(project_to_simplex(alphas), alphas, atol=1e-7)
    corners = np.eye(count)
    np.testing.assert_array_equal(project_to_simplex(corners), corners)


@law
@given(points, st.floats(-3, 3))
def test_projection_ignores_what_is_added_to_all_layers(alphas: np.ndarray, offset: float) -> None:
    np.testing.assert_allclose(project_to_simplex(alphas + offset), project_to_simplex(alphas), atol=1e-6)


# The gradient


@law
@given(st.tuples(*[st.floats(-0.02, 0.02)] * 6))
def test_gradient_of_a_ramp_is_its_slope(slopes: tuple[float, ...]) -> None:
    along_y, along_x = np.array(slopes).reshape(2, 3)
    y, x = np.mgrid[0:20, 0:24]
    image = 0.5 + y[..., None] * along_y + x[..., None] * along_x
    inside = gradient_magnitude(image)[6:-6, 6:-6]
    # To four digits: the prefilter's taps add up to 0.9999.
    np.testing.assert_allclose(inside, np.linalg.norm(slopes), rtol=2e-4, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_agrees_with_the_transcription_and_turns_with_the_photo(kind: str) -> None:
    image = make_image(kind, 17, 21, seed=6)
    gradient = gradient_magnitude(image)
    np.testing.assert_allclose(gradient, gradient_magnitude_reference(image), atol=1e-12)
    for turns in (1, 2, 3):
        np.testing.assert_allclose(gradient_magnitude(np.rot90(image, turns)), np.rot90(gradient, turns), atol=1e-12)
    np.testing.assert_allclose(gradient_magnitude(image[::-1]), gradient[::-1], atol=1e-12)
    np.testing.assert_allclose(gradient_magnitude(0.5 * image + 0.1), 0.5 * gradient, atol=1e-12)
    assert abs(gradient_magnitude(np.full((9, 8, 3), 0.7))).max() < 1e-12


@pytest.mark.parametrize("seed", [0, 1])
def test_superpixels_that_are_even_stand_for_all_their_pixels(seed: int) -> None:
    """Areas and energy of the graph included: fitted on the means, the segments are those of all pixels."""
    rng = np.random.default_rng(seed)
    superpixels = rng.permutation(np.repeat(np.arange(60), rng.integers(1, 100, 60)))
    means = np.column_stack([np.ones(60), rng.normal(size=(60, 5))])
    vectors = np.linalg.qr(means[superpixels])[0]
    basis = Eigenbasis(np.r_[0.0, 10.0 ** rng.uniform(-1, 2, 5)], vectors, None, {})
    labels = superpixels // 20
    of_pixels = ConstrainedSettings(iterations=4)
    of_means = replace(of_pixels, superpixel_means=True)
    expected = fit_segments(basis, labels, of_pixels, superpixels=superpixels)
    np.testing.assert_allclose(fit_segments(basis, labels, of_means, superpixels=superpixels), expected, atol=1e-6)
    even = replace(basis, values=basis.values * (len(labels) / 60))  # as if the energy had its weight for all pixels
    assert np.abs(fit_segments(even, labels, of_means, superpixels=superpixels) - expected).max() > 1e-3


@few
@given(bases, seeds)
def test_segments_fitted_to_superpixels_sum_to_one(basis: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> None:
    vectors, values, labels = basis
    superpixels = make_partition(16, 18, 200, seed)
    settings = ConstrainedSettings(superpixel_means=True)
    segments = fit_segments(Eigenbasis(values, vectors, None, {}), labels, settings, superpixels=superpixels)
    np.testing.assert_allclose(segments.sum(axis=0), 1, atol=1e-9)
    np.testing.assert_allclose(segments, segments @ vectors @ vectors.T, atol=1e-9)
