"""alpha.json: every method measured by itself, side by side, each with the record of its run.

Spectral Matting takes the better part of an hour and ours minutes, so that a method can be measured again while the
others keep their numbers. What is compared must be of the same photos.
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.quality.suite.options import METHODS, MODEL, Measured, Options, Tell, rounded
from benchmarks.quality.suite.pictures import load_pictures, store_pictures
from softseg.errors import InputError
from softseg.evaluation import evaluate_alpha
from softseg.evaluation import machine as this_machine
from softseg.evaluation.alpha_report import AlphaReport
from softseg.evaluation.methods import Count
from softseg.evaluation.parallel import FAILURE

LAYERS: tuple[Count, ...] = (5, 8, 12, "auto")  # "auto" is left out for methods that do not choose
FILE = "alpha.json"

Contents = Mapping[str, Any]
_Column = Mapping[str, Mapping[str, Any]]  # photo -> its "methods" entry under "scores", or "failure"


def measure_alpha(photos: Any, options: Options, tell: Tell) -> Measured:
    """How exactly layers follow true alphas: each method in `options`, beside what the file in its folder holds.

    Raises
    ------
    InputError : the file holds other methods, measured on other photos.
    """
    known = read(options.output)
    _check_photos(set(photos.names), known, options.methods)  # before the long work
    reports = []
    for method in options.methods:
        told: Tell = _under(method, tell)
        report = evaluate_alpha(
            photos,
            [method],
            LAYERS,
            model=MODEL,
            jobs=options.jobs,
            kept=options.kept / "alpha" / method,
            pictures=True,
            tell=told,
        )
        drawn = {row["name"]: base64.b64decode(row["picture"]) for row in report.photos if "picture" in row}
        if drawn:  # else the file keeps what it has
            store_pictures(options.results / "alpha" / method, drawn)
        reports.append({"machine": this_machine(), **report.as_dict()})
    commands = [shlex.join([*options.command, "--methods", method]) for method in options.methods]
    contents = merged(known, reports, commands)
    names = [row["name"] for row in contents["photos"]]
    folders = [options.results / "alpha" / method for method in contents["runs"]]
    return Measured(contents, load_pictures(folders, names))


def merge_report(path: Path, output: Path) -> dict[str, Any]:
    """What alpha.json in `output` becomes with the methods of a report of `softseg evaluate alpha -o`.

    Raises
    ------
    InputError : it is no such report, or of other photos than the rest of alpha.json, or Spectral Matting was not run
        as published.
    """
    report = _read_report(path)
    settings = report["settings"]
    spectral = [method for method in settings["methods"] if method.startswith("spectral")]
    if spectral and settings.get("spectral_solver") != "exact":
        raise InputError(
            f"{path} has {spectral[0]} with the {settings.get('spectral_solver')} solver; the comparison is with the "
            "method as published: run it again with --spectral-solver exact"
        )
    return merged(read(output), [report], [_command(report)])


def read(folder: Path) -> Contents | None:
    """alpha.json in a folder, where it is there and knows its runs."""
    try:
        contents = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return contents if isinstance(contents, dict) and contents.get("runs") else None


def merged(known: Contents | None, reports: Sequence[Contents], commands: Sequence[str]) -> dict[str, Any]:
    """alpha.json with the methods of reports in place of what it had of them.

    Parameters
    ----------
    known : what it had.
    reports : of `evaluate_alpha`, as dictionaries, with "machine".
    commands : that make each of them again.

    Returns
    -------
    "runs", "mean" and "photos". A photo on which one method failed is a failure, because means are compared, but keeps
    what the others have.

    Raises
    ------
    InputError : they are not of the same photos.
    """
    runs: dict[str, Contents] = dict((known or {}).get("runs", {}))
    columns = {method: _known_column(known or {}, method) for method in runs}
    fresh: list[str] = []
    for report, command in zip(reports, commands, strict=True):
        for method in report["settings"]["methods"]:
            runs[method], columns[method] = _record(report, method, command), _column(report, method)
            fresh.append(method)
    names = [row["name"] for row in reports[0]["photos"]]
    for report in reports:
        _check_photos({row["name"] for row in report["photos"]}, known, fresh)
    methods = [method for method in METHODS if method in runs]
    # rounded as in the file, so that the means do not depend on which methods came from there
    rows = [rounded(_row(name, {method: columns[method][name] for method in methods})) for name in names]
    mean = AlphaReport("", "", {}, rows).mean
    return {"runs": {method: runs[method] for method in methods}, "mean": mean, "photos": rows}


def _row(name: str, cells: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": name,
        "methods": {m: cell["scores"] for m, cell in cells.items() if "scores" in cell},
    }
    failures = {method: cell[FAILURE] for method, cell in cells.items() if FAILURE in cell}
    if failures:
        reasons = list(dict.fromkeys(failures.values()))
        everywhere = len(failures) == len(cells) and len(reasons) == 1  # as of a photo that cannot be read
        row[FAILURE] = reasons[0] if everywhere else "; ".join(f"{m}: {reason}" for m, reason in failures.items())
        row["failures"] = failures
    return row


def _column(report: Contents, method: str) -> _Column:
    return {
        row["name"]: {FAILURE: row[FAILURE]} if row.get(FAILURE) else {"scores": row["methods"].get(method, {})}
        for row in report["photos"]
    }


def _known_column(known: Contents, method: str) -> _Column:
    return {
        row["name"]: {"scores": row["methods"][method]}
        if method in row["methods"]
        else {FAILURE: row["failures"][method]}
        for row in known["photos"]
    }


def _record(report: Contents, method: str, command: str) -> dict[str, Any]:
    """Of one method: where and how it was measured, and how long it took, without the features, where that is known."""
    taken = [row["seconds"][method] for row in report["photos"] if method in row.get("seconds", {})]
    return {
        "machine": report["machine"],
        "command": command,
        "model": report["model"],
        "model_digest": report["model_digest"],
        "settings": {key: value for key, value in report["settings"].items() if key != "methods"},
        "seconds": round(sum(taken), 1) if taken else None,
    }


def _check_photos(names: set[str], known: Contents | None, fresh: Sequence[str]) -> None:
    """The methods that stay must have been measured on the photos with these names."""
    stay = [method for method in (known or {}).get("runs", {}) if method not in fresh]
    before = {row["name"] for row in known["photos"]} if known else set()
    if not stay or names == before:
        return
    odd = sorted(names ^ before)
    where = "there" if odd[0] in before else "here"
    raise InputError(
        f"{FILE} holds {', '.join(stay)} on {len(before)} photos, but {', '.join(fresh)} is of {len(names)} ({odd[0]} "
        f"is only {where}): run {', '.join(stay)} again as well, on the same photos: "
        f"python -m benchmarks.quality --only alpha --methods {','.join([*fresh, *stay])}"
    )


def _read_report(path: Path) -> Contents:
    expected = "expected a report written by softseg evaluate alpha -o"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); {expected}") from None
    wanted = {"machine", "model", "model_digest", "settings", "photos"}
    settings = report.get("settings") if isinstance(report, dict) else None
    if not isinstance(settings, dict) or not wanted <= set(report) or not {"methods", "layers"} <= set(settings):
        raise InputError(f"{path} is something else; {expected}")
    if not any("methods" in row for row in report["photos"]):
        raise InputError(f"{path} has no scores, every photo failed; run it again")
    return dict(report)


def _command(report: Contents) -> str:
    """What made a report, wherever the data lay."""
    settings = report["settings"]
    options = {
        "--methods": settings["methods"],
        "--layers": settings["layers"],
        "--features": [report["model"]],
        "--seed": [settings["seed"]],
    }
    words = [word for key, values in options.items() for word in (key, ",".join(map(str, values)))]
    return shlex.join(["softseg", "evaluate", "alpha", "DATA", *words])


def _under(method: str, tell: Tell) -> Callable[[Mapping[str, Any]], object]:
    return lambda result: tell({**result, "name": f"{result['name']}, {method}"})
