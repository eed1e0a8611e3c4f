"""The work of the stages, counted from sizes: bytes that must pass through memory, and operations.

The bytes are those of an ideal cache: what a pass reads and writes, once. A stage can then not be faster than
``sum over its parts of max(bytes / bandwidth, operations / rate)``, and how near it comes to that is its share of the
limit. Counted is what each stage is for; clearing arrays, sorting and checks are not. A part whose number of steps the
stage does not tell is left out, so a share that is not 1 says where to look, not how much can be won.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from softseg.graph.stencil import COLUMNS, SIDE
from softseg.segments.fitted_rows import LEAST_SUPERPIXELS
from softseg.segments.relaxed import SINGLE_FROM
from softseg.settings import Settings
from softseg.spectrum.smoothed_space import STEPS

_ENTRY = 12  # bytes of a float64 and its column
_STENCIL = SIDE * SIDE * 4  # bytes of a pixel's row of the Laplacian, float32 without columns
_DIAGONALS = (SIDE * SIDE // 2 + 1) * 4  # the same, of which only the main diagonal and those on one side are kept
_WINDOW_FLOPS = 9 * 3 * 3 + 6 * 9 * 2 + 9 * 12 + 45 * 7  # mean and centring, covariance, solutions, 45 products of 3
_HAT_ENTRIES = 16  # of a pixel in the coarse space: four hats of four functions


@dataclass(frozen=True)
class Work:
    """What one part of a stage has to do."""

    stage: str
    part: str
    precision: str  # of the operations: "float32" or "float64"
    bytes: float
    flops: float

    def seconds_at_limit(self, limits: Mapping[str, float]) -> float:
        """The least time that it can take, by the limits of `measure_limits`."""
        rate = limits[f"flops_per_second_{self.precision}"]
        return max(self.bytes / limits["bytes_per_second"], self.flops / rate)


def work_of(
    pixels: int, entries: int, layers: int, settings: Settings, statistics: Mapping[str, Any]
) -> tuple[Work, ...]:
    """The work of all stages for which it can be counted.

    Parameters
    ----------
    pixels : N, of the size at which the photo is taken apart.
    entries : stored in the Laplacian.
    layers : K of the relaxed sparsification.
    settings : of the result; they decide on sizes, and on the precision of both sparsifications.
    statistics : of the result (`SoftSegments.statistics`); parts that need a count which is not there are left out.

    Examples
    --------
    >>> [work.part for work in work_of(1000, 25_000, 5, Settings(), {"conjugate_gradient_steps": 70})]
    ['matting affinity, Laplacian', 'conjugate gradients']
    """
    found = [_affinities(pixels, entries)]
    found += _eigenvectors(pixels, entries, settings, statistics)
    found += _constrained(pixels, settings, statistics)
    found += _relaxed(pixels, entries, layers, settings, statistics)
    return tuple(found)


def _affinities(pixels: int, entries: int) -> Work:
    passes = 24 * pixels + 3 * _ENTRY * entries  # the photo; the affinity written and read, the Laplacian written
    return Work("affinities", "matting affinity, Laplacian", "float64", passes, _WINDOW_FLOPS * pixels + 2 * entries)


def _eigenvectors(pixels: int, entries: int, settings: Settings, statistics: Mapping[str, Any]) -> Iterator[Work]:
    counts = [statistics.get(name) for name in ("coarse_unknowns", "candidates", "eigenvectors")]
    if None in counts:
        return
    unknowns, candidates, wanted = (int(count) for count in counts if count is not None)
    away = "eigenvectors" in statistics.get("stages_on_device", ())
    factor = 2 / 3 * unknowns**3
    if candidates == wanted:  # left in the coarse space
        held = _HAT_ENTRIES * pixels
        products = 2 * entries * _HAT_ENTRIES + 2 * held * _HAT_ENTRIES
        yield Work("eigenvectors", "Galerkin product", "float64", _ENTRY * (entries + 2 * held), products)
        yield Work("eigenvectors", "coarse factor", "float64", 3 * 8 * unknowns**2, factor)
        return
    steps = statistics.get("smoothing_steps", settings.spectrum.smoothing_steps)
    if shared := statistics.get("shared_columns"):
        passes, flops = _smoothing(pixels, entries, shared, STEPS, away)
        flops += 2 * entries * shared + 4 * pixels * shared**2  # L Q, and sums over cells of products of all columns
        yield Work("eigenvectors", "smoothed functions", "float32", passes + 2 * 4 * pixels * shared, flops)
    precision, size = ("float64", 8) if away else ("float32", 4)
    yield Work("eigenvectors", "coarse factor", precision, 3 * size * unknowns**2, factor)
    yield Work("eigenvectors", "smoothing", "float32", *_smoothing(pixels, entries, candidates, steps, away))
    values, blocks = pixels * candidates, -(-candidates // COLUMNS)
    grams = 2 * 2 * values * candidates + 2 * values * wanted + 2 * entries * candidates
    passes = 6 * 4 * values + 4 * pixels * wanted + blocks * _STENCIL * pixels
    yield Work("eigenvectors", "Rayleigh-Ritz", "float32", passes, grams)


def _smoothing(pixels: int, entries: int, vectors: int, steps: int, away: bool) -> tuple[float, float]:
    """Bytes and operations: two steps in one pass over 32 vectors, which reads the stencil, them and those before.

    `away` on a device: one step.
    """
    values, blocks = pixels * vectors, -(-vectors // COLUMNS)
    read_and_written = 3 * 4 * values + blocks * _STENCIL * pixels
    return (steps if away else -(-steps // 2)) * read_and_written, steps * (2 * entries * vectors + 6 * values)


def _constrained(pixels: int, settings: Settings, statistics: Mapping[str, Any]) -> Iterator[Work]:
    n, segments = statistics.get("eigenvectors"), statistics.get("soft_segments")
    if n is None or segments is None:
        return
    # Layers are dropped on the way: their number falls from the start to what is left.
    fitted = (settings.constrained.clusters + segments) / 2
    rounds, sample = settings.constrained.iterations, min(pixels, settings.constrained.sample or pixels)
    superpixels = statistics.get("superpixels", 0)
    if settings.constrained.superpixel_means and superpixels >= LEAST_SUPERPIXELS * n:
        sample = superpixels
    pairs = n * (n + 1) // 2
    # On a sample, or means, they are made in single precision, from products of columns that stay in the cache; else,
    # and on a device, in double precision, from products that are kept (segments/weighted_grams.py).
    single = sample < pixels and "constrained sparsification" not in statistics.get("stages_on_device", ())
    precision, size, columns = ("float32", 4, n) if single else ("float64", 8, pairs)
    grams = rounds * (size * (sample * columns + sample * fitted) + 8 * fitted * pairs)
    yield Work("constrained sparsification", "Grams", precision, grams, rounds * 2 * sample * pairs * fitted)
    yield Work("constrained sparsification", "inverses", "float64", rounds * fitted * 24 * n**2, rounds * fitted * n**3)
    expanded = 4 * pixels * n + 8 * pixels * segments
    yield Work("constrained sparsification", "soft segments", "float32", expanded, 2 * pixels * n * segments)


def _relaxed(
    pixels: int, entries: int, layers: int, settings: Settings, statistics: Mapping[str, Any]
) -> Iterator[Work]:
    steps = statistics.get("conjugate_gradient_steps")
    if steps is None:
        return
    single = settings.relaxed.tolerance >= SINGLE_FROM
    precision, size = ("float32", 4) if single else ("float64", 8)
    if "relaxed sparsification" in statistics.get("stages_on_device", ()):
        matrix = size * SIDE * SIDE * pixels
    else:
        matrix = _DIAGONALS * pixels if single else _ENTRY * entries
    # A step reads L, and x, r, p, the product, the weights; it writes x, r, p and the product: 10 passes over (N, K).
    passes = matrix + 10 * size * pixels * layers
    flops = (2 * entries + 20 * pixels) * layers
    yield Work("relaxed sparsification", "conjugate gradients", precision, steps * passes, steps * flops)
