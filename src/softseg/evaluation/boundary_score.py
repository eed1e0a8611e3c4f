"""Boundaries of the finished layers against those that people have drawn, beside a hard segmentation.

The boundaries of layers are where the largest layer changes. The hard segmentation is k-means of the same features
(`softseg.baselines.feature_clusters`): what they give without the graph, over more numbers of clusters, so that there
is one of about every precision to compare with. Measures and source: `softseg.evaluation.boundary_errors`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from softseg.devices import resolve_device
from softseg.errors import InputError
from softseg.evaluation.boundary_errors import (
    TOLERANCES,
    BoundaryCounts,
    boundary_pixels,
    judged,
    match_boundaries,
    true_boundaries,
)
from softseg.evaluation.boundary_report import BoundaryReport
from softseg.evaluation.drawn import attempt, kept_results, people_of
from softseg.evaluation.parallel import in_order
from softseg.evaluation.region_score import cluster_labels, layer_labels
from softseg.features import model_digest
from softseg.pipeline import decompose
from softseg.settings import DeviceName
from softseg.training.datasets import LabelledPhotos

COUNTS = (3, 5, 8, 12, 20)
CLUSTERS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 30, 40)

Row = list[dict[str, int]]  # BoundaryCounts for each tolerance


def evaluate_boundaries(
    photos: LabelledPhotos,
    model: str = "embedded",
    counts: Sequence[int] = COUNTS,
    clusters: Sequence[int] = CLUSTERS,
    *,
    tolerances: Sequence[float] = TOLERANCES,
    device: DeviceName = "auto",
    seed: int = 0,
    jobs: int = 1,
    kept: Path | None = None,
    tell: Callable[[Mapping[str, Any]], object] | None = None,
) -> BoundaryReport:
    """Score the boundaries of every photo of a data set.

    Parameters
    ----------
    photos : the data; all people's regions where it has `annotations`, as BSDS 500 has, else those of one.
    model : of the features, a name for `softseg.features.extract`.
    counts : numbers of layers, each at least 2; all soft segments where there are not as many.
    clusters : numbers of clusters of the hard segmentation, each at least 2.
    tolerances : in pixels.
    device, seed : as for `softseg.decompose`.
    jobs : processes that work at the same time.
    kept : folder for the results of single photos, which a later run with the same data and settings takes up.
    tell : is called with each photo's result once it is there.

    Returns
    -------
    BoundaryReport : a photo that cannot be scored has its failure in place of counts.

    Raises
    ------
    InputError : no number of layers or clusters, one below 2, no tolerance or a negative one, or no job.
    ModelError, DeviceError : the model or the device is not there.
    OutputError : results cannot be kept there.

    Examples
    --------
    >>> from softseg.training.datasets import Bsds
    >>> report = evaluate_boundaries(Bsds(Path("bsds500/val")))  # doctest: +SKIP
    >>> [row["ratio"] for row in report.comparison(2)]  # doctest: +SKIP
    """
    ways = {"layers": tuple(sorted(set(counts))), "feature_clusters": tuple(sorted(set(clusters)))}
    _check(ways, tolerances, jobs)
    digest = model_digest(model)
    settings = {"seed": seed, "device": str(resolve_device(device))}
    decisive = settings | {
        "measure": "boundaries",
        "model_digest": digest,
        "tolerances": list(tolerances),
        "ways": ways,
    }
    keep = None if kept is None else kept_results(kept, photos, decisive)
    task = _Task(photos, model, ways, tuple(tolerances), device, seed)
    found = in_order(task, len(photos.names), jobs, keep, tell)
    return BoundaryReport(model, digest, settings, found, ways, tuple(tolerances))


@dataclass(frozen=True)
class _Task:
    """What a process needs in order to score photo `i`."""

    photos: LabelledPhotos
    model: str
    ways: Mapping[str, Sequence[int]]
    tolerances: tuple[float, ...]
    device: DeviceName
    seed: int

    def __call__(self, i: int) -> dict[str, Any]:
        return attempt(self.photos.names[i], lambda: self._counts(i))

    def _counts(self, i: int) -> dict[str, Any]:
        sample = self.photos.load(i)
        people = people_of(self.photos, i, sample)
        parts = decompose(sample.image, features=self.model, device=self.device, seed=self.seed)
        drawn, seen = [true_boundaries(truth) for truth in people], judged(people)

        def layers(count: int) -> np.ndarray:
            return layer_labels(parts, count, finished=True)

        def clusters(count: int) -> np.ndarray:
            return cluster_labels(parts, count, seed=self.seed)

        def matched(labels: np.ndarray) -> Row:
            return _rows(match_boundaries(boundary_pixels(labels) & seen, drawn, self.tolerances))

        ways = {
            way: [matched(labels(count)) for count in self.ways[way]]
            for way, labels in (("layers", layers), ("feature_clusters", clusters))
        }
        return {
            "soft_segments": len(parts.segments),
            "ways": ways,
            "people": _against_each_other(drawn, self.tolerances),
        }


def _against_each_other(drawn: Sequence[np.ndarray], tolerances: Sequence[float]) -> Row | None:
    """Each person's boundaries matched with those of all others, added up; None for one person."""
    if len(drawn) < 2:
        return None
    each = [match_boundaries(drawn[k], [*drawn[:k], *drawn[k + 1 :]], tolerances) for k in range(len(drawn))]
    return _rows([sum(column, BoundaryCounts()) for column in zip(*each, strict=True)])


def _rows(counts: Sequence[BoundaryCounts]) -> Row:
    return [asdict(one) for one in counts]


def _check(ways: Mapping[str, Sequence[int]], tolerances: Sequence[float], jobs: int) -> None:
    for way, counts in ways.items():
        if not counts or counts[0] < 2:
            raise InputError(f"{way} were asked for in the numbers {list(counts)}; ask for 2 or more")
    if not tolerances or min(tolerances) < 0 or jobs < 1:
        raise InputError(
            f"tolerances {list(tolerances)} and {jobs} jobs were asked for; ask for tolerances from 0 pixels, and 1 job"
        )
