"""Where the covering of regions is lost: each stage replaced by its ideal, and the grouping taken apart.

    python -m benchmarks.quality.covering_ablation BSDS500/val -o benchmarks/quality/covering_ablation.json

For every fourth photo: the covering of what people have drawn by 2 to 20 layers, at the one number of layers that is
best for all photos (ODS) and at the best for each (OIS). A pixel belongs to the layer of its largest soft segment.

- "as it is": the pipeline's grouping. "by features alone" (Ward), "no border", ...: parts of its cost.
- "ideal grouping": merges the two groups of segments of which most pairs of pixels lie in one region, mean over people.
- "ideal layers": every segment goes to the region in which most of it lies, of that person whose regions cover best.
- "ideal features": the regions of the first person, a random colour each, in place of the network's features, for
  graph, start and grouping. These regions are a part of the truth, so this is a bound and no result.
- "exact eigenvectors": with `--exact N`, for N photos, fast and exact route on photos reduced to 0.04 megapixels.
- "people": each person's regions, against those of all others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from benchmarks.machine import machine
from softseg.evaluation.region_errors import contingency
from softseg.features import guided_filter
from softseg.pipeline import Decomposition, decompose
from softseg.segments import segment_tree
from softseg.segments.merging import MergeTree
from softseg.settings import GroupingSettings, Solver
from softseg.training.datasets import Bsds

LAYERS = range(2, 21)
GROUPINGS: Mapping[str, GroupingSettings | None] = {
    "as it is": GroupingSettings(),
    "by features alone": None,
    "area exponent 0.5": GroupingSettings(area_exponent=0.5),
    "area exponent 0": GroupingSettings(area_exponent=0),
    "nothing for joining": GroupingSettings(joining=0),
    # every border counts the same: as one of mean contrast, about 0.2
    "no border": GroupingSettings(least_contrast=1e6, apart=GroupingSettings().apart * 1e6 / 0.2),
    "reach 0.02": GroupingSettings(reach=0.02),
    # every border is drawn by as many people, about a third; the segments start from the map as ever
    "no map in the grouping": GroupingSettings(boundary_exponent=0, apart=GroupingSettings().apart * 9),
}
Sums = list[tuple[float, float]]  # covered and whole area, for each number of layers


def main() -> None:
    """Decompose, group in all the ways, score, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--exact", type=int, default=0)
    arguments = parser.parse_args()
    photos = Bsds(arguments.folder)
    chosen = range(0, len(photos.names), arguments.every)
    sums: dict[str, list[Sums]] = {}
    for number, i in enumerate(chosen):
        for way, values in ways(photos, i, exact=number < arguments.exact):
            sums.setdefault(way, []).append(values)
        print(f"{number + 1}/{len(chosen)} {photos.names[i]}", flush=True)
    results = {way: summary(values) for way, values in sums.items()}
    for way, row in results.items():
        print(f"{way:<32} ODS {row['ods']:.3f} ({row['layers']} layers)  OIS {row['ois']:.3f}  {row['photos']} photos")
    contents = {"machine": machine(), "every": arguments.every, "results": results}
    arguments.output.write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")


def ways(photos: Bsds, i: int, *, exact: bool) -> Iterator[tuple[str, Sums]]:
    """Every way of making layers of photo `i`, with its covering at each number of layers."""
    image, people = photos.load(i).image, photos.annotations(i)
    parts = decompose(image)
    owners = parts.segments.argmax(axis=0).reshape(image.shape[:2])
    tables = [contingency(owners, person) for person in people]
    present = np.unique(owners)  # contingency leaves out segments that are nowhere the largest
    for way, settings in GROUPINGS.items():
        seen = {} if settings is None else {"image": parts.photo.pixels, "boundaries": parts.boundaries}
        tree = segment_tree(parts.segments, parts.features, settings=settings, **seen)
        yield way, curve(tables, cuts(tree, present), len(parts.segments))
    yield "ideal grouping", curve(tables, lambda count: together(tables, count), len(present))
    best = max((covered(tables, table.argmax(axis=1)) for table in tables), key=lambda sums: sums[0] / sums[1])
    yield "ideal layers", [best] * len(LAYERS)
    yield "ideal features", of_parts(decompose(image, features=ideal_features(image, people[0])), people)
    against = [covered([contingency(a, b) for b in people if b is not a], np.arange(a.size)) for a in people]
    yield "people", [tuple(np.sum(against, axis=0))] * len(LAYERS)
    if exact:
        for solver in get_args(Solver):
            small = Image.fromarray(image).resize((245, 163) if image.shape[1] > image.shape[0] else (163, 245))
            fewer = [np.asarray(Image.fromarray(p.astype(np.int32)).resize(small.size, 0)) for p in people]
            yield f"reduced, {solver} route", of_parts(decompose(small, solver=solver), fewer)


