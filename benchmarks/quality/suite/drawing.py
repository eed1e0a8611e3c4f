"""One photo of a measurement as a row of pictures: the photo, the truth, ours, and what ours is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt

from benchmarks.quality.suite.options import MODEL
from benchmarks.quality.suite.ranking import best_boundary_layers
from softseg.baselines import feature_clusters
from softseg.evaluation.boundary_errors import boundary_pixels
from softseg.evaluation.comparison_figure import tint
from softseg.evaluation.drawn import people_of
from softseg.evaluation.matched_colors import matched_colors
from softseg.evaluation.methods import Subject, take_apart
from softseg.evaluation.region_score import layer_labels
from softseg.features import extract, project
from softseg.images import Photo
from softseg.pipeline import decompose

_PIXELS = 2  # a boundary pixel of ours this near to a person's is drawn as right
_RIGHT, _WRONG, _MISSED = np.array([[0.1, 0.6, 0.1], [0.85, 0.1, 0.1], [0.2, 0.35, 0.9]])

Row = list[tuple[str, np.ndarray]]  # (caption, (h, w, 3) or (h, w) in [0, 1])


@dataclass(frozen=True)
class Drawing:
    """Draws photo `i` of a measurement.

    photos : the data, or the composites.
    contents : of the measurement.
    """

    file: str
    photos: Any
    contents: Mapping[str, Any]

    def __call__(self, i: int) -> list[Row]:
        """Rows of pictures."""
        return _DRAWERS[self.file](self.photos, self.contents, i)


def _regions(photos: Any, contents: Mapping[str, Any], i: int) -> list[Row]:
    """The first person's regions; ours at the photo's best number of layers and at that for all; and the clusters."""
    sample = photos.load(i)
    parts = decompose(sample.image, features=MODEL)
    best = contents["photos"][i]["best"]["layers"]["covering"]
    ods, clusters = (contents["summary"].get(way, {}).get("covering") for way in ("layers", "feature_clusters"))
    maps = [("truth, first person", np.unique(sample.labels, return_inverse=True)[1].reshape(sample.labels.shape))]
    if clusters:
        hard = feature_clusters(parts.features, clusters["layers"])
        maps.append((f"{clusters['layers']} clusters of features (ODS)", hard))
    maps.append((f"ours, {ods['layers']} layers (ODS)", layer_labels(parts, ods["layers"])))
    maps.append(
        (f"ours, {best['layers']} layers (best): {best['value']:.3f}", layer_labels(parts, int(best["layers"])))
    )
    return [[("photo", sample.image / 255), *_tinted(sample.image / 255, maps), ("features", parts.features)]]


def _boundaries(photos: Any, contents: Mapping[str, Any], i: int) -> list[Row]:
    """Boundaries on the pale photo: right ones green, wrong ones red, and what people have drawn elsewhere blue."""
    sample = photos.load(i)
    image = sample.image / 255
    parts = decompose(sample.image, features=MODEL)
    people = np.logical_or.reduce([boundary_pixels(truth) for truth in people_of(photos, i, sample)])
    ours, others = (best_boundary_layers(contents, way) for way in ("layers", "feature_clusters"))
    maps = {
        f"ours, {ours} layers": layer_labels(parts, ours, finished=True),
        f"{others} clusters of features": feature_clusters(parts.features, others),
    }
    cells = [(caption, _judged(image, boundary_pixels(labels), people)) for caption, labels in maps.items()]
    return [[("photo", image), ("people", _judged(image, np.zeros_like(people), people)), *cells]]


def _features(photos: Any, contents: Mapping[str, Any], i: int) -> list[Row]:
    sample = photos.load(i)
    image = sample.image / 255
    seen = project(extract(image, MODEL), image)
    truth = np.unique(sample.labels, return_inverse=True)[1].reshape(sample.labels.shape)
    return [[("photo", image), *_tinted(image, [("truth, first person", truth)]), ("features, projected", seen)]]


def _synthetic(composites: Any, contents: Mapping[str, Any], i: int) -> list[Row]:
    made = composites[i]
    subject = Subject(Photo(made.image, made.name), made.features)
    rows = [[(made.name, made.image), ("features", made.features), *_layers("truth", made.alphas)]]
    for method, score in contents["composites"][i]["methods"].items():
        found = take_apart(method, subject).layers(len(made.alphas))
        empty = np.ones_like(made.image)
        rows.append([(method, empty), (f"error {score['matched']:.4f}", empty), *_layers("layer", found)])
    return rows


def _layers(word: str, layers: np.ndarray) -> Row:
    return [(f"{word} {k}", layer) for k, layer in enumerate(layers)]


def _tinted(image: np.ndarray, maps: Sequence[tuple[str, np.ndarray]]) -> Row:
    """Label maps in colours over the grey photo; regions that are alike have one colour."""
    hard = [(labels == np.arange(labels.max() + 1)[:, None, None]).astype(np.float64) for _, labels in maps]
    colors = matched_colors(hard)
    return [(caption, tint(image, one, color)) for (caption, _), one, color in zip(maps, hard, colors, strict=True)]


def _judged(image: np.ndarray, ours: np.ndarray, people: np.ndarray) -> np.ndarray:
    picture = 0.6 + 0.4 * np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    picture[people & ~_near(ours)] = _MISSED
    picture[ours] = np.where(_near(people)[ours][:, None], _RIGHT, _WRONG)
    return picture


def _near(boundaries: np.ndarray) -> np.ndarray:
    """(h, w) bool, within 2 px of a boundary."""
    if not boundaries.any():
        return np.zeros_like(boundaries)
    return np.asarray(distance_transform_edt(~boundaries) <= _PIXELS)


_DRAWERS: Mapping[str, Callable[[Any, Mapping[str, Any], int], list[Row]]] = {
    "regions": _regions,
    "boundaries": _boundaries,
    "features_bsds500": _features,
    "features_msrc": _features,
    "synthetic": _synthetic,
}
