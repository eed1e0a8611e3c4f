"""How exactly layers follow a true alpha: the errors of their best union, for each method and number of layers.

The union is chosen among all subsets of the layers to be nearest to the truth over the whole photo, and judged there
and in the region that the trimap leaves unknown.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from softseg.devices import resolve_device
from softseg.errors import InputError
from softseg.evaluation.alpha_errors import alpha_errors
from softseg.evaluation.alpha_photos import AlphaPhoto, AlphaPhotos
from softseg.evaluation.alpha_report import AlphaReport, Scores
from softseg.evaluation.drawn import attempt
from softseg.evaluation.methods import Count, Subject, check_method, subject_of, take_apart
from softseg.evaluation.parallel import Kept, in_order
from softseg.evaluation.sheet import draw_sheet, png_bytes
from softseg.evaluation.union import MOST, best_union
from softseg.features import model_digest
from softseg.settings import DeviceName, Solver

COUNTS: tuple[Count, ...] = (5, 8, 12, "auto")


def evaluate_alpha(
    photos: AlphaPhotos,
    methods: Sequence[str] = ("softseg", "spectral_matting", "feature_clusters"),
    counts: Sequence[Count] = COUNTS,
    *,
    model: str = "embedded",
    device: DeviceName = "auto",
    seed: int = 0,
    spectral_solver: Solver = "exact",
    jobs: int = 1,
    kept: Path | None = None,
    pictures: bool = False,
    tell: Callable[[Mapping[str, Any]], object] | None = None,
) -> AlphaReport:
    """Score methods on every photo with a true alpha.

    Parameters
    ----------
    photos : the data.
    methods : names in `softseg.evaluation.methods.METHODS`.
    counts : numbers of layers, 2 to 12, or "auto", which is left out for methods that do not choose.
    model : of the features, a name for `softseg.features.extract`; all methods share them.
    spectral_solver : of Spectral Matting's eigenvectors: as published, or by the coarse space of our fast route.
    jobs : processes that work at the same time.
    kept : folder for the results of single photos, which a later run with the same data and settings takes up.
    pictures : draw truth and unions of each photo.
    tell : is called with each photo's result once it is there.

    Returns
    -------
    AlphaReport : a photo that cannot be read, or on which a method fails, has its failure in place of scores.

    Raises
    ------
    InputError : there is no such method, or a number of layers is not 2 to 12 or "auto".
    ModelError, DeviceError : the model or the device is not there.
    OutputError : results cannot be kept there.

    Examples
    --------
    >>> report = evaluate_alpha(AlphaPhotos(Path("alphamatting")), counts=[12])  # doctest: +SKIP
    >>> report.mean["softseg"]["12"]["whole"]["mse"]  # doctest: +SKIP
    """
    _check(methods, counts, jobs)
    where = str(resolve_device(device))
    digest = model_digest(model)
    settings = {
        "methods": list(methods),
        "layers": list(counts),
        "seed": seed,
        "device": where,
        "spectral_solver": spectral_solver,
    }
    files = [photos.files(i) for i in range(len(photos.names))]
    decisive = settings | {"model_digest": digest, "pictures": pictures, "measure": "alpha"}
    keep = None if kept is None else Kept(kept, photos.names, decisive, files)
    task = _Task(photos, tuple(methods), tuple(counts), model, device, seed, spectral_solver, pictures)
    return AlphaReport(model, digest, settings, in_order(task, len(photos.names), jobs, keep, tell))


def score_alpha(
    layers: np.ndarray, alpha: np.ndarray, unknown: np.ndarray | None = None
) -> tuple[dict[str, Any], np.ndarray]:
    """The errors of the best union of layers.

    Parameters
    ----------
    layers : (K, h, w) floats in [0, 1], K at most 12.
    alpha : (h, w) floats in [0, 1], the truth.
    unknown : (h, w) booleans, the region in which the errors are taken as well.

    Returns
    -------
    score : "layers" (K), "subset" (indices), and "whole" and, with `unknown`, "unknown": each the four errors by name.
    union : (h, w) the best union.

    Raises
    ------
    InputError : more than 12 layers, or arrays that do not belong together.

    Examples
    --------
    >>> truth = np.eye(4)
    >>> score, _ = score_alpha(np.stack([truth * 0.5, 1 - truth, truth * 0.5]), truth)
    >>> score["subset"], score["whole"]["mse"]
    ([0, 2], 0.0)
    """
    subset, union = best_union(layers, alpha)
    score: dict[str, Any] = {"layers": len(layers), "subset": list(subset), "whole": asdict(alpha_errors(union, alpha))}
    if unknown is not None:
        score["unknown"] = asdict(alpha_errors(union, alpha, unknown))
    return score, union


@dataclass(frozen=True)
class _Task:
    """What a process needs in order to score photo `i`."""

    photos: AlphaPhotos
    methods: tuple[str, ...]
    counts: tuple[Count, ...]
    model: str
    device: DeviceName
    seed: int
    spectral_solver: Solver
    pictures: bool

    def __call__(self, i: int) -> dict[str, Any]:
        return attempt(self.photos.names[i], lambda: self._result(i))

    def _result(self, i: int) -> dict[str, Any]:
        sample = self.photos.load(i)
        subject = subject_of(sample.photo, self.model, seed=self.seed, device=self.device)
        scores, unions, seconds = self._scores(sample, replace(subject, spectral_solver=self.spectral_solver))
        result: dict[str, Any] = {"methods": scores, "seconds": seconds}
        if self.pictures:
            result["picture"] = base64.b64encode(png_bytes(draw_sheet(_cells(sample, scores, unions)))).decode()
        return result

    def _scores(
        self, sample: AlphaPhoto, subject: Subject
    ) -> tuple[Scores, dict[str, dict[str, np.ndarray]], dict[str, float]]:
        """Scores and unions by method and number of layers, and the seconds that each method took."""
        scores: Scores = {}
        unions: dict[str, dict[str, np.ndarray]] = {}
        seconds: dict[str, float] = {}
        for method in self.methods:
            counts = [count for count in self.counts if count != "auto" or check_method(method).chooses]
            if not counts:
                continue
            begun = time.monotonic()
            parts = take_apart(method, subject)
            both = {str(count): score_alpha(parts.layers(count), sample.alpha, sample.unknown) for count in counts}
            scores[method] = {count: score for count, (score, _) in both.items()}
            unions[method] = {count: union for count, (_, union) in both.items()}
            seconds[method] = round(time.monotonic() - begun, 2)
        return scores, unions, seconds


def _cells(
    sample: AlphaPhoto, scores: Scores, unions: Mapping[str, Mapping[str, np.ndarray]]
) -> list[list[tuple[str, np.ndarray]]]:
    """For each number of layers a row: photo, truth, and the union of each method with its errors."""
    rows = []
    for count in dict.fromkeys(count for counts in unions.values() for count in counts):
        row = [("photo", sample.photo.pixels), (f"truth; layers: {count}", sample.alpha)]
        for method, counts in unions.items():
            if count in counts:
                mse = scores[method][count]["whole"]["mse"]
                row.append((f"{method}, MSE {mse:.4f}", counts[count]))
        rows.append(row)
    return rows


def _check(methods: Sequence[str], counts: Sequence[Count], jobs: int) -> None:
    for method in methods:
        check_method(method)
    for count in counts:
        if count != "auto" and not (isinstance(count, int) and 2 <= count <= MOST):
            raise InputError(
                f"{count!r} layers were asked for; as all unions of layers are tried, ask for 2 to {MOST}, or 'auto'"
            )
    if not methods or not counts or jobs < 1:
        raise InputError(
            f"{len(methods)} methods, {len(counts)} numbers of layers and {jobs} jobs were asked for; ask for at least "
            "one of each"
        )