def of_parts(parts: Decomposition, people: Sequence[np.ndarray]) -> Sums:
    """The pipeline's own grouping of a photo taken apart."""
    owners = parts.segments.argmax(axis=0).reshape(parts.features.shape[:2])
    tables, present = [contingency(owners, person) for person in people], np.unique(owners)
    return curve(tables, cuts(parts.tree, present), len(parts.segments))


def cuts(tree: MergeTree, present: np.ndarray) -> Callable[[int], np.ndarray]:
    """The layer of each row of the tables, for a number of layers."""
    return lambda count: tree.cut(count)[present]


def curve(tables: Sequence[np.ndarray], groups: Callable[[int], np.ndarray], most: int) -> Sums:
    """The covering for each number of layers; `groups` gives the layer of each row of the tables."""
    return [covered(tables, groups(min(count, most))) for count in LAYERS]


def covered(tables: Sequence[np.ndarray], groups: np.ndarray) -> tuple[float, float]:
    """Sums above and below the fraction line of the covering, with the rows of the tables added up by group."""
    above = below = 0.0
    for table in tables:
        members = np.unique(groups[: len(table)], return_inverse=True)[1]
        merged = np.zeros((members.max() + 1, table.shape[1]))
        np.add.at(merged, members, table)
        areas = merged.sum(axis=0)
        union = areas + merged.sum(axis=1)[:, None] - merged
        above += float((areas * (merged / union).max(axis=0)).sum())
        below += float(areas.sum())
    return above, below


def together(tables: Sequence[np.ndarray], count: int) -> np.ndarray:
    """(m,) groups of the rows: merge the two of which most pairs of pixels lie in one region, mean over people."""
    tables = [np.asarray(table, dtype=float).copy() for table in tables]
    groups, alive = np.arange(len(tables[0])), list(range(len(tables[0])))
    while len(alive) > count:
        shares = [table[alive] / table[alive].sum(axis=1, keepdims=True) for table in tables]
        same = np.mean([share @ share.T for share in shares], axis=0)
        same[np.tril_indices(len(alive))] = -1
        a, b = divmod(int(same.argmax()), len(alive))
        kept, gone = alive[a], alive[b]
        for table in tables:
            table[kept] += table[gone]
        groups[groups == gone] = kept
        alive.remove(gone)
    return groups


def ideal_features(image: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """(h, w, 3): a random colour for every region, filtered along the photo's edges as features are."""
    index = np.unique(regions, return_inverse=True)[1].reshape(regions.shape)
    colors = np.random.default_rng(0).random((index.max() + 1, 3))
    return np.asarray(guided_filter(image / 255, colors[index]).clip(0, 1))


def summary(photos: Sequence[Sums]) -> dict[str, float]:
    """ODS with its number of layers, and OIS: sums over photos are divided last, as the BSDS 500 benchmark does."""
    sums = np.array(photos)  # (photos, layers, 2)
    fixed = sums[..., 0].sum(axis=0) / sums[..., 1].sum(axis=0)
    best = (sums[..., 0] / sums[..., 1]).argmax(axis=1)
    picked = sums[np.arange(len(sums)), best].sum(axis=0)
    row = {"ods": float(fixed.max()), "layers": LAYERS[int(fixed.argmax())], "ois": float(picked[0] / picked[1])}
    return row | {"photos": len(sums)}


if __name__ == "__main__":
    main()
