"""The fast fit of the soft segments: single precision, refined, against double precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from softseg.errors import ConvergenceError, InputError
from softseg.graph import superpixels as superpixels_of
from softseg.segments import constrained, constrained_sparsification, weighted_grams
from softseg.segments.constrained import _DirectRounds, _RefinedRounds, _Systems, fit_segments
from softseg.segments.rough_systems import RoughSystems
from softseg.segments.weighted_grams import RoughGrams, WeightedGrams
from softseg.settings import ConstrainedSettings, Settings, SpectrumSettings
from softseg.spectrum import Eigenbasis, eigenbasis
from tests.elsewhere import elsewhere
from tests.laws.examples import make_image, make_laplacian

SHAPES = [(40, 1, 2), (123, 7, 3), (500, 20, 20), (801, 40, 5)]  # pixels, eigenvectors, layers

Round = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def make_round(s: int, n: int, m: int) -> Round:
    """V with a constant column, Lambda, V^T 1, and weights as they are in the middle of a fit: over twelve digits."""
    rng = np.random.default_rng(s)
    vectors = np.linalg.qr(np.column_stack([np.ones(s), rng.normal(size=(s, n - 1))]))[0]
    alphas = 10.0 ** rng.uniform(-5, 0, (s, m)) * rng.choice([-1, 1], (s, m)) + rng.integers(0, 2, (s, m))
    alphas[rng.random((s, m)) < 0.01] = alphas[0] = 0  # nailed down
    to_one, to_zero = (np.maximum(np.abs(alphas - target), 1e-10) ** -1.2 for target in (1, 0))
    values = np.sort(rng.uniform(0, 1e-2, n))
    arrays = vectors, values, vectors.sum(axis=0), to_one, to_zero
    basis, lambdas, ones, one, zero = (torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
    assert (one + zero).max() > 1e9 * (one + zero).min()
    return basis, lambdas, ones, one, zero


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kept", [True, False])
def test_grams_are_the_sums_they_stand_for(
    shape: tuple[int, int, int], kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kept:
        monkeypatch.setattr(weighted_grams, "_PAIR_BYTES", 0)
    basis, _, _, one, zero = make_round(*shape)
    expected = torch.einsum("pk,pi,pj->kij", one + zero, basis, basis)
    scale = expected.abs().amax((1, 2), keepdim=True)
    assert ((WeightedGrams(basis)(one + zero) - expected).abs() / scale).max() < 1e-13
    if kept:
        assert ((RoughGrams(basis)(one + zero) - expected).abs() / scale).max() < 1e-6


@pytest.mark.parametrize(
    ("s", "n", "m"), [(1, 1, 1), (7, 2, 3), (255, 9, 4), (257, 33, 7), (600, 16, 13), (900, 25, 40)]
)
def test_rough_grams_of_all_shapes_are_the_same_on_any_number_of_threads(s: int, n: int, m: int) -> None:
    """Chunks, panels and groups of layers that are not full; weights that single precision can add up."""
    rng = np.random.default_rng(s)
    basis = torch.from_numpy(rng.normal(size=(s, n)))
    weights = torch.from_numpy(10.0 ** rng.uniform(3, 5, (s, m)))
    expected = torch.einsum("pk,pi,pj->kij", weights, basis, basis)
    results, threads = [], torch.get_num_threads()
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            results.append(RoughGrams(basis)(weights))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(result, results[0]) for result in results)
    assert torch.equal(results[0], results[0].mT)
    assert float(((results[0] - expected).abs() / expected.abs().amax((1, 2), keepdim=True)).max()) < 1e-6


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 2), (4, 5), (9, 20), (30, 7), (101, 3)])
def test_rough_systems_solve_what_the_others_solve(n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    halves = torch.from_numpy(rng.normal(size=(m, n, n + 3)))
    grams, values = halves @ halves.mT, torch.from_numpy(rng.uniform(0, 1, n))
    right, total = torch.from_numpy(rng.normal(size=(m, n))), torch.from_numpy(rng.normal(size=n))
    expected = _Systems.of(grams + torch.diag(values))
    found = RoughSystems.of(grams.clone(), values)
    assert expected is not None and found is not None
    torch.testing.assert_close(torch.from_numpy(found.inverses), expected.inverses, rtol=0, atol=1e-11)
    torch.testing.assert_close(found.solve_with_sum(right, total), expected.solve_with_sum(right, total))
    torch.testing.assert_close(found.solve_with_sum(right, total).sum(0), total)


@pytest.mark.parametrize("entry", [-1.0, float("nan")])
def test_rough_systems_refuse_what_is_not_positive_definite(entry: float) -> None:
    grams = torch.eye(6, dtype=torch.float64).repeat(3, 1, 1)
    grams[1, 4, 4] = entry
    assert RoughSystems.of(grams, torch.zeros(6, dtype=torch.float64)) is None


def test_rough_grams_keep_light_pixels_beside_heavy_ones() -> None:
    """Two pixels determine two directions with 1e12 and 1; beside that, single precision alone would lose the second.

    The directions are not the axes, so both are in every entry.
    """
    basis = torch.tensor([[0.6, 0.8], [0.8, -0.6]], dtype=torch.float64)
    grams = RoughGrams(basis)(torch.tensor([[1e12], [1.0]], dtype=torch.float64))
    light = basis[1]
    assert float(light @ grams[0] @ light) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_refined_round_is_the_round_in_double_precision(shape: tuple[int, int, int]) -> None:
    *arrays, one, zero = make_round(*shape)
    basis, _, ones = arrays
    expected, expected_alphas = _DirectRounds(*arrays).solve(one, zero)
    found = _RefinedRounds(*arrays)._solve_roughly(one, zero)
    assert found is not None
    torch.testing.assert_close(found[1], expected_alphas, rtol=0, atol=1e-8)
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-8)
    torch.testing.assert_close(found[0].sum(0), ones, rtol=0, atol=1e-9 * float(ones.abs().max()))
    torch.testing.assert_close(found[1], basis @ found[0].T, rtol=0, atol=1e-9)


def test_two_corrections_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one round; more would say that the systems have become rougher, which no clock would tell from noise."""
    solves, solve = [], RoughSystems.solve_with_sum
    monkeypatch.setattr(RoughSystems, "solve_with_sum", lambda *a: solves.append(1) or solve(*a))  # type: ignore[func-returns-value]
    *arrays, one, zero = make_round(801, 40, 5)
    _RefinedRounds(*arrays).solve(one, zero)
    assert 2 <= len(solves) <= 3


