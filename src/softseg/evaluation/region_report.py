"""The errors of regions over a data set: the best number of layers for all photos, and for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from softseg.evaluation.parallel import FAILURE, Report
from softseg.evaluation.region_errors import RegionErrors

MEASURES: Mapping[str, Callable[[Iterable[float]], float]] = {  # and how the best of several values is found
    "covering": max,
    "rand_index": max,
    "information": min,
}

Errors = Mapping[str, float]  # a RegionErrors, as JSON can hold it


@dataclass(frozen=True)
class RegionReport(Report):
    """All photos, in the order of the data.

    counts : for each way the numbers of its layers.
    photos : for each its "name", the number of its "soft_segments" and its errors: under "ways" for each way and number
        of layers, under "people" those of people against each other (None for one person), under "chosen" those at the
        number of "layers" that was chosen automatically; or under "failure" why there are none.
    """

    counts: Mapping[str, Sequence[int]]

    @property
    def curves(self) -> dict[str, list[RegionErrors]]:
        """way -> errors over all photos for each number of layers."""
        if not self.scored:
            return {}
        return {
            way: [pooled(photo["ways"][way][k] for photo in self.scored) for k in range(len(counts))]
            for way, counts in self.counts.items()
        }

    @property
    def summary(self) -> dict[str, dict[str, dict[str, float]]]:
        """way -> measure -> "ods", the number of "layers" it is reached with, and "ois"."""
        return {
            way: {
                measure: {
                    **self._best(way, curve, measure, "ods"),
                    "ois": getattr(pooled(self._best_errors(p["ways"][way], measure) for p in self.scored), measure),
                }
                for measure in MEASURES
            }
            for way, curve in self.curves.items()
        }

    @property
    def people(self) -> dict[str, float] | None:
        """Each person against the others, by measure; None where all photos have one person only."""
        found = [photo["people"] for photo in self.scored if photo["people"]]
        return values(pooled(found)) if found else None

    @property
    def chosen(self) -> dict[str, dict[str, float]] | None:
        """way -> covering at the numbers of layers chosen automatically, beside the best number for all and for each.

        "gain_over_ods" is positive where choosing for each photo is better than the one number that is best for all;
        "regret_to_ois" is what the best number for each would gain.
        """
        found = [photo["chosen"] for photo in self.scored]
        if not found:
            return None
        result = {}
        for way in found[0]["ways"]:
            covering, best = pooled(photo["ways"][way] for photo in found).covering, self.summary[way]["covering"]
            result[way] = {
                "mean_layers": float(np.mean([photo["layers"] for photo in found])),
                "covering": covering,
                "gain_over_ods": covering - best["ods"],
                "regret_to_ois": best["ois"] - covering,
            }
        return result

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            "model": self.model,
            "model_digest": self.digest,
            "settings": dict(self.settings),
            "photos_scored": len(self.scored),
            "summary": self.summary,
            "people": self.people,
            "chosen": self.chosen,
            "layers": {way: list(counts) for way, counts in self.counts.items()},
            "curves": {way: _columns(curve) for way, curve in self.curves.items()},
            "photos": [self._row(photo) for photo in self.photos],
        }

    def _row(self, photo: Mapping[str, Any]) -> dict[str, Any]:
        """One photo: for each way and measure the best value, the layers it takes, and all of them."""
        if photo.get(FAILURE):
            return {"name": photo["name"], FAILURE: photo[FAILURE]}
        curves = {way: [RegionErrors(**one) for one in errors] for way, errors in photo["ways"].items()}
        return {
            "name": photo["name"],
            "soft_segments": photo["soft_segments"],
            "chosen": {
                "layers": photo["chosen"]["layers"],
                "ways": {way: values(RegionErrors(**errors)) for way, errors in photo["chosen"]["ways"].items()},
            },
            "people": values(RegionErrors(**photo["people"])) if photo["people"] else None,
            "best": {
                way: {measure: self._best(way, curve, measure, "value") for measure in MEASURES}
                for way, curve in curves.items()
            },
            "curves": {way: _columns(curve) for way, curve in curves.items()},
        }

    def _best(self, way: str, curve: Sequence[RegionErrors], measure: str, name: str) -> dict[str, float]:
        """The best value, and with how many layers it is first reached."""
        column = [getattr(errors, measure) for errors in curve]
        best = MEASURES[measure](column)
        return {name: best, "layers": self.counts[way][column.index(best)]}

    def _best_errors(self, errors: Sequence[Errors], measure: str) -> Errors:
        column = [getattr(RegionErrors(**one), measure) for one in errors]
        return errors[column.index(MEASURES[measure](column))]


def pooled(errors: Iterable[Errors]) -> RegionErrors:
    """Errors of several photos as one: pixels added up, the other two measures averaged.

    Examples
    --------
    >>> one = {"covered": 10, "area": 10, "rand_index": 1, "information": 0}
    >>> two = {"covered": 10, "area": 30, "rand_index": 0.5, "information": 1}
    >>> pooled([one, two]).covering, pooled([one, two]).rand_index
    (0.5, 0.75)
    """
    found = list(errors)
    return RegionErrors(
        covered=float(sum(one["covered"] for one in found)),
        area=float(sum(one["area"] for one in found)),
        rand_index=float(np.mean([one["rand_index"] for one in found])),
        information=float(np.mean([one["information"] for one in found])),
    )


def values(errors: RegionErrors) -> dict[str, float]:
    """The three measures by name."""
    return {measure: getattr(errors, measure) for measure in MEASURES}


def _columns(curve: Sequence[RegionErrors]) -> dict[str, list[float]]:
    return {measure: [round(getattr(errors, measure), 4) for errors in curve] for measure in MEASURES}
