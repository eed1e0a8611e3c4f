"""The numbers of the grouping, chosen on training photos by the covering of what people have drawn.

    softseg train --recipe boundaries --set steps=500 --data bsds-odd:BSDS500/train -o odd --device cpu
    python -m benchmarks.quality.grouping_settings BSDS500/train --boundaries odd/model.safetensors --kept kept \\
        -o benchmarks/quality/grouping_settings.json

Every second photo, from the first on, is taken apart once; what the grouping needs of it is kept, so that the command
can be broken off, and given again with other candidates. The maps of boundaries come from a network that has learned
from the other half alone. Then, one number of the cost at a time around the settings as they are, the nested groupings
are scored (a pixel belongs to its largest soft segment) at the best number of layers for all photos (ODS) and for each
(OIS). For the settings as they are also: the mean covering when merging ends before the first merge that costs more
than a threshold.

The features were trained on the same photos, so that they are better here than elsewhere, and what is added to them
counts for less; the photos for validation are not touched.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from benchmarks.quality.covering_ablation import Sums, curve, cuts, summary
from benchmarks.quality.fit_settings import Prepared
from softseg.evaluation.region_errors import contingency
from softseg.features import boundary_map, model_digest
from softseg.files import write_atomically
from softseg.segments.borders import Borders
from softseg.segments.grouping import mean_values, seen_areas
from softseg.segments.merging import MergeTree, merge_tree
from softseg.settings import GroupingSettings, Settings
from softseg.training.datasets import Bsds

CANDIDATES: Mapping[str, Sequence[float]] = {
    "area_exponent": (0.0, 0.05, 0.1, 0.15, 0.25, 0.5),
    "apart": (0.0125, 0.018, 0.025, 0.035, 0.05),
    "joining": (0.0, 0.25, 0.5, 1.0, 2.0),
    "reach": (0.02, 0.04, 0.06, 0.1),
    "boundary_exponent": (0.0, 0.75, 1.5, 2.0, 2.5, 3.0),
    "least_share": (0.02, 0.05, 0.1, 0.2),
    "unlike": (0.3, 0.5, 0.7, 1e9),
}
THRESHOLDS = np.geomspace(1e-2, 1, 100)


@dataclass(frozen=True)
class Parts:
    """What the grouping needs of a photo.

    means, mass, colors : mean features (m, 3), areas (m,) and mean colours (m, 3) of the soft segments.
    owners : (h, w), of each pixel its largest segment.
    features, pixels : (h, w, 3).
    """

    means: np.ndarray
    mass: np.ndarray
    colors: np.ndarray
    owners: np.ndarray
    features: np.ndarray
    pixels: np.ndarray

    def borders(self, boundaries: np.ndarray, reach: float) -> Borders:
        """As `segment_tree` has them."""
        far = max(1, round(reach * max(self.owners.shape)))
        return Borders.between(self.owners.astype(np.intp), len(self.mass), self.pixels, self.features, far, boundaries)

    def tree(self, borders: Borders, settings: GroupingSettings) -> MergeTree:
        """As `segment_tree`; the borders are left as they are."""
        own = borders.among(list(range(len(self.mass))))
        return merge_tree(self.means, seen_areas(self.mass, self.owners), self.colors, own, settings)


def main() -> None:
    """Decompose, score, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--boundaries", type=Path, required=True, help="weights that have not seen the even photos")
    parser.add_argument("--kept", type=Path, required=True, help="folder of what is kept of each photo")
    parser.add_argument("--every", type=int, default=2, help="an even number")
    arguments = parser.parse_args()
    photos, used = Bsds(arguments.folder), GroupingSettings()
    arguments.kept.mkdir(parents=True, exist_ok=True)
    grid: dict[str, list[Sums]] = {}
    ends: list[list[int]] = []  # of each photo the number of layers at each threshold
    chosen = range(0, len(photos.names), arguments.every)
    for i in chosen:
        parts = kept_parts(arguments.kept, photos, i, arguments.boundaries)
        tables, present = [contingency(parts.owners, p) for p in photos.annotations(i)], np.unique(parts.owners)
        boundaries = boundary_map(parts.pixels, path=arguments.boundaries)
        seen: dict[float, Borders] = {}
        for way, settings in ways(used).items():
            if settings.reach not in seen:
                seen[settings.reach] = parts.borders(boundaries, settings.reach)
            tree = parts.tree(seen[settings.reach], settings)
            grid.setdefault(way, []).append(curve(tables, cuts(tree, present), len(parts.mass)))
            if settings == used and way == "as it is":
                most = min(used.automatic_most, len(parts.mass))
                ends.append([min(max(2, tree.clusters_apart(cost)), most) for cost in THRESHOLDS])
        print(f"{len(ends)}/{len(chosen)} {photos.names[i]}", flush=True)
    results = {way: summary(values) for way, values in grid.items()}
    auto = automatic(grid["as it is"], ends)
    contents = {"machine": machine(), "every": arguments.every, "grid": results, "auto": auto}
    for way, row in results.items():
        print(f"{way:<28} ODS {row['ods']:.4f} ({row['layers']} layers)  OIS {row['ois']:.4f}")
    print(f"best threshold for auto: {auto['best']}")
    arguments.output.write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")


def ways(used: GroupingSettings) -> dict[str, GroupingSettings]:
    """The settings as they are, and with one number changed."""
    changed = {
        f"{name} {value:g}": replace(used, **{name: value}) for name, values in CANDIDATES.items() for value in values
    }
    return {"as it is": used} | changed


def kept_parts(folder: Path, photos: Bsds, i: int, weights: Path) -> Parts:
    """From a file, which is made first where there is none for these settings and weights."""
    settings = Settings.for_solver("fast")
    decisive = json.dumps([asdict(settings.spectrum), asdict(settings.constrained), model_digest("embedded")]).encode()
    path = folder / f"{photos.names[i]}-{sha256(decisive + weights.read_bytes()).hexdigest()[:12]}.npz"
    if not path.exists():
        photo = Prepared.of(photos.load(i).image / 255.0, weights)
        pixels, features = photo.image, photo.features
        segments = photo.segments(photo.start(settings.constrained), settings.constrained)
        means, mass = mean_values(segments, features.reshape(-1, 3))
        colors, _ = mean_values(segments, pixels.reshape(-1, 3))
        owners = segments.argmax(axis=0).reshape(pixels.shape[:2]).astype(np.int16)
        values = vars(Parts(means, mass, colors, owners, features.astype(np.float32), pixels.astype(np.float32)))
        write_atomically(path, lambda file: np.savez_compressed(file, **values))
    with np.load(path) as kept:
        found = Parts(**kept)
    return replace(found, features=found.features.astype(float), pixels=found.pixels.astype(float))


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
