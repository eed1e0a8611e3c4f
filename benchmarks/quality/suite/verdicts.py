"""What must hold, computed from the JSON files: met, not met, or not measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from benchmarks.quality.suite.files import Files
from benchmarks.quality.suite.options import rows_of
from softseg.evaluation.parallel import FAILURE

LAYERS = "12"  # of the comparison on alphas
TOLERANCE = 2  # pixels, of the comparison on boundaries


class Verdict(NamedTuple):
    """A statement, what it asks for, what was measured, and on how many photos."""

    statement: str
    target: str
    measured: str
    photos: str
    verdict: str


class MissingError(Exception):
    """A number that a statement needs was not measured; the text says which."""


def verdicts(files: Files) -> list[Verdict]:
    """Every statement, in the order of the documentation."""
    return [_verdict(statement, files) for statement in STATEMENTS]


def photos_scored(contents: Mapping[str, Any]) -> str:
    """Such as "14", or "13 of 14" where some failed."""
    rows = rows_of(contents)
    good = sum(not row.get(FAILURE) for row in rows)
    return str(good) if good == len(rows) else f"{good} of {len(rows)}"


class _Found(NamedTuple):
    measured: str
    met: bool | None  # None: there is no target


class _Statement(NamedTuple):
    text: str
    file: str
    target: str
    find: Callable[[Mapping[str, Any]], _Found]


def _verdict(statement: _Statement, files: Files) -> Verdict:
    contents = files.get(statement.file)
    try:
        if contents is None:
            raise MissingError(f"no {statement.file}.json")
        found = statement.find(contents)
    except MissingError as missing:
        photos = "-" if contents is None else photos_scored(contents)
        return Verdict(statement.text, statement.target, str(missing), photos, "not measured")
    word = {None: "reported", True: "**met**", False: "**not met**"}[found.met]
    photos = photos_scored(contents)
    if found.met and " of " in photos:  # those that failed may be the hard ones
        word += ", but for photos that failed"
    return Verdict(statement.text, statement.target, found.measured, photos, word)


def _alpha_ratio(other: str, met: Callable[[float], bool]) -> Callable[[Mapping[str, Any]], _Found]:
    def find(contents: Mapping[str, Any]) -> _Found:
        ours, theirs = (mean_mse(contents, method, LAYERS) for method in ("softseg", other))
        return _Found(f"{ours:.4f} / {theirs:.4f} = {_ratio(ours, theirs):.2f}", met(_ratio(ours, theirs)))

    return find


def mean_mse(contents: Mapping[str, Any], method: str, layers: str) -> float:
    """Over the whole photos, of the best union."""
    try:
        return float(contents["mean"][method][layers]["whole"]["mse"])
    except KeyError:
        raise MissingError(f"{method} with {layers} layers was left out, or failed") from None


def _covering(way: str, scale: str, least: float | None) -> Callable[[Mapping[str, Any]], _Found]:
    def find(contents: Mapping[str, Any]) -> _Found:
        if way not in contents["summary"]:
            raise MissingError("every photo failed")
        best = contents["summary"][way]["covering"]
        layers = f" at {best['layers']} layers" if scale == "ods" else ""
        return _Found(f"{best[scale]:.3f}{layers}", None if least is None else best[scale] >= least)

    return find


def _recall(contents: Mapping[str, Any]) -> _Found:
    """The smallest ratio counts: the statement names no number of layers, so it must hold for each.

    A precision above all of the clusters' is better than any ratio; one below all of theirs cannot be compared.
    """
    rows = compared(contents, TOLERANCE)
    ratios = [row["ratio"] for row in rows if row["ratio"] is not None]
    if not ratios:
        places = ", ".join(f"{row['layers']} layers: {row['place']}" for row in rows)
        raise MissingError(f"no point of equal precision ({places or 'every photo failed'})")
    each = ", ".join(f"{row['layers']} layers: {ratio_of(row)}" for row in rows)
    comparable = all(row["ratio"] is not None or row["place"] == "above" for row in rows)
    return _Found(f"{min(ratios):.2f} ({each})", min(ratios) >= 1.3 and comparable)


def compared(contents: Mapping[str, Any], tolerance: float) -> list[Mapping[str, Any]]:
    """For each number of layers the comparison with the hard segmentation within so many pixels."""
    return next((at["comparison"] for at in contents["tolerances"] if at["pixels"] == tolerance), [])


def ratio_of(row: Mapping[str, Any]) -> str:
    """Of the recalls at equal precision; in a word where there is none."""
    return row["place"] if row["ratio"] is None else f"{row['ratio']:.2f}"


def _regret(way: str) -> Callable[[Mapping[str, Any]], _Found]:
    def find(contents: Mapping[str, Any]) -> _Found:
        if not contents["chosen"]:
            raise MissingError("every photo failed")
        chosen = contents["chosen"][way]
        return _Found(
            f"{chosen['gain_over_ods']:+.3f} against ODS, {-chosen['regret_to_ois']:+.3f} against OIS "
            f"(mean of {chosen['mean_layers']:.1f} layers)",
            None,
        )

    return find


def _alpha_regret(contents: Mapping[str, Any]) -> _Found:
    chosen = mean_mse(contents, "softseg", "auto")
    fixed = {count: mean_mse(contents, "softseg", count) for count in contents["mean"]["softseg"] if count != "auto"}
    best = min(fixed, key=fixed.__getitem__)
    return _Found(f"{chosen:.4f} / {fixed[best]:.4f} (at {best} layers) = {_ratio(chosen, fixed[best]):.2f}", None)


def _ratio(ours: float, theirs: float) -> float:
    return ours / theirs if theirs else (1.0 if ours == 0 else float("inf"))


def _statements() -> Iterator[_Statement]:
    yield _Statement(
        "alpha: mean MSE of the best union of 12 layers, over that of 12 components of Spectral Matting",
        "alpha",
        "≤ 0.5",
        _alpha_ratio("spectral_matting", lambda ratio: ratio <= 0.5),
    )
    yield _Statement(
        "alpha: the same, over that of 12 clusters of the features",
        "alpha",
        "< 1",
        _alpha_ratio("feature_clusters", lambda ratio: ratio < 1),
    )
    for way, text in (("layers", "layers as they are"), ("layers_connected", "connected parts of layers")):
        decides = way == "layers"  # the other is shown beside it
        for scale, least in (("ods", 0.60), ("ois", 0.66)):
            yield _Statement(
                f"regions: covering {scale.upper()}, {text}",
                "regions",
                f"≥ {least:.2f}" if decides else "-",
                _covering(way, scale, least if decides else None),
            )
    yield _Statement(
        "boundaries: recall within 2 px over that of clusters of the features at equal precision, smallest",
        "boundaries",
        "≥ 1.3",
        _recall,
    )
    yield _Statement("auto: covering against the best number, layers as they are", "regions", "-", _regret("layers"))
    yield _Statement("auto: mean MSE over that of the best fixed number of layers", "alpha", "-", _alpha_regret)


STATEMENTS = tuple(_statements())
