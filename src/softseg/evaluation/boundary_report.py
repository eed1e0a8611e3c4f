"""Precision and recall of boundaries over a data set, and recall compared where the precision is the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from softseg.evaluation.boundary_errors import BoundaryCounts
from softseg.evaluation.parallel import Report

Curve = Sequence[BoundaryCounts]  # one for each number of layers, in rising order


@dataclass(frozen=True)
class BoundaryReport(Report):
    """All photos, in the order of the data.

    counts : the numbers of layers of each way.
    tolerances : in pixels.
    photos : for each its "name", and `BoundaryCounts` as dictionaries, one for each tolerance: under "ways" for each
        way and number of layers, under "people" those of people against each other; or under "failure" why there are
        none.
    """

    counts: Mapping[str, Sequence[int]]
    tolerances: Sequence[float]

    def curve(self, way: str, tolerance: float) -> list[BoundaryCounts]:
        """The pixels of all photos for each number of layers."""
        t = self.tolerances.index(tolerance)
        numbers = range(len(self.counts[way])) if self.scored else range(0)
        return [total(photo["ways"][way][k][t] for photo in self.scored) for k in numbers]

    def people(self, tolerance: float) -> BoundaryCounts:
        """Each person against the others."""
        t = self.tolerances.index(tolerance)
        return total(photo["people"][t] for photo in self.scored if photo["people"])

    def comparison(
        self, tolerance: float, ours: str = "layers", other: str = "feature_clusters"
    ) -> list[dict[str, Any]]:
        """For each of our numbers of layers: our recall over the other's at our precision.

        "ratio" is None where the other's curve has no point of our precision: it is "above" or "below" all of the
        curve, and nothing is extrapolated; or where it finds nothing at that precision: "alone". "nearest" is the point
        of the curve whose precision is nearest to ours.
        """
        curve = self.curve(other, tolerance)
        rows = []
        for layers, counts in zip(self.counts[ours], self.curve(ours, tolerance), strict=False):
            recall = recall_at(counts.precision, curve)
            row = {"layers": layers, **_shares(counts), "other_recall": recall, "ratio": None, "place": "within"}
            if recall:
                row["ratio"] = counts.recall / recall
            elif recall == 0:
                row["place"] = "alone"
            else:
                known = [point.precision for point in curve if not math.isnan(point.precision)]
                row["place"] = _place(counts.precision, known)
            rows.append(row | {"nearest": self._nearest(counts.precision, curve, other)})
        return rows

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file: NaN, of nothing, becomes None."""
        return {
            "model": self.model,
            "model_digest": self.digest,
            "settings": dict(self.settings),
            "photos_scored": len(self.scored),
            "layers": {way: list(counts) for way, counts in self.counts.items()},
            "tolerances": [
                {
                    "pixels": tolerance,
                    "people": _shares(self.people(tolerance)),
                    "ways": {way: [_shares(counts) for counts in self.curve(way, tolerance)] for way in self.counts},
                    "comparison": self.comparison(tolerance),
                }
                for tolerance in self.tolerances
            ],
            "photos": [{k: v for k, v in photo.items() if k != "traceback"} for photo in self.photos],
        }

    def _nearest(self, precision: float, curve: Curve, way: str) -> dict[str, Any] | None:
        points = [(abs(point.precision - precision), k) for k, point in enumerate(curve)]
        known = [point for point in points if not math.isnan(point[0])]
        if not known:
            return None
        _, k = min(known)
        return {"layers": self.counts[way][k], **_shares(curve[k])}


def total(counts: Iterable[Mapping[str, int]]) -> BoundaryCounts:
    """The pixels of several photos added up."""
    return sum((BoundaryCounts(**one) for one in counts), BoundaryCounts())


def recall_at(precision: float, curve: Curve) -> float | None:
    """The recall at which a curve has this precision; None where it never has.

    Between neighbours in the curve, precision and recall are taken to change together on a straight line. Where the
    curve has that precision more than once, its largest recall counts: the comparison is with the best it can do.

    Examples
    --------
    >>> curve = [BoundaryCounts(9, 10, 10, 100), BoundaryCounts(7, 10, 30, 100)]
    >>> round(recall_at(0.8, curve), 3), recall_at(0.95, curve)
    (0.2, None)
    """
    points = [(point.precision, point.recall) for point in curve if not math.isnan(point.precision + point.recall)]
    found = [recall for known, recall in points if known == precision]
    for (p, r), (q, s) in pairwise(points):
        if min(p, q) < precision < max(p, q):
            found.append(r + (s - r) * (precision - p) / (q - p))
    return max(found, default=None)


def _place(precision: float, known: Sequence[float]) -> str:
    if math.isnan(precision) or not known:
        return "nowhere"
    return "above" if precision > max(known) else "below"


def _shares(counts: BoundaryCounts) -> dict[str, float | None]:
    shares = {"precision": counts.precision, "recall": counts.recall, "f_measure": counts.f_measure}
    return {name: None if math.isnan(share) else round(share, 4) for name, share in shares.items()}
