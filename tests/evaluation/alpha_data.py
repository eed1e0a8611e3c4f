"""Small photos with true alphas, in the layouts of the real data; and methods that take no time."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from softseg.errors import ConvergenceError
from softseg.evaluation.methods import Count, Subject

HEIGHT, WIDTH = 24, 40


def true_alpha() -> np.ndarray:
    """(h, w) uint8: 0 to column 15, a ramp, 255 from column 25."""
    ramp = np.clip((np.arange(WIDTH) - 15) / 10, 0, 1)
    return np.rint(np.tile(255 * ramp, (HEIGHT, 1))).astype(np.uint8)


def photo() -> np.ndarray:
    """(h, w, 3) uint8: the alpha in red over blue."""
    alpha = true_alpha()
    return np.dstack([alpha, np.full_like(alpha, 40), 255 - alpha])


def write_alpha(folder: Path, name: str, *, trimap: bool = True) -> Path:
    """NAME/image.png, alpha.png, and trimap1.png, unknown from column 10 to 30."""
    target = folder / name
    target.mkdir(parents=True)
    Image.fromarray(photo()).save(target / "image.png")
    Image.fromarray(true_alpha()).save(target / "alpha.png")
    if trimap:
        columns = np.arange(WIDTH)
        known = np.where(columns < 10, 0, np.where(columns < 30, 128, 255)).astype(np.uint8)
        Image.fromarray(np.tile(known, (HEIGHT, 1))).save(target / "trimap1.png")
    return target


class Exact:
    """The truth, read from the photo, and what is left of it shared out evenly."""

    chooses: ClassVar[bool] = True

    def __init__(self, subject: Subject) -> None:
        self._red = subject.photo.pixels[:, :, 0]

    def layers(self, count: Count) -> np.ndarray:
        """`auto` is 3."""
        others = (3 if count == "auto" else count) - 1
        return np.concatenate([self._red[None], np.repeat((1 - self._red)[None] / others, others, axis=0)])


class Hard:
    """The truth, rounded."""

    chooses: ClassVar[bool] = False

    def __init__(self, subject: Subject) -> None:
        self._red = subject.photo.pixels[:, :, 0] > 0.5

    def layers(self, count: Count) -> np.ndarray:
        """Two, whatever is asked for."""
        return np.stack([self._red, ~self._red]).astype(float)


class Failing(Hard):
    """Does not converge."""

    def layers(self, count: Count) -> np.ndarray:
        """Never."""
        raise ConvergenceError("it did not converge; take another photo")


class Broken(Hard):
    """Has a bug."""

    def layers(self, count: Count) -> np.ndarray:
        """Never."""
        raise ZeroDivisionError("division\n by zero")
