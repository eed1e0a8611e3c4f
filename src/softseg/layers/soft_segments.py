"""The result: soft layers of one photograph, with everything that is known about how they came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from softseg.errors import InputError
from softseg.layers.palette import layer_colors
from softseg.settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage


@dataclass(frozen=True, eq=False)
class SoftSegments:
    """Soft layers of one photograph, the largest first.

    alphas : (K, h, w) float32 in [0, 1]; they sum to one at every pixel.
    image : (h, w, 3) float64 in [0, 1], the photograph in sRGB.
    features : (y, x, 3) in [0, 1], the semantic features that the graph was built from; y = h and x = w unless the
        photograph has more than `settings.working_pixels`.
    settings : every number the method used.
    grouping : how soft segments were joined into layers, "agglomerative" or "kmeans".
    timings : seconds per stage, in order.
    statistics : what the stages report about themselves, plain numbers.
    model : name and digest of the feature model.
    notes : what was done to the photograph or the request that its owner should know.
    name : of the photograph's file, or "image".
    """

    alphas: np.ndarray
    image: np.ndarray
    features: np.ndarray
    settings: Settings
    grouping: str = "agglomerative"
    timings: Mapping[str, float] = field(default_factory=dict)
    statistics: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    name: str = "image"

    def __len__(self) -> int:
        """The number of layers."""
        return int(self.alphas.shape[0])

    @property
    def areas(self) -> np.ndarray:
        """(K,) share of the image that each layer covers; they sum to one."""
        return np.asarray(self.alphas.mean(axis=(1, 2), dtype=np.float64))

    def overview(self) -> PILImage:
        """An RGB picture of all layers: ``sum_k alpha_k color_k``, one colour per layer."""
        from PIL import Image

        mixed = np.einsum("khw,kc->hwc", self.alphas, layer_colors(len(self)).astype(np.float32))
        return Image.fromarray(_bytes(mixed))

    def layer(self, k: int) -> PILImage:
        """Layer `k` as an RGBA picture: the colours of the photograph, straight (not premultiplied) alpha, 8 bits.

        Raises
        ------
        InputError : there is no such layer.
        """
        from PIL import Image

        if not 0 <= k < len(self):
            raise InputError(f"there is no layer {k}, expected 0 to {len(self) - 1}")
        return Image.fromarray(np.dstack([self._colors, _bytes(self.alphas[k])]))

    @cached_property
    def _colors(self) -> np.ndarray:
        """(h, w, 3) uint8, the same for every layer; one channel at a time, which needs less memory."""
        return np.dstack([_bytes(channel) for channel in np.moveaxis(self.image, 2, 0)])

    def report(self) -> dict[str, Any]:
        """What `report.json` holds: settings, versions, device, model, size, seconds per stage, peak memory, areas."""
        from softseg.layers.report import report

        return report(self)

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write `overview.png`, `layer-00.png` ..., `alphas.npz` and `report.json` into `folder`: all of them or none.

        Parameters
        ----------
        folder : is created where it is missing; other files in it are left alone.
        overwrite : replace an earlier result; otherwise that is an error.

        Returns
        -------
        Path of the folder.

        Raises
        ------
        OutputError : there is a result already, or the folder cannot be written.
        """
        from softseg.layers.export import save

        return save(self, folder, overwrite=overwrite)


def _bytes(values: np.ndarray) -> np.ndarray:
    """[0, 1] to 0 .. 255, rounded to the nearest."""
    return np.asarray(np.rint(values * 255).clip(0, 255).astype(np.uint8))
