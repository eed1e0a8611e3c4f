"""Random views of a labelled photo: another scale, a mirror image, other colours, a crop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from softseg.training.sampling import instances_of

VOID = -1  # the label of pixels that belong to no instance
_TRIES = 10  # crops drawn until one shows two instances
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # Rec. 601
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


@dataclass(frozen=True)
class Augmentation:
    """What is varied, and how much.

    scale : smallest and largest factor of the size, drawn evenly in its logarithm.
    flip : mirror half of the photos.
    jitter : 0 leaves the colours; j varies brightness, contrast and saturation by factors of 1 - j to 1 + j and turns
        the hue by up to j / 4 of a half turn.
    gray : share of the photos that lose their colours.
    crop : side of the square that is cut out, in pixels after scaling; 0: the whole photo. What a smaller photo lacks
        is mirrored and void.
    longest : side to which the longest one of every photo is brought before it is scaled; 0: as it is.
    fitting : the nearest side that the network takes, for a photo that changes its size and is not cropped.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    flip: bool = False
    jitter: float = 0.0
    gray: float = 0.0
    crop: int = 0
    longest: int = 0
    fitting: Callable[[int], int] = round


def augment(
    image: np.ndarray, labels: np.ndarray, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One random view of a photo and its label map.

    Parameters
    ----------
    image : (h, w, 3) uint8.
    labels : (h, w) int32, negative: void.
    rng : the source of all choices; the same generator state gives the same view.

    Returns
    -------
    (y, x, 3) uint8 image and (y, x) int32 labels, which are never interpolated.

    Examples
    --------
    >>> photo, regions = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.int32)
    >>> view = augment(photo, regions, Augmentation(scale=(0.5, 2), crop=33), np.random.default_rng(0))
    >>> view[0].shape, view[1].shape
    ((33, 33, 3), (33, 33))
    """
    low, high = augmentation.scale
    unfit = not augmentation.crop and any(augmentation.fitting(side) != side for side in labels.shape)
    if low != 1 or high != 1 or augmentation.longest or unfit:
        factor = (augmentation.longest or max(labels.shape)) / max(labels.shape)
        factor *= float(np.exp(rng.uniform(np.log(low), np.log(high))))
        fitting = round if augmentation.crop else augmentation.fitting
        image, labels = _scaled(image, labels, [max(1, fitting(round(side * factor))) for side in labels.shape])
    if augmentation.crop:
        image, labels = _cropped(*_padded(image, labels, augmentation.crop), augmentation.crop, rng)
    if augmentation.flip and rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    if augmentation.jitter or augmentation.gray:
        image = _recolored(image, augmentation, rng)
    return np.ascontiguousarray(image), np.ascontiguousarray(labels)


def _scaled(image: np.ndarray, labels: np.ndarray, size: list[int]) -> tuple[np.ndarray, np.ndarray]:
    planes = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    planes = functional.interpolate(planes.float(), size, mode="bilinear", antialias=True)
    scaled = planes[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for new, old in zip(size, labels.shape, strict=True)
    )
    return scaled, labels[rows[:, None], columns]


def _padded(image: np.ndarray, labels: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """At least `side` large: mirrored at the right and lower border, where no label is known."""
    missing = [(0, max(0, side - length)) for length in labels.shape]
    if not any(after for _, after in missing):
        return image, labels
    return np.pad(image, [*missing, (0, 0)], mode="symmetric"), np.pad(labels, missing, constant_values=VOID)


def _cropped(
    image: np.ndarray, labels: np.ndarray, side: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A random square, with two instances if one is found quickly: without two there is nothing to tell apart."""
    for _ in range(_TRIES):
        y, x = (int(rng.integers(length - side + 1)) for length in labels.shape)
        window = labels[y : y + side, x : x + side]
        if instances_of(window).size > 1:
            break
    return image[y : y + side, x : x + side], window


def _recolored(image: np.ndarray, augmentation: Augmentation, rng: np.random.Generator) -> np.ndarray:
    j = augmentation.jitter
    brightness, contrast, saturation = rng.uniform(1 - j, 1 + j, 3)
    angle = rng.uniform(-j, j) * np.pi / 4
    if rng.random() < augmentation.gray:
        saturation = 0.0
    pixels = image.astype(np.float32) / 255
    mean = float((pixels @ _LUMA).mean())
    pixels = (pixels * brightness - mean * brightness) * contrast + mean * brightness
    pixels = pixels @ _chroma_turned(angle, saturation).T.astype(np.float32)
    return np.asarray(np.rint(pixels.clip(0, 1) * 255), dtype=np.uint8)


def _chroma_turned(angle: float, saturation: float) -> np.ndarray:
    """(3, 3) on RGB columns: keeps the luma, scales the chroma and turns it by `angle` in the I-Q plane."""
    c, s = saturation * np.cos(angle), saturation * np.sin(angle)
    return np.asarray(np.linalg.inv(_TO_YIQ) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ _TO_YIQ)
