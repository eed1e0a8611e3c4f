"""Photos from the best to the worst, each measurement by one number of ours, and which of them to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from softseg.evaluation.boundary_errors import BoundaryCounts
from softseg.evaluation.parallel import FAILURE

FEATURES = ("features_bsds500", "features_msrc")
_PIXELS = 2  # tolerance of the boundaries that photos are ranked by


class Ranked(NamedTuple):
    """A photo: its place in the data, its name, its score, and the number of layers that belongs to the score."""

    number: int
    name: str
    score: float
    note: str


def ranked(file: str, contents: Mapping[str, Any]) -> list[Ranked]:
    """The photos that have a score, best first; of equals, in the order of the data.

    The score is: for alphas the MSE of the best union of 12 layers; for regions the covering at the photo's best number
    of layers; for boundaries F within 2 px at the number of layers that is best for all photos; for features the pair
    AUC after projection; for composites the matched error.
    """
    find, falling = _SCORES["features" if file in FEATURES else file]
    return sorted(find(contents), key=lambda photo: -photo.score if falling else photo.score)


def chosen(photos: Sequence[Ranked], worst: int) -> dict[str, Ranked]:
    """Role to photo: "worst-01" and so on, "best" and "median"; no photo twice, the worst first.

    Examples
    --------
    >>> photos = [Ranked(i, str(i), i / 10, "") for i in range(5)]
    >>> {role: photo.name for role, photo in chosen(photos, 2).items()}
    {'worst-01': '4', 'worst-02': '3', 'best': '0', 'median': '2'}
    """
    roles = {f"worst-{place:02d}": photo for place, photo in enumerate(photos[::-1][:worst], 1)}
    for role, place in (("best", 0), ("median", len(photos) // 2)):
        if photos and photos[place] not in roles.values():
            roles[role] = photos[place]
    return roles


def best_boundary_layers(contents: Mapping[str, Any], way: str = "layers") -> int:
    """The number of layers, or clusters, with the best F within 2 px over all photos."""
    at = next(at for at in contents["tolerances"] if at["pixels"] == _PIXELS)
    values = [shares["f_measure"] or 0.0 for shares in at["ways"][way]]
    return int(contents["layers"][way][values.index(max(values))]) if values else 0


def _alpha(contents: Mapping[str, Any]) -> Iterator[Ranked]:
    for i, photo in enumerate(contents["photos"]):
        score = None if photo.get(FAILURE) else _ours(photo).get("12")
        if score:
            yield Ranked(i, photo["name"], score["whole"]["mse"], str(score["layers"]))


def _regions(contents: Mapping[str, Any]) -> Iterator[Ranked]:
    for i, photo in enumerate(contents["photos"]):
        if "best" in photo:
            best = photo["best"]["layers"]["covering"]
            yield Ranked(i, photo["name"], best["value"], str(best["layers"]))


def _boundaries(contents: Mapping[str, Any]) -> Iterator[Ranked]:
    layers = best_boundary_layers(contents)
    for i, photo in enumerate(contents["photos"]):
        if "ways" in photo:
            counts = photo["ways"]["layers"][contents["layers"]["layers"].index(layers)]
            tolerances = [at["pixels"] for at in contents["tolerances"]]
            measured = BoundaryCounts(**counts[tolerances.index(_PIXELS)]).f_measure
            # no boundary at all, where people have drawn some, is the worst of all
            yield Ranked(i, photo["name"], measured if measured == measured else 0.0, str(layers))


def _features(contents: Mapping[str, Any]) -> Iterator[Ranked]:
    for i, photo in enumerate(contents["photos"]):
        area = photo.get("projected", {}).get("random")
        if area is not None:
            yield Ranked(i, photo["name"], area, "")


def _synthetic(contents: Mapping[str, Any]) -> Iterator[Ranked]:
    for i, made in enumerate(contents["composites"]):
        if "methods" in made:
            yield Ranked(i, made["name"], _ours(made)["matched"], str(made["layers"]))


def _ours(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a trial without ours, the first method."""
    methods: Mapping[str, Mapping[str, Any]] = row["methods"]
    return methods.get("softseg") or next(iter(methods.values()))


_Find = Callable[[Mapping[str, Any]], Iterator[Ranked]]
_SCORES: Mapping[str, tuple[_Find, bool]] = {  # and whether more is better
    "alpha": (_alpha, False),
    "regions": (_regions, True),
    "boundaries": (_boundaries, True),
    "features": (_features, True),
    "synthetic": (_synthetic, False),
}
