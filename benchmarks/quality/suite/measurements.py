"""The evaluations of the suite: what each one runs, on which data, and the JSON file it becomes.

A measurement keeps each photo's result as soon as it is there, so that a run that was broken off goes on where it
stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.quality.suite.alphas import measure_alpha
from benchmarks.quality.suite.data import ALPHAMATTING, BSDS, MSRC
from benchmarks.quality.suite.options import METHODS, MODEL, Measured, Measurement, Options, Tell
from softseg.evaluation import (
    evaluate_boundaries,
    evaluate_features,
    evaluate_regions,
    evaluate_synthetic,
)
from softseg.evaluation.drawn import attempt, kept_results
from softseg.evaluation.feature_score import FeatureReport, PhotoScore
from softseg.evaluation.parallel import FAILURE, Kept, in_order
from softseg.evaluation.synthetic import Composite, suite
from softseg.features import model_digest
from softseg.training.datasets import Subset

REGION_LAYERS = tuple(range(2, 41))
REGION_CLUSTERS = (2, 3, 4, 5, 6, 8, 12)  # each takes longer than a number of layers
# finished layers take long; 40: all soft segments, whose precision clusters of features reach too
BOUNDARY_LAYERS = (5, 8, 12, 20, 40)
TOLERANCES = (1, 2, 4)
PAIRS = 20_000


def measure_synthetic(composites: Sequence[Composite], options: Options, tell: Tell) -> Measured:
    """The composites that need no data."""
    settings = {"methods": list(METHODS), "seed": 0}
    kept = Kept(options.kept / "synthetic", [made.name for made in composites], settings | {"measure": "synthetic"})
    task = _Composite(composites, METHODS)
    found = in_order(task, len(composites), options.jobs, kept, tell)
    return Measured({"settings": settings, "composites": found})


def measure_features(photos: Any, options: Options, tell: Tell) -> Measured:
    """Whether features tell one region from another."""
    settings = {"measure": "features", "model_digest": model_digest(MODEL), "pairs": PAIRS, "seed": 0}
    kept = kept_results(options.kept / "features", photos, settings)
    found = in_order(_Features(photos), len(photos.names), options.jobs, kept, tell)
    scores = [PhotoScore(row["name"], row.get("scores", {}), row.get(FAILURE, "")) for row in found]
    return Measured(FeatureReport(MODEL, model_digest(MODEL), PAIRS, 0, scores).as_dict())


def measure_regions(photos: Any, options: Options, tell: Tell) -> Measured:
    """Whether layers have the regions that people draw."""
    report = evaluate_regions(
        photos,
        MODEL,
        REGION_LAYERS,
        REGION_CLUSTERS,
        jobs=options.jobs,
        kept=options.kept / "regions",
        tell=tell,
    )
    contents = report.as_dict()
    # the curve of every photo is in the folder of kept results; here its best value for each measure is enough
    contents["photos"] = [{key: row[key] for key in row if key != "curves"} for row in contents["photos"]]
    return Measured(contents)


def measure_boundaries(photos: Any, options: Options, tell: Tell) -> Measured:
    """Whether layers change where people draw a boundary, on the photos that `open_data` has left."""
    report = evaluate_boundaries(
        photos,
        MODEL,
        BOUNDARY_LAYERS,
        tolerances=TOLERANCES,
        jobs=options.jobs,
        kept=options.kept / "boundaries",
        tell=tell,
    )
    contents = report.as_dict()
    return Measured(contents | {"settings": contents["settings"] | {"every": options.every}})


MEASUREMENTS = (
    Measurement("synthetic", "synthetic", None, measure_synthetic),
    Measurement("features", "features_bsds500", BSDS, measure_features),
    Measurement("features", "features_msrc", MSRC, measure_features),
    Measurement("boundaries", "boundaries", BSDS, measure_boundaries),
    Measurement("regions", "regions", BSDS, measure_regions),
    Measurement("alpha", "alpha", ALPHAMATTING, measure_alpha),
)
PARTS = tuple(dict.fromkeys(one.part for one in MEASUREMENTS))


def composites() -> list[Composite]:
    """Of the synthetic suite."""
    return suite(0)


@dataclass(frozen=True)
class _Composite:
    composites: Sequence[Composite]
    methods: Sequence[str]

    def __call__(self, i: int) -> dict[str, Any]:
        made = self.composites[i]
        return attempt(made.name, lambda: evaluate_synthetic([made], self.methods)[0])


@dataclass(frozen=True)
class _Features:
    photos: Any

    def __call__(self, i: int) -> dict[str, Any]:
        name = self.photos.names[i]

        def score() -> dict[str, Any]:
            [found] = evaluate_features(Subset(self.photos, [i]), MODEL, pairs=PAIRS).photos
            return {"scores": found.scores, FAILURE: found.failure} if found.failure else {"scores": found.scores}

        return attempt(name, score)