@pytest.mark.parametrize("broken", ["singular", "diverges"])
def test_a_round_too_rough_to_refine_is_solved_in_double_precision(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    *arrays, one, zero = make_round(500, 20, 3)
    rounds, rough = _RefinedRounds(*arrays), RoughGrams.__call__
    factor = -1 if broken == "singular" else 0.3  # a third of A_k: every correction is three times too long
    monkeypatch.setattr(RoughGrams, "__call__", lambda grams, weights: factor * rough(grams, weights))
    assert rounds._solve_roughly(one, zero) is None
    expected = _DirectRounds(*arrays).solve(one, zero)
    for ours, theirs in zip(rounds.solve(one, zero), expected, strict=True):
        assert torch.equal(ours, theirs)


def test_weights_that_double_precision_cannot_sum_are_limited() -> None:
    """One photo of BSDS500 ended with an error: heavy pixels drowned what only light ones tell."""
    rng = np.random.default_rng(0)
    heavy, light = rng.normal(size=(60, 5)), rng.normal(size=(60, 8))
    heavy = np.hstack([heavy, heavy @ rng.normal(size=(5, 3))])  # the light pixels alone tell three directions
    basis = torch.from_numpy(np.vstack([heavy, light]))
    weights = torch.ones(120, 2, dtype=torch.float64)
    weights[:60] = 1e17
    values, ones = torch.full((8,), 1e-9, dtype=torch.float64), torch.ones(8, dtype=torch.float64)
    grams = WeightedGrams(basis)(2 * weights)
    assert bool(torch.linalg.cholesky_ex(grams).info.any())  # as it is, it cannot be solved
    coefficients, alphas = _DirectRounds(basis, values, ones).solve(weights, weights)
    torch.testing.assert_close(coefficients.sum(0), ones, rtol=0, atol=1e-4)
    torch.testing.assert_close(alphas[:60], (basis @ ones)[:60, None].expand(60, 2) / 2, rtol=0, atol=1e-4)


@pytest.mark.parametrize("rounds", [_DirectRounds, _RefinedRounds])
def test_energy_that_falls_without_end_counts_as_zero(rounds: type[_DirectRounds | _RefinedRounds]) -> None:
    """A picture of four colours ended with an error: an eigenvalue far below zero, in pixels held by little."""
    basis, values, _, one, zero = make_round(123, 7, 3)
    values[0] = -2 * float(((one + zero).sum(0)).max() * (basis[:, 0] ** 2).max())
    coefficients, alphas = rounds(basis, values, basis.sum(0)).solve(one, zero)
    expected, _ = _DirectRounds(basis, values.clamp_min(0), basis.sum(0)).solve(one, zero)
    torch.testing.assert_close(coefficients, expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(alphas, basis @ coefficients.T)


def test_the_pipeline_uses_the_higher_floor_on_both_routes() -> None:
    assert set(ConstrainedSettings().floors) == {1e-10}  # as released
    for solver in ("fast", "exact"):
        floors = Settings.for_solver(solver).constrained.floors  # type: ignore[arg-type]
        np.testing.assert_allclose(floors, np.geomspace(1e-2, 1e-4, 10), rtol=1e-12)


@pytest.mark.parametrize("floor", [0.0, 1e-31, 0.5, float("nan")])
def test_a_floor_that_is_none_is_refused(floor: float) -> None:
    with pytest.raises(InputError, match=r"constrained\.floor is .*; choose a number above 1e-30 and below 0\.5"):
        ConstrainedSettings(floor=floor)
    with pytest.raises(InputError, match=r"constrained\.first_floor is .*; choose a number above 1e-30"):
        ConstrainedSettings(first_floor=floor)


def test_a_floor_that_would_rise_is_refused() -> None:
    with pytest.raises(InputError, match=r"the first must not be lower"):
        ConstrainedSettings(first_floor=1e-5, floor=1e-4)
    assert ConstrainedSettings(first_floor=1e-4, floor=1e-4, iterations=3).floors == pytest.approx([1e-4] * 3)


def test_dependent_eigenvectors_are_refused_with_advice() -> None:
    basis, values, _, one, zero = make_round(123, 7, 3)
    basis[:, 3] = 0
    for rounds in (_DirectRounds, _RefinedRounds):
        with pytest.raises(ConvergenceError, match="fewer eigenvectors, or more pixels"):
            rounds(basis, 0 * values, basis.sum(0)).solve(one, zero)


def test_only_a_sample_is_refined(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact route knows no single precision."""
    rng = np.random.default_rng(0)
    vectors = np.linalg.qr(np.column_stack([np.ones(300), rng.normal(size=(300, 5))]))[0]
    arguments = vectors, np.zeros(6), np.arange(300) // 100
    made: list[int] = []
    init = RoughGrams.__init__

    def count(self: RoughGrams, basis: torch.Tensor) -> None:
        made.append(len(basis))
        init(self, basis)

    monkeypatch.setattr(RoughGrams, "__init__", count)
    for sample in (None, 300, 299):
        constrained_sparsification(*arguments, ConstrainedSettings(iterations=3, sample=sample))
    assert made == [299]


@pytest.mark.parametrize("layers", [2, 20])
def test_a_few_rounds_on_a_sample_agree_with_double_precision(layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(layers)
    vectors = np.linalg.qr(np.column_stack([np.ones(1501), rng.normal(size=(1501, 29))]))[0]
    labels = rng.permutation(np.arange(1501) % layers)
    settings = ConstrainedSettings(iterations=6, drop_below=0, sample=1000)
    found = constrained_sparsification(vectors, np.arange(30.0), labels, settings)
    monkeypatch.setattr(constrained, "_RefinedRounds", _DirectRounds)
    expected = constrained_sparsification(vectors, np.arange(30.0), labels, settings)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert found.tobytes() != expected.tobytes()  # another way to it


@pytest.mark.parametrize("means", [True, False])
def test_a_device_takes_the_place_of_the_compiled_kernels(means: bool) -> None:
    """A refined round is within about 1e-8 of what double precision finds, and the next ones make more of it."""
    basis, labels, superpixels, settings = make_fit(means)
    for rounds, mean, most in ((1, 1e-7, 1e-6), (settings.iterations, 1e-5, 1e-3)):
        some = replace(settings, iterations=rounds)
        compiled, ours = (
            fit_segments(basis, labels, some, superpixels=superpixels, device=device)
            for device in (None, torch.device("cpu"))
        )
        assert ours.shape == compiled.shape
        assert np.abs(ours - compiled).mean() < mean and np.abs(ours - compiled).max() < most


def test_the_fit_makes_no_tensor_on_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for kept in (1 << 29, 0):  # with pairwise products of columns, and without
        monkeypatch.setattr(weighted_grams, "_PAIR_BYTES", kept)
        basis, labels, superpixels, settings = make_fit(True)
        with elsewhere() as device:
            away = fit_segments(basis, labels, settings, superpixels=superpixels, device=device)
        here = fit_segments(basis, labels, settings, superpixels=superpixels, device=torch.device("cpu"))
        assert away.tobytes() == here.tobytes()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is there")
def test_a_gpu_fits_as_the_processor_and_gives_the_same_bytes_twice() -> None:
    basis, labels, superpixels, settings = make_fit(True)
    compiled = fit_segments(basis, labels, settings, superpixels=superpixels)
    once, again = (
        fit_segments(basis, labels, settings, superpixels=superpixels, device=torch.device("cuda")) for _ in range(2)
    )
    assert once.tobytes() == again.tobytes() and once.shape == compiled.shape
    assert np.abs(once - compiled).mean() < 1e-4


def make_fit(means: bool) -> tuple[Eigenbasis, np.ndarray, np.ndarray, ConstrainedSettings]:
    """Eigenvectors of a photo, a start, its superpixels, and settings for a fit to their means or to some pixels."""
    image = make_image("smooth", 70, 72, seed=3)
    labels = superpixels_of(image, 400)
    assert labels.max() >= 200  # enough of them for 20 eigenvectors
    spectrum = SpectrumSettings(count=20, coarse_unknowns=300, candidates=40)
    settings = replace(Settings.for_solver("fast").constrained, sample=1500, superpixel_means=means)
    start = (np.mgrid[0:70, 0:72] // 25 * [[[1]], [[3]]]).sum(axis=0)
    return eigenbasis(make_laplacian(image), image, spectrum), start, labels, settings
