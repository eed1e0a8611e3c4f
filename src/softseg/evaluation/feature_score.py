"""How well features tell "same region" from "another region", beside colours and beside people.

The score is the area under the ROC curve over random pairs of pixels, half of one region and half of two, in the eyes
of the first annotator: the probability that a pair of one region is nearer in feature space than a pair of two. It is
taken within each photo and averaged over the photos, because features of different photos are not to be compared.

Three draws of pairs: *random* from anywhere in the photo; *near*, at most 50 pixels apart in x and in y, where the
regions' borders count; *far*, all others, where meaning counts. All ways of measuring distance see the same pairs:

- *colors*: of the photo itself, sRGB;
- *raw*: the features as the model gives them;
- *projected*: their three dimensions, as the graph uses them;
- *people*: distance 0 where another annotator has put both pixels in one region, else 1. As ties count half, this is
  the mean of two shares: of the pairs of one region, and of the pairs of two, on which that annotator agrees with the
  first. Mean over the other annotators.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from softseg.devices import resolve_device
from softseg.errors import InputError
from softseg.evaluation.parallel import in_order
from softseg.features import extract, model_digest, project
from softseg.settings import DeviceName
from softseg.training.datasets import LabelledPhotos
from softseg.training.score import area_under_curve, draw_pairs

NEAR = 50  # pixels: about a tenth of the diagonal of a photo of BSDS 500
DRAWS: Mapping[str, Mapping[str, int]] = {"random": {}, "near": {"nearby": NEAR}, "far": {"beyond": NEAR}}
WAYS = ("colors", "raw", "projected", "people")

Scores = dict[str, dict[str, float]]  # way -> draw -> area; NaN where the photo has no such pairs


@dataclass(frozen=True)
class PhotoScore:
    """One photo: its scores, or why there are none."""

    name: str
    scores: Scores = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True)
class FeatureReport:
    """All photos, in the order of the data."""

    model: str
    digest: str
    pairs: int
    seed: int
    photos: Sequence[PhotoScore]

    @property
    def mean(self) -> Scores:
        """Over the photos that have such pairs; NaN where none has."""
        return {way: {draw: _mean(self._values(way, draw)) for draw in DRAWS} for way in WAYS}

    @property
    def failures(self) -> list[PhotoScore]:
        """The photos without scores."""
        return [photo for photo in self.photos if photo.failure]

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file: NaN becomes None."""
        return {
            "model": self.model,
            "model_digest": self.digest,
            "pairs": self.pairs,
            "near_pixels": NEAR,
            "seed": self.seed,
            "mean": _plain(self.mean),
            "photos_counted": {way: {draw: len(self._values(way, draw)) for draw in DRAWS} for way in WAYS},
            "photos": [
                {"name": photo.name} | ({"failure": photo.failure} if photo.failure else _plain(photo.scores))
                for photo in self.photos
            ],
        }

    def _values(self, way: str, draw: str) -> list[float]:
        values = (photo.scores.get(way, {}).get(draw, math.nan) for photo in self.photos)
        return [value for value in values if not math.isnan(value)]


def evaluate_features(
    photos: LabelledPhotos,
    model: str = "embedded",
    *,
    device: DeviceName = "auto",
    pairs: int = 20_000,
    seed: int = 0,
    jobs: int = 1,
    tell: Callable[[PhotoScore], object] | None = None,
) -> FeatureReport:
    """Score a feature model on every photo of a data set.

    Parameters
    ----------
    photos : the data; where it has `annotations`, as BSDS 500 has, people are scored too.
    model : a name for `softseg.features.extract`.
    device : "auto", "cpu" or "cuda".
    pairs : for each photo and draw, at least 2.
    seed : of the random pairs.
    jobs : processes that work at the same time; the scores do not depend on it.
    tell : is called with each photo's score once it is there, in any order if there are several jobs.

    Returns
    -------
    FeatureReport : a photo that cannot be read, or whose labels do not fit, has its failure in place of scores.

    Raises
    ------
    ModelError, DeviceError : the model or the device is not there.
    InputError : fewer than 2 pairs or 1 job.

    Examples
    --------
    >>> from pathlib import Path
    >>> from softseg.training.datasets import Bsds
    >>> report = evaluate_features(Bsds(Path("bsds500/val")))  # doctest: +SKIP
    >>> report.mean["raw"]["random"]  # doctest: +SKIP
    """
    if pairs < 2 or jobs < 1:
        raise InputError(f"{pairs} pairs and {jobs} jobs were asked for; ask for at least 2 pairs and 1 job")
    resolve_device(device)
    task = _Task(photos, model, device, pairs, seed)
    digest = model_digest(model)
    return FeatureReport(model, digest, pairs, seed, in_order(task, len(photos.names), jobs, tell=tell))


