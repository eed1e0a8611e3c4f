"""The report on alpha accuracy: every photo, and the means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from softseg.evaluation.alpha_errors import AlphaErrors
from softseg.evaluation.parallel import Report

ERRORS = tuple(field.name for field in fields(AlphaErrors))
REGIONS = ("whole", "unknown")

Scores = dict[str, dict[str, dict[str, Any]]]  # method -> number of layers asked for -> what `score_alpha` says


@dataclass(frozen=True)
class AlphaReport(Report):
    """All photos, in the order of the data.

    photos : for each its name, and under "methods" its scores and under "seconds" the time each method took, or under
        "failure" why there are none; "picture" is a PNG file in base64, where pictures were asked for.
    """

    @property
    def mean(self) -> Scores:
        """Of every error over the photos that have it, and of the number of layers there were."""
        scored: list[Scores] = [photo["methods"] for photo in self.scored]
        first: Scores = scored[0] if scored else {}
        return {
            method: {count: _mean([scores[method][count] for scores in scored]) for count in counts}
            for method, counts in first.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file, without the pictures."""
        hidden = ("picture", "traceback")
        return {
            "model": self.model,
            "model_digest": self.digest,
            "settings": dict(self.settings),
            "mean": self.mean,
            "photos": [{key: value for key, value in photo.items() if key not in hidden} for photo in self.photos],
        }


def _mean(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`layers` and, for each region that some photo has, each error."""
    result: dict[str, Any] = {"layers": float(np.mean([score["layers"] for score in scores]))}
    for region in REGIONS:
        known = [score[region] for score in scores if region in score]
        if known:
            result[region] = {error: float(np.mean([values[error] for values in known])) for error in ERRORS}
    return result
