"""The numbers of the grouping, chosen on training photos: area exponent, reach, and the cost at which "auto" ends.

    python -m benchmarks.quality.grouping_settings BSDS500/train -o benchmarks/quality/grouping_settings.json

Each photo is taken apart once; then for every pair of area exponent and reach its nested groupings are scored by the
covering of what people have drawn (a pixel belongs to its largest soft segment), at the best number of layers for all
photos (ODS) and for each (OIS). For the settings as they are also: the mean covering when merging ends before the first
merge that costs more than a threshold.

The features were trained on the same photos, so that they are better here than elsewhere; the photos for validation are
not touched.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from benchmarks.quality.covering_ablation import Sums, curve, cuts, summary
from softseg.evaluation.region_errors import contingency
from softseg.pipeline import decompose
from softseg.segments import segment_tree
from softseg.settings import GroupingSettings
from softseg.training.datasets import Bsds

EXPONENTS = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)
REACHES = (0.02, 0.04, 0.06, 0.1)
THRESHOLDS = np.geomspace(1e-5, 5e-2, 80)


def main() -> None:
    """Decompose, score, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--every", type=int, default=2)
    arguments = parser.parse_args()
    photos = Bsds(arguments.folder)
    grid: dict[str, list[Sums]] = {}
    ends: list[list[int]] = []  # of each photo the number of layers at each threshold
    for i in range(0, len(photos.names), arguments.every):
        parts = decompose(photos.load(i).image)
        owners = parts.segments.argmax(axis=0).reshape(parts.features.shape[:2])
        tables, present = [contingency(owners, person) for person in photos.annotations(i)], np.unique(owners)
        for exponent in EXPONENTS:
            for reach in REACHES:
                settings = GroupingSettings(area_exponent=exponent, reach=reach)
                tree = segment_tree(parts.segments, parts.features, parts.photo.pixels, settings)
                way = f"exponent {exponent:g}, reach {reach:g}"
                grid.setdefault(way, []).append(curve(tables, cuts(tree, present), len(parts.segments)))
        most = min(GroupingSettings().automatic_most, len(parts.segments))
        ends.append([min(max(2, parts.tree.clusters_apart(cost)), most) for cost in THRESHOLDS])
        print(f"{len(ends)} {photos.names[i]}", flush=True)
    used = GroupingSettings()
    chosen = grid[f"exponent {used.area_exponent:g}, reach {used.reach:g}"]
    results = {way: summary(values) for way, values in grid.items()}
    contents = {"machine": machine(), "every": arguments.every, "grid": results, "auto": automatic(chosen, ends)}
    for way, row in results.items():
        print(f"{way:<28} ODS {row['ods']:.4f} ({row['layers']} layers)  OIS {row['ois']:.4f}")
    print(f"best threshold for auto: {contents['auto']['best']}")
    arguments.output.write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")


def automatic(photos: list[Sums], ends: list[list[int]]) -> dict[str, Any]:
    """The mean covering of photos at each threshold, and the best threshold."""
    coverings = np.array([[above / below for above, below in sums] for sums in photos])  # from two layers on
    rows = [
        {"cost": float(cost), "covering": float(np.mean([c[k - 2] for c, k in zip(coverings, counts, strict=True)]))}
        for cost, counts in zip(THRESHOLDS, zip(*ends, strict=True), strict=True)
    ]
    return {"best": max(rows, key=lambda row: row["covering"]), "thresholds": rows}


if __name__ == "__main__":
    main()