def score_features(
    image: np.ndarray,
    features: np.ndarray,
    annotations: Sequence[np.ndarray],
    pairs: int = 20_000,
    seed: int = 0,
    device: DeviceName = "cpu",
) -> Scores:
    """The scores of one photo.

    Parameters
    ----------
    image : (h, w, 3) floats in [0, 1].
    features : (h, w, D) raw features.
    annotations : (h, w) integers, by one or more people; the first is the truth. Negative: no region.
    device : of the projection.

    Raises
    ------
    InputError : features or label maps are not of the photo's size.

    Examples
    --------
    >>> image = np.repeat(np.linspace(0, 1, 120)[None, :, None], 20, axis=0) * np.ones(3)
    >>> halves = np.repeat([[0, 1]], 60, axis=1) * np.ones((20, 1), int)
    >>> score_features(image, halves[..., None] * np.ones(3), [halves, halves])["people"]
    {'random': 1.0, 'near': 1.0, 'far': 1.0}
    """
    truth, *others = annotations
    for labels in annotations:
        if labels.shape != image.shape[:2]:
            raise InputError(
                f"labels of shape {labels.shape} came with a photo of {image.shape[:2]}; pass its own labels"
            )
    maps = {"colors": image, "raw": features, "projected": project(features, image, device=device)}
    points = {way: np.ascontiguousarray(values).reshape(truth.size, -1) for way, values in maps.items()}
    scores: Scores = {way: {} for way in WAYS if way in maps or others}
    for draw, options in DRAWS.items():
        kinds = draw_pairs(truth, pairs, seed, **options)
        for way, vectors in points.items():
            scores[way][draw] = area_under_curve(
                *(np.linalg.norm(vectors[one] - vectors[two], axis=1) for one, two in kinds)
            )
        if others:
            scores["people"][draw] = _mean([_agreement(kinds, other.ravel()) for other in others])
    return scores


def _agreement(kinds: tuple[np.ndarray, np.ndarray], regions: np.ndarray) -> float:
    """How well another annotator's regions, as distances 0 and 1, order the pairs of one region before those of two."""
    return area_under_curve(*((regions[one] != regions[two]).astype(float) for one, two in kinds))


@dataclass(frozen=True)
class _Task:
    """What a process needs in order to score photo `i`."""

    photos: LabelledPhotos
    model: str
    device: DeviceName
    pairs: int
    seed: int

    def __call__(self, i: int) -> PhotoScore:
        name = self.photos.names[i]
        try:
            sample = self.photos.load(i)
            image = sample.image / 255
            people = self.photos.annotations(i) if hasattr(self.photos, "annotations") else []
            features = extract(image, self.model, self.device)
            return PhotoScore(
                name, score_features(image, features, [sample.labels, *people[1:]], self.pairs, self.seed, self.device)
            )
        except InputError as error:
            return PhotoScore(name, failure=str(error))


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _plain(scores: Scores) -> dict[str, dict[str, float | None]]:
    return {
        way: {draw: None if math.isnan(value) else round(value, 4) for draw, value in draws.items()}
        for way, draws in scores.items()
    }
