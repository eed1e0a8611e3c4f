"""How well a method finds the layers of composites that are known exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from softseg.errors import InputError
from softseg.evaluation.methods import Subject, check_method, take_apart
from softseg.evaluation.parallel import in_order
from softseg.evaluation.synthetic import Composite
from softseg.evaluation.union import best_union
from softseg.images import Photo
from softseg.settings import DeviceName, Settings


@dataclass(frozen=True)
class LayerScore:
    """Both are 0 for perfect layers.

    matched : mean absolute error of the alphas, each layer beside the true one that the best assignment gives it.
    union : mean over the true layers of the mean squared error of the best union of layers for each.
    """

    matched: float
    union: float


def score_layers(layers: np.ndarray, truth: np.ndarray) -> LayerScore:
    """Compare layers with the true ones.

    Parameters
    ----------
    layers : (m, h, w) floats in [0, 1], m at most the number of true layers: those missing count as empty.
    truth : (K, h, w) floats in [0, 1].

    Raises
    ------
    InputError : the layers are more than the true ones, or of another size.

    Examples
    --------
    >>> truth = np.stack([np.eye(4), 1 - np.eye(4)])
    >>> score_layers(truth[::-1], truth)
    LayerScore(matched=0.0, union=0.0)
    """
    if layers.ndim != 3 or len(layers) > len(truth) or layers.shape[1:] != truth.shape[1:]:
        raise InputError(f"the layers have shape {layers.shape}, the true ones {truth.shape}; ask for as many layers")
    padded = np.zeros(truth.shape)
    padded[: len(layers)] = layers
    cost = np.abs(padded[:, None] - truth).mean(axis=(2, 3))
    unions = (best_union(layers, alpha)[1] for alpha in truth)
    return LayerScore(
        matched=float(cost[linear_sum_assignment(cost)].mean()),
        union=float(np.mean([((union - alpha) ** 2).mean() for union, alpha in zip(unions, truth, strict=True)])),
    )


def evaluate_synthetic(
    composites: Sequence[Composite],
    methods: Sequence[str] = ("softseg", "spectral_matting", "feature_clusters"),
    *,
    seed: int = 0,
    device: DeviceName = "auto",
    jobs: int = 1,
    settings: Settings | None = None,
    tell: Callable[[dict[str, Any]], object] | None = None,
) -> list[dict[str, Any]]:
    """For each composite its name, its number of layers, and under "methods" the score of each method by name.

    Every method is asked for as many layers as there are, and is given the picture and its ideal features.

    Parameters
    ----------
    methods : names in `softseg.evaluation.methods.METHODS`.
    jobs : processes that work at the same time.
    settings : of our method, in place of the defaults with that seed and device.
    tell : is called with each composite's scores once they are there.

    Raises
    ------
    InputError : there is no such method.

    Examples
    --------
    >>> from softseg.evaluation.synthetic import composite
    >>> [found] = evaluate_synthetic([composite("blurred", 2)], ["feature_clusters"])
    >>> 0 < found["methods"]["feature_clusters"]["matched"] < 0.05
    True
    """
    for method in methods:
        check_method(method)
    task = _Task(composites, methods, seed, device, settings)
    return in_order(task, len(composites), jobs, tell=tell)


@dataclass(frozen=True)
class _Task:
    composites: Sequence[Composite]
    methods: Sequence[str]
    seed: int
    device: DeviceName
    settings: Settings | None

    def __call__(self, i: int) -> dict[str, Any]:
        made = self.composites[i]
        subject = Subject(Photo(made.image, made.name), made.features, self.seed, self.device, self.settings)
        count = len(made.alphas)
        scores = {m: asdict(score_layers(take_apart(m, subject).layers(count), made.alphas)) for m in self.methods}
        return {"name": made.name, "layers": count, "methods": scores}
