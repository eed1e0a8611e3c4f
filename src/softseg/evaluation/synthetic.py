"""Composites whose soft layers are known exactly, made from a seed: a check of quality that needs no data.

Each layer has colours of its own, smooth with some texture, and the picture is ``sum_k alpha_k color_k`` to the last
bit. Layers are painted one over the other: the background first, then each object with its matte, so that the alphas
sum to one. The kinds differ in the mattes:

- *blurred*: blobs out of focus;
- *hairy*: thin strokes with soft ends around a body;
- *glass*: an even opacity between 0.3 and 0.7 within an opaque rim, without which nobody could tell its colour;
- *similar*: blobs of nearly the colour of the background, with another texture;
- *motion*: blobs smeared along a line;
- *mixed*: all of these in turn.

The features are what a perfect network would give: a vector of its own for each layer, mixed by alpha, and, as real
ones are, blurred over some pixels and a little noisy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.ndimage import convolve, gaussian_filter

from softseg.errors import InputError

Kind = Literal["blurred", "hairy", "glass", "similar", "motion", "mixed"]

_TEXTURE = 0.06  # standard deviation of the smooth part of a layer's colours
_GRAIN = 0.008  # and of its fine part
_RIM = 0.3  # of glass, as a share of its radius
_SIMILAR = 0.1  # distance in colour of layers that are alike
_FEATURE_BLUR = 2.0  # pixels
_FEATURE_NOISE = 0.01


@dataclass(frozen=True, eq=False)
class Composite:
    """A picture and what it was made of.

    name : kind, number of layers and seed.
    image : (h, w, 3) float64 in [0, 1], ``sum_k alphas_k colors_k``.
    alphas : (K, h, w) float64 in [0, 1], summing to one; the background first.
    colors : (K, h, w, 3) float64 in [0, 1].
    features : (h, w, 3) float64 in [0, 1].
    """

    name: str
    image: np.ndarray
    alphas: np.ndarray
    colors: np.ndarray
    features: np.ndarray


def composite(kind: Kind, layers: int = 3, seed: int = 0, size: tuple[int, int] = (96, 128)) -> Composite:
    """A picture of `layers` soft layers, one of them the background.

    Parameters
    ----------
    kind : of the mattes, see above.
    layers : K, 2 to 6.
    seed : of all that is random; the same seed gives the same picture.
    size : (h, w), at least 32 x 32.

    Raises
    ------
    InputError : there is no such kind, or the number of layers or the size is out of range.

    Examples
    --------
    >>> made = composite("hairy", 2)
    >>> made.image.shape, made.alphas.shape
    ((96, 128, 3), (2, 96, 128))
    """
    if kind not in (*_MATTES, "mixed") or not 2 <= layers <= 6 or min(size) < 32:
        raise InputError(
            f"a composite {kind!r} of {layers} layers and size {size} was asked for; choose a kind of "
            f"{', '.join(_MATTES)} and mixed, 2 to 6 layers, and at least 32 x 32 pixels"
        )
    rng = np.random.default_rng([sorted((*_MATTES, "mixed")).index(kind), layers, seed])
    kinds = [list(_MATTES)[i % len(_MATTES)] if kind == "mixed" else kind for i in range(layers - 1)]
    alphas = np.zeros((layers, *size))
    alphas[0] = 1
    for k, (object_kind, center) in enumerate(zip(kinds, _centers(rng, layers - 1, size), strict=True), start=1):
        matte = _MATTES[object_kind](rng, size, center, _radius(layers, size))
        alphas[:k] *= 1 - matte
        alphas[k] = matte
    colors = _colors(rng, kinds, size)
    image = np.einsum("khw,khwc->hwc", alphas, colors)
    return Composite(f"{kind}-{layers}-{seed}", image, alphas, colors, _features(rng, alphas))


def suite(seed: int = 0) -> list[Composite]:
    """The ten composites that the quality of the layers is watched on; `seed` makes others of the same kinds."""
    wanted: list[tuple[Kind, int]] = [
        ("blurred", 2),
        ("blurred", 4),
        ("hairy", 2),
        ("hairy", 3),
        ("glass", 2),
        ("glass", 3),
        ("similar", 2),
        ("similar", 3),
        ("motion", 3),
        ("mixed", 6),
    ]
    return [composite(kind, layers, seed) for kind, layers in wanted]


def _centers(rng: np.random.Generator, count: int, size: tuple[int, int]) -> list[tuple[float, float]]:
    """One in each cell of a grid, near its middle, so that no object hides another."""
    columns = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3}[count]
    rows = -(-count // columns)
    cells = [((r + 0.5) / rows, (c + 0.5) / columns) for r in range(rows) for c in range(columns)]
    return [
        (size[0] * (y + rng.uniform(-0.06, 0.06)), size[1] * (x + rng.uniform(-0.06, 0.06))) for y, x in cells[:count]
    ]


def _radius(layers: int, size: tuple[int, int]) -> float:
    return min(size) * {2: 0.28, 3: 0.24, 4: 0.18, 5: 0.19, 6: 0.18}[layers]


def _blob(rng: np.random.Generator, size: tuple[int, int], center: tuple[float, float], radius: float) -> np.ndarray:
    """(h, w) distance inside an uneven outline around the center, roughly and in pixels; negative outside."""
    y, x = np.mgrid[: size[0], : size[1]] - np.asarray(center)[:, None, None]
    angle = np.arctan2(y, x)
    outline = radius * np.ones(size)
    for wave in range(2, 6):
        outline += radius * rng.normal(scale=0.2 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    return np.asarray(outline - np.hypot(y, x))


def _solid(inside: np.ndarray) -> np.ndarray:
    """Opaque inside, with the soft edge of about one pixel that any photo has."""
    return np.asarray((inside + 0.5).clip(0, 1))


def _blurred(rng: np.random.Generator, size: tuple[int, int], center: tuple[float, float], radius: float) -> np.ndarray:
    inside = _blob(rng, size, center, radius)
    return np.asarray(gaussian_filter(_solid(inside), rng.uniform(1.5, 3.5), mode="nearest"))


def _similar(rng: np.random.Generator, size: tuple[int, int], center: tuple[float, float], radius: float) -> np.ndarray:
    inside = _blob(rng, size, center, radius)
    return np.asarray(gaussian_filter(_solid(inside), 1.0, mode="nearest"))


def _glass(rng: np.random.Generator, size: tuple[int, int], center: tuple[float, float], radius: float) -> np.ndarray:
    inside = _blob(rng, size, center, radius)
    pane = (1 - rng.uniform(0.3, 0.7)) * _solid(inside - _RIM * radius)
    return np.asarray(gaussian_filter(_solid(inside) - pane, 0.7, mode="nearest"))


def _motion(rng: np.random.Generator, size: tuple[int, int], center: tuple[float, float], radius: float) -> np.ndarray:
    inside = _blob(rng, size, center, radius)
    length, angle = rng.uniform(0.4, 0.8) * radius, rng.uniform(0, np.pi)
    reach = int(np.ceil(length / 2)) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    line = (length / 2 - np.abs(along) + 0.5).clip(0, 1) * (1 - np.abs(across)).clip(0, 1)
    return np.asarray(convolve(_solid(inside), line / line.sum(), mode="nearest").clip(0, 1))


def _hairy(rng: np.random.Generator, size: tuple[int, int], center: tuple[float, float], radius: float) -> np.ndarray:
    """Strokes that start within the body, bend, get thinner and fade."""
    inside = _blob(rng, size, center, 0.75 * radius)
    matte = gaussian_filter(_solid(inside), 0.7, mode="nearest")
    for angle in np.linspace(0, 2 * np.pi, 48, endpoint=False) + rng.uniform(-0.06, 0.06, 48):
        length, bend = rng.uniform(0.4, 0.8) * radius, rng.normal(scale=0.5)
        part = np.linspace(0, 1, max(8, int(2 * length)))
        bent, reach = angle + bend * part, 0.6 * radius + length * part
        path = np.asarray(center) + reach[:, None] * np.stack([np.sin(bent), np.cos(bent)], axis=1)
        matte = np.maximum(matte, _stroke(size, path, width=0.9 - 0.5 * part, opacity=1 - part**3))
    return np.asarray(matte.clip(0, 1))


def _stroke(size: tuple[int, int], path: np.ndarray, width: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """(h, w): at each point (y, x) of its path a Gaussian of that width in pixels and of that height; the largest."""
    along_y, along_x = (
        np.exp(-((np.arange(count) - position[:, None]) ** 2) / (2 * width[:, None] ** 2))
        for count, position in zip(size, path.T, strict=True)
    )
    return np.asarray((opacity[:, None, None] * along_y[:, :, None] * along_x[:, None, :]).max(axis=0))


Matte = Callable[[np.random.Generator, tuple[int, int], tuple[float, float], float], np.ndarray]
_MATTES: Mapping[str, Matte] = {
    "blurred": _blurred,
    "hairy": _hairy,
    "glass": _glass,
    "similar": _similar,
    "motion": _motion,
}


def _colors(rng: np.random.Generator, kinds: list[str], size: tuple[int, int]) -> np.ndarray:
    """(K, h, w, 3): an even colour for each layer, far from the others unless it is to be similar, with texture."""
    means = _apart(rng, len(kinds) + 1) * 0.6 + 0.2
    for k, kind in enumerate(kinds, start=1):
        if kind == "similar":
            direction = rng.normal(size=3)
            means[k] = means[0] + _SIMILAR * direction / np.linalg.norm(direction)
    return np.stack([(mean + _texture(rng, size)).clip(0, 1) for mean in means])


def _texture(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) smooth noise, brightness more than hue, over a scale of its own; and grain."""
    scale = rng.uniform(4, 10)

    def smooth(channels: int) -> np.ndarray:
        noise = gaussian_filter(rng.normal(size=(*size, channels)), (scale, scale, 0), mode="nearest")
        return np.asarray(noise / noise.std())

    return _TEXTURE * (0.9 * smooth(1) + 0.3 * smooth(3)) + _GRAIN * rng.normal(size=(*size, 3))


def _features(rng: np.random.Generator, alphas: np.ndarray) -> np.ndarray:
    vectors = _apart(rng, len(alphas))
    mixed = np.einsum("khw,kc->hwc", alphas, vectors)
    blurred = gaussian_filter(mixed, (_FEATURE_BLUR, _FEATURE_BLUR, 0), mode="nearest")
    return np.asarray((blurred + _FEATURE_NOISE * rng.normal(size=mixed.shape)).clip(0, 1))


def _apart(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 3) points in the unit cube, each as far as possible from those before it, out of 200 at random."""
    candidates = rng.random((200, 3))
    chosen = [candidates[0]]
    while len(chosen) < count:
        distance = np.linalg.norm(candidates[:, None] - np.asarray(chosen), axis=2).min(axis=1)
        chosen.append(candidates[distance.argmax()])
    return np.asarray(chosen)
