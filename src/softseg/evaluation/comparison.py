"""One photo, several methods: what the networks, Spectral Matting and the layers make of it (paper, Figures 3 to 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from softseg.baselines import spectral_matting
from softseg.baselines.label_map import LabelMap
from softseg.baselines.networks import NETWORKS, Segmenter, absence, load_segmenter
from softseg.devices import resolve_device, to_tensor
from softseg.errors import InputError
from softseg.images import load_photo
from softseg.pipeline import Decomposition, decompose
from softseg.progress import Progress, Stopwatch
from softseg.segments import group
from softseg.segments.full_size import enlarged
from softseg.settings import DeviceName, Solver

Segmentation = LabelMap | np.ndarray  # hard, with names; or soft, (K, h, w) in [0, 1]

SPECTRAL_MATTING = "spectral_matting"
OURS = "ours"
TITLES = {name: network.title for name, network in NETWORKS.items()} | {
    SPECTRAL_MATTING: "Spectral Matting",
    OURS: "Ours",
}  # of the columns, from left to right


@dataclass(frozen=True, eq=False)
class Comparison:
    """What several methods make of one photo.

    name : of the photo's file, or "image".
    image : (h, w, 3) float in [0, 1].
    segmentations : column to segmentation, in the order of the columns.
    """

    name: str
    image: np.ndarray
    segmentations: Mapping[str, Segmentation]


def open_networks(
    chosen: Mapping[str, str | Path | None], device: str = "auto"
) -> tuple[dict[str, Segmenter], dict[str, str]]:
    """The networks of the comparison, ready for use, and of those that are left out why.

    Parameters
    ----------
    chosen : network (a key of `NETWORKS`) to its weights, as for `softseg.baselines.networks.label_map`; None: its
        default weights, without which the network is left out. Weights that are named must be there.

    Returns
    -------
    Segmenters by network; and for each one that is left out, one sentence that says what to do about it.

    Raises
    ------
    ModelError : weights that were named are missing, any are damaged, or a library is missing.
    """
    ready: dict[str, Segmenter] = {}
    left_out: dict[str, str] = {}
    for network in (name for name in NETWORKS if name in chosen):
        reason = absence(network) if chosen[network] is None else None
        if reason is None:
            ready[network] = load_segmenter(network, chosen[network], device)
        else:
            left_out[network] = reason
    return ready, left_out


def compare(
    image: Any,
    networks: Mapping[str, Segmenter] | None = None,
    *,
    layers: int = 5,
    features: str | Path = "embedded",
    methods: tuple[str, ...] = (SPECTRAL_MATTING, OURS),
    device: DeviceName = "auto",
    spectral_solver: Solver = "exact",
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Segment a photo by each network, by Spectral Matting, and into our layers.

    The components of Spectral Matting are added up by the same features and into as many layers (or as many as there
    are components), as in the paper's figures. Our own grouping looks at the borders between segments as well.

    Parameters
    ----------
    image : path, PIL image, or array, as for `softseg.segment`.
    networks : as `open_networks` gives them; None: none.
    layers, features, device, seed, progress : as for `softseg.segment`.
    spectral_solver : of the eigenvectors of Spectral Matting, "exact" or "fast". With its own graph alone, the coarse
        space of "fast" costs it visibly more than it costs our layers: it would not be a fair comparison by default.
    methods : which of "spectral_matting" and "ours".

    Raises
    ------
    ImageError, InputError, DeviceError, ModelError : as for `softseg.segment`.

    Examples
    --------
    >>> photo = np.random.default_rng(0).random((32, 32, 3)) * 0.1
    >>> photo[:, 16:] += 0.8
    >>> compare(photo, layers=2, methods=("ours",), device="cpu").segmentations["ours"].shape
    (2, 32, 32)
    """
    photo = load_photo(image)
    unknown = set(methods) - {SPECTRAL_MATTING, OURS}
    if unknown:
        raise InputError(f"there is no method {sorted(unknown)[0]!r}; choose of {SPECTRAL_MATTING!r} and {OURS!r}")
    stage = Stopwatch(progress)
    found: dict[str, Segmentation] = {}
    for network, segmenter in (networks or {}).items():
        with stage(TITLES[network]):
            found[network] = segmenter(to_tensor(photo.pixels, resolve_device(device)))
    if methods:
        parts = decompose(photo, features=features, device=device, seed=seed, progress=progress)
        if OURS in methods:  # before the slow one: it says whether there can be that many layers
            found[OURS] = parts.layers(layers, progress=progress).alphas
        if SPECTRAL_MATTING in methods:
            with stage(TITLES[SPECTRAL_MATTING]):
                found[SPECTRAL_MATTING] = _grouped_components(parts, layers, spectral_solver, seed)
    return Comparison(photo.name, photo.pixels, {name: found[name] for name in TITLES if name in found})


def _grouped_components(parts: Decomposition, layers: int, solver: Solver, seed: int) -> np.ndarray:
    """(K, h, w) in [0, 1], the components of Spectral Matting added up by their features, as the paper does."""
    components = spectral_matting(parts.photo, solver=solver, seed=seed)
    h, w, _ = parts.photo.pixels.shape
    grouped, _ = group(components, enlarged(parts.features, (h, w)), min(layers, len(components)), seed=seed)
    return np.asarray(np.clip(grouped, 0, 1).reshape(-1, h, w), dtype=np.float32)
