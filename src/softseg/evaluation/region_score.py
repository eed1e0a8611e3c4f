"""Regions of layers against those that people have drawn, over all numbers of layers of the nested grouping.

A photo is taken apart once. For each number of layers every pixel goes to its largest layer; this is scored twice,
*as layers* and as *connected parts* (`softseg.evaluation.connected`), because people draw most regions in one piece.
The layers are the grouped soft segments before the relaxed sparsification, which moves edges, hardly regions, and would
take hours; or, on request, the finished layers. Where more layers are asked for than there are soft segments, all soft
segments are taken.

Beside ours: *feature_clusters*, k-means of the same features, in fewer numbers, because they take four times as long as
all the rest; and *people*, each against the others. The number of layers that "auto" takes is scored as well.

*ODS*, optimal data set scale: the one number of layers that is best for all photos together. *OIS*, optimal image
scale: the best for each photo. Conventions and source: `softseg.evaluation.region_errors`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from softseg.baselines import feature_clusters
from softseg.devices import resolve_device
from softseg.errors import InputError
from softseg.evaluation.connected import connected_parts
from softseg.evaluation.drawn import attempt, kept_results, people_of
from softseg.evaluation.parallel import in_order
from softseg.evaluation.region_errors import region_errors
from softseg.evaluation.region_report import RegionReport, pooled
from softseg.features import model_digest
from softseg.pipeline import Decomposition, decompose
from softseg.segments.full_size import enlarged
from softseg.settings import DeviceName
from softseg.training.datasets import LabelledPhotos

COUNTS = tuple(range(2, 41))
CLUSTERS = (*range(2, 13), 16, 20, 30)
CONNECTED = "_connected"  # ends the name of a way whose connected parts are scored


def evaluate_regions(
    photos: LabelledPhotos,
    model: str = "embedded",
    counts: Sequence[int] = COUNTS,
    clusters: Sequence[int] = CLUSTERS,
    *,
    finished: bool = False,
    device: DeviceName = "auto",
    seed: int = 0,
    jobs: int = 1,
    kept: Path | None = None,
    tell: Callable[[Mapping[str, Any]], object] | None = None,
) -> RegionReport:
    """Score the regions of every photo of a data set.

    Parameters
    ----------
    photos : the data; all people's regions where it has `annotations`, as BSDS 500 has, else those of one.
    model : of the features, a name for `softseg.features.extract`.
    counts : numbers of layers, each at least 2.
    clusters : numbers of clusters of k-means, each at least 2; none: it is left out.
    finished : score the finished layers; some seconds for each photo and number.
    device, seed : as for `softseg.decompose`.
    jobs : processes that work at the same time.
    kept : folder for the results of single photos, which a later run with the same data and settings takes up.
    tell : is called with each photo's result once it is there.

    Returns
    -------
    RegionReport : a photo that cannot be scored has its failure in place of errors.

    Raises
    ------
    InputError : no number of layers, one of layers or clusters below 2, or no job.
    ModelError, DeviceError : the model or the device is not there.
    OutputError : results cannot be kept there.

    Examples
    --------
    >>> from softseg.training.datasets import Bsds
    >>> report = evaluate_regions(Bsds(Path("bsds500/val")))  # doctest: +SKIP
    >>> report.summary["layers"]["covering"]["ods"]  # doctest: +SKIP
    """
    if not counts or min(*counts, *clusters, 2) < 2 or jobs < 1:
        raise InputError(
            f"layers {list(counts)}, clusters {list(clusters)} and {jobs} jobs were asked for; ask for 2 layers or "
            "more, 2 clusters or more, and 1 job"
        )
    digest = model_digest(model)
    settings = {"finished": finished, "seed": seed, "device": str(resolve_device(device))}
    scored = {"layers": list(counts), "clusters": list(clusters)}
    decisive = settings | scored | {"measure": "regions", "model_digest": digest}
    keep = None if kept is None else kept_results(kept, photos, decisive)
    task = _Task(photos, model, tuple(counts), tuple(clusters), finished, device, seed)
    numbers = {"layers": tuple(counts)} | ({"feature_clusters": tuple(clusters)} if clusters else {})
    ways = {f"{way}{kind}": column for way, column in numbers.items() for kind in ("", CONNECTED)}
    return RegionReport(model, digest, settings, in_order(task, len(photos.names), jobs, keep, tell), ways)


def cluster_labels(decomposition: Decomposition, count: int, *, seed: int) -> np.ndarray:
    """(h, w) int64, the hard segmentation of the same features by k-means."""
    h, w, _ = decomposition.photo.pixels.shape
    return enlarged(feature_clusters(decomposition.features, count, seed=seed), (h, w))


def layer_labels(decomposition: Decomposition, count: int, *, finished: bool = False) -> np.ndarray:
    """(h, w) int64, the largest layer at every pixel, of `count` layers or of as many as there are soft segments."""
    shape, (h, w, _) = decomposition.features.shape[:2], decomposition.photo.pixels.shape
    count = min(count, len(decomposition.segments))
    if count < 2:
        return np.zeros((h, w), dtype=np.int64)
    if finished:
        return np.asarray(decomposition.layers(count).alphas.argmax(axis=0))
    return enlarged(decomposition.grouped(count).argmax(axis=0).reshape(shape), (h, w))


@dataclass(frozen=True)
class _Task:
    """What a process needs in order to score photo `i`."""

    photos: LabelledPhotos
    model: str
    counts: tuple[int, ...]
    clusters: tuple[int, ...]
    finished: bool
    device: DeviceName
    seed: int

    def __call__(self, i: int) -> dict[str, Any]:
        return attempt(self.photos.names[i], lambda: self._scores(i))

    def _scores(self, i: int) -> dict[str, Any]:
        sample = self.photos.load(i)
        people = people_of(self.photos, i, sample)
        parts = decompose(sample.image, features=self.model, device=self.device, seed=self.seed)
        most = len(parts.segments)
        chosen = parts.natural_count if most > 1 else 1
        used = [min(count, most) for count in (*self.counts, chosen)]
        known = {count: layer_labels(parts, count, finished=self.finished) for count in set(used)}
        ours = dict(_both("layers", [known[count] for count in used], people))
        ways = {way: errors[:-1] for way, errors in ours.items()}
        if self.clusters:
            maps = (cluster_labels(parts, count, seed=self.seed) for count in self.clusters)
            ways |= dict(_both("feature_clusters", maps, people))
        return {
            "soft_segments": most,
            "ways": ways,
            "people": _against_each_other(people),
            "chosen": {"layers": used[-1], "ways": {way: errors[-1] for way, errors in ours.items()}},
        }


def _both(
    way: str, maps: Iterable[np.ndarray], people: Sequence[np.ndarray]
) -> Iterator[tuple[str, list[dict[str, float]]]]:
    """The errors of each label map, as it is and of its connected parts."""
    whole = list(maps)
    yield way, [asdict(region_errors(labels, people)) for labels in whole]
    yield f"{way}{CONNECTED}", [asdict(region_errors(connected_parts(labels), people)) for labels in whole]


def _against_each_other(people: Sequence[np.ndarray]) -> dict[str, float] | None:
    """Each person's regions scored against those of all others, as one; None for one person."""
    if len(people) < 2:
        return None
    pairs = ((people[k], [*people[:k], *people[k + 1 :]]) for k in range(len(people)))
    return asdict(pooled(asdict(region_errors(labels, others)) for labels, others in pairs))
