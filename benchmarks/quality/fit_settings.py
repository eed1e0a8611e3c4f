"""From what start, to what and in how many rounds the soft segments are fitted: chosen on training photos.

    softseg train --recipe boundaries --set steps=500 --data bsds-odd:BSDS500/train -o odd --device cpu
    python -m benchmarks.quality.fit_settings BSDS500/train --boundaries odd/model.safetensors \\
        -o benchmarks/quality/fit_settings.json

The eigenvectors of every sixth photo (`--every`; every twelfth for the file that is kept) are made once; then the
constrained sparsification of each way, and the pipeline's grouping. A pixel belongs to its largest soft segment. Scored
are the covering of regions at the best number of layers for all photos (ODS) and for each (OIS), and the boundaries of
all segments within 2 pixels. The map of boundaries must come from a network that has not seen these photos, those of an
even place in the order of names.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from benchmarks.quality.covering_ablation import Sums, curve, cuts, summary
from softseg.evaluation.boundary_errors import BoundaryCounts, boundary_errors
from softseg.evaluation.region_errors import contingency
from softseg.features import boundary_map, extract, project
from softseg.graph import color_affinity, laplacian, matting_affinity, semantic_affinity, superpixels
from softseg.segments import initial_clusters, initial_regions, segment_tree
from softseg.segments.constrained import fit_segments
from softseg.settings import ConstrainedSettings, Settings
from softseg.spectrum import Eigenbasis, eigenbasis
from softseg.training.datasets import Bsds

USED = Settings.for_solver("fast").constrained
CLUSTERS = replace(USED, start="clusters", clusters=40)
TOLERANCE = 2  # pixels
WAYS: Mapping[str, ConstrainedSettings] = {
    **{f"60 regions, {rounds} rounds": replace(USED, iterations=rounds) for rounds in (5, 10, 20, 40)},
    **{f"{regions} regions, 10 rounds": replace(USED, iterations=10, clusters=regions) for regions in (40, 80)},
    **{f"40 clusters, {rounds} rounds": replace(CLUSTERS, iterations=rounds) for rounds in (10, 40)},
    **{
        f"40 clusters, 5,000 pixels, {rounds} rounds": replace(CLUSTERS, iterations=rounds, superpixel_means=False)
        for rounds in (10, 40)
    },
}


@dataclass(frozen=True)
class Scored:
    """One way on one photo: covering at each number of layers, boundaries, soft segments, seconds of the fit."""

    sums: Sums
    boundaries: BoundaryCounts
    segments: int
    seconds: float


def main() -> None:
    """Fit in all the ways, score, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--boundaries", type=Path, required=True, help="weights that have not seen the even photos")
    parser.add_argument("--every", type=int, default=6, help="an even number")
    arguments = parser.parse_args()
    photos = Bsds(arguments.folder)
    chosen = range(0, len(photos.names), arguments.every)
    found: dict[str, list[Scored]] = {}
    for number, i in enumerate(chosen):
        for way, scored in ways(photos, i, arguments.boundaries):
            found.setdefault(way, []).append(scored)
        print(f"{number + 1}/{len(chosen)} {photos.names[i]}", flush=True)
    results = {way: row(list(values)) for way, values in found.items()}
    for way, values in results.items():
        print(
            f"{way:<36} ODS {values['ods']:.3f}  OIS {values['ois']:.3f}  {values['segments']:.0f} segments  "
            f"precision {values['precision']:.3f}  recall {values['recall']:.3f}"
        )
    contents = {"machine": machine(), "every": arguments.every, "results": results}
    arguments.output.write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Prepared:
    """A photo up to its eigenvectors, with a map of boundaries from weights that have not seen it."""

    image: np.ndarray
    features: np.ndarray
    superpixels: np.ndarray
    basis: Eigenbasis
    boundaries: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray, weights: Path) -> Prepared:
        features, labels = project(extract(image), image), superpixels(image)
        graph = laplacian(matting_affinity(image), semantic_affinity(features, labels), color_affinity(image, labels))
        basis = eigenbasis(graph, image, Settings.for_solver("fast").spectrum)
        return cls(image, features, labels, basis, boundary_map(image, path=weights))

    def start(self, settings: ConstrainedSettings) -> np.ndarray:
        if settings.start == "regions":
            return initial_regions(
                self.superpixels, self.features, self.image, settings.clusters, boundaries=self.boundaries
            )
        return initial_clusters(self.features, settings.clusters)

    def segments(self, start: np.ndarray, settings: ConstrainedSettings) -> np.ndarray:
        return fit_segments(self.basis, start, settings, superpixels=self.superpixels)


def ways(photos: Bsds, i: int, weights: Path) -> Iterator[tuple[str, Scored]]:
    """Each way, and how it did on photo `i`."""
    image, people = photos.load(i).image / 255.0, photos.annotations(i)
    photo = Prepared.of(image, weights)
    for way, settings in WAYS.items():
        start = photo.start(settings)
        begin = time.perf_counter()
        segments = photo.segments(start, settings)
        seconds = time.perf_counter() - begin
        owners = segments.argmax(axis=0).reshape(image.shape[:2])
        tree = segment_tree(segments, photo.features, image, boundaries=photo.boundaries)
        tables = [contingency(owners, person) for person in people]
        sums = curve(tables, cuts(tree, np.unique(owners)), len(segments))
        yield way, Scored(sums, boundary_errors(owners, people, [TOLERANCE])[0], len(segments), seconds)


def row(photos: Sequence[Scored]) -> dict[str, Any]:
    """The summary of all photos."""
    boundaries = sum((photo.boundaries for photo in photos), BoundaryCounts())
    return summary([photo.sums for photo in photos]) | {
        "segments": round(float(np.mean([photo.segments for photo in photos])), 1),
        "precision": boundaries.precision,
        "recall": boundaries.recall,
        "seconds": round(float(np.median([photo.seconds for photo in photos])), 2),
    }


if __name__ == "__main__":
    main()
