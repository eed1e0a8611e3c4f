"""The tables of docs/quality.md, from the JSON files alone.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. All that is between them is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.marked import filled
from benchmarks.quality.suite.files import Files
from benchmarks.quality.suite.measurements import MEASUREMENTS
from benchmarks.quality.suite.options import METHODS
from benchmarks.quality.suite.ranking import Ranked, ranked
from benchmarks.quality.suite.verdicts import Verdict, compared, photos_scored, ratio_of, verdicts
from softseg.evaluation.parallel import FAILURE

TITLES = {
    "softseg": "ours",
    "spectral_matting": "Spectral Matting",
    "spectral_matting_grouped": "Spectral Matting, grouped",
    "feature_clusters": "clusters of features",
    "layers": "ours",
    "layers_connected": "ours, connected parts",
    "feature_clusters_connected": "clusters of features, connected parts",
    "people": "people",
}
SHOWN_LAYERS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 30, 40)  # of the curve over all of them
WORST = 10

Rows = list[list[str]]


def fill(text: str, files: Files) -> str:
    """The text with every table made anew.

    Raises
    ------
    InputError : the text asks for a table that does not exist.

    Examples
    --------
    >>> print(fill("<!-- table: alpha -->\\nold\\n<!-- end -->", {}))
    <!-- table: alpha -->
    *Not measured yet: `python -m benchmarks.quality --only alpha`.*
    <!-- end -->
    """
    return filled(text, TABLES, lambda name: table(name, files))


def table(name: str, files: Files) -> str:
    """One table as Markdown; a sentence where its file is missing."""
    wanted, make = TABLES[name]
    missing = [file for file in wanted if file not in files]
    if missing:
        part = next(one.part for one in MEASUREMENTS if one.file == missing[0])
        return f"*Not measured yet: `python -m benchmarks.quality --only {part}`.*"
    head, rows = make(files)
    caption = CAPTIONS[name](files) if name in CAPTIONS else ""
    return f"{caption}\n\n{markdown(head, rows)}" if caption else markdown(head, rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text.

    Examples
    --------
    >>> print(markdown(["", "mean"], [["ours", "0.1"]]))
    |  | mean |
    |---|---|
    | ours | 0.1 |
    """
    lines = [" | ".join(row) for row in (head, *rows)]
    return "\n".join([f"| {lines[0]} |", "|---" * len(head) + "|", *(f"| {line} |" for line in lines[1:])])


def _verdicts(files: Files) -> tuple[list[str], Rows]:
    head = ["what must hold", "target", "measured", "photos", "verdict"]
    return head, [list(verdict) for verdict in verdicts(files)]


def as_text(found: Sequence[Verdict]) -> str:
    """The verdicts for a terminal."""
    from softseg.cli.reports import table as columns

    rows = [[v.verdict.replace("*", ""), v.statement, v.target, v.photos, v.measured] for v in found]
    return columns(["verdict", "what must hold", "target", "photos", "measured"], rows, left=5)


_ERRORS = {"sad": 1, "mse": 4, "gradient": 2, "connectivity": 1}  # and how many digits are shown


def _alpha(files: Files) -> tuple[list[str], Rows]:
    mean = files["alpha"]["mean"]
    head = ["mean over the photos", "layers"]
    head += [f"{error.upper() if len(error) == 3 else error}, {r}" for r in ("whole", "unknown") for error in _ERRORS]
    rows = []
    for method in (method for method in METHODS if method in mean):
        for count, score in mean[method].items():
            asked = f"auto ({score['layers']:.1f})" if count == "auto" else count
            errors = [_number(score.get(r, {}).get(e), d) for r in ("whole", "unknown") for e, d in _ERRORS.items()]
            rows.append([TITLES[method], asked, *errors])
    return head, rows


def _alpha_photos(files: Files) -> tuple[list[str], Rows]:
    contents = files["alpha"]
    methods = [method for method in METHODS if "12" in contents["mean"].get(method, {})]
    rows = []
    for photo in contents["photos"]:
        scores = [photo.get("methods", {}).get(method, {}).get("12", {}).get("whole", {}) for method in methods]
        rows.append([photo["name"], *(_number(score.get("mse"), 4) for score in scores)])
    return ["MSE, whole photo, 12 layers", *(TITLES[method] for method in methods)], rows


def _regions(files: Files) -> tuple[list[str], Rows]:
    contents = files["regions"]
    head = [""]
    for measure in ("covering", "Rand index", "information (bits)"):
        head += [f"{measure} ODS", "at layers", "OIS"]
    rows = []
    for way, measures in contents["summary"].items():
        cells = ([_number(m["ods"]), str(m["layers"]), _number(m["ois"])] for m in measures.values())
        rows.append([TITLES[way], *(cell for three in cells for cell in three)])
    if contents["people"]:
        rows.append(["people", *(cell for value in contents["people"].values() for cell in (_number(value), "-", "-"))])
    return head, rows


def _regions_by_layers(files: Files) -> tuple[list[str], Rows]:
    contents = files["regions"]
    shown = [count for count in contents["layers"]["layers"] if count in SHOWN_LAYERS]
    rows = []
    for way, curve in contents["curves"].items():
        covering = dict(zip(contents["layers"][way], curve["covering"], strict=True))
        rows.append([TITLES[way], *(_number(covering.get(count)) for count in shown)])
    return ["covering with so many layers", *map(str, shown)], rows


def _auto(files: Files) -> tuple[list[str], Rows]:
    head = ["number of layers chosen for each photo", "mean layers", "covering", "more than ODS by", "less than OIS by"]
    chosen = files["regions"]["chosen"] or {}
    rows = [
        [
            TITLES[way],
            f"{one['mean_layers']:.1f}",
            *(_number(one[key]) for key in ("covering", "gain_over_ods", "regret_to_ois")),
        ]
        for way, one in chosen.items()
    ]
    return head, rows or [["not measured", *["-"] * 4]]


def _boundaries(files: Files) -> tuple[list[str], Rows]:
    contents = files["boundaries"]
    head = ["", "layers"]
    for at in contents["tolerances"]:
        head += [f"precision, {at['pixels']} px", "recall", "F"]
    rows = []
    for way, counts in contents["layers"].items():
        curves = [at["ways"][way] for at in contents["tolerances"]]
        rows += [[TITLES[way], str(count), *_shares(column)] for count, *column in zip(counts, *curves, strict=True)]
    return head, [*rows, ["people", "-", *_shares([at["people"] for at in contents["tolerances"]])]]


def _taken(files: Files) -> str:
    """Which photos the boundaries are of, where it is not all."""
    contents = files["boundaries"]
    every = contents["settings"]["every"]
    return "" if every == 1 else f"Of every {_ordinal(every)} photo by name, {photos_scored(contents)} photos:"


def _ordinal(number: int) -> str:
    """2nd, 3rd, 11th."""
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _boundaries_compared(files: Files) -> tuple[list[str], Rows]:
    contents = files["boundaries"]
    pixels = [at["pixels"] for at in contents["tolerances"]]
    columns = [compared(contents, tolerance) for tolerance in pixels]
    rows = [[str(row[0]["layers"]), *(ratio_of(one) for one in row)] for row in zip(*columns, strict=True)]
    return ["our layers", *(f"recall ratio, {tolerance} px" for tolerance in pixels)], rows


def _features(files: Files) -> tuple[list[str], Rows]:
    ways = {"colors": "colours", "raw": "raw, 64-D", "projected": "projected, 3-D", "people": "people"}
    rows = []
    for file, name in (("features_bsds500", "BSDS 500 val"), ("features_msrc", "MSRC, every fifth photo")):
        contents = files[file]
        for draw in ("random", "near", "far"):
            counted = contents["photos_counted"]["raw"][draw]
            values = [_number(contents["mean"][way][draw]) for way in ways]
            rows.append([f"{name}, {draw} pairs", str(counted), *values])
    return ["pair AUC", "photos with such pairs", *ways.values()], rows


def _synthetic(files: Files) -> tuple[list[str], Rows]:
    contents = files["synthetic"]
    methods = contents["settings"]["methods"]
    found = [row for row in contents["composites"] if "methods" in row]
    rows = [[row["name"], *(_both([row["methods"][method]]) for method in methods)] for row in found]
    mean = ["mean", *(_both([row["methods"][method] for row in found]) for method in methods)]
    return ["kind, layers, seed", *(TITLES[method] for method in methods)], [*rows, mean] if found else rows


def _both(scores: Sequence[Mapping[str, float]]) -> str:
    matched, union = (sum(score[key] for score in scores) / len(scores) for key in ("matched", "union"))
    return f"{matched:.4f} / {union:.5f}"


def _worst(file: str, measure: str) -> Callable[[Files], tuple[list[str], Rows]]:
    def make(files: Files) -> tuple[list[str], Rows]:
        worst: list[Ranked] = ranked(file, files[file])[::-1][:WORST]
        rows = [[str(place), photo.name, f"{photo.score:.4f}", photo.note] for place, photo in enumerate(worst, 1)]
        return ["worst", "photo", measure, "layers"], rows

    return make


def _machines(files: Files) -> tuple[list[str], Rows]:
    rows = []
    for one in (one for one in MEASUREMENTS if one.file in files):
        contents, name = files[one.file], f"[{one.file}.json](../benchmarks/quality/{one.file}.json)"
        runs = contents.get("runs") or {"": contents}
        for method, run in runs.items():
            rows.append([name + (f", {TITLES[method]}" if method else ""), *_run(contents, method, run)])
    return ["file", "photos", "model", "minutes", "machine", "versions"], rows


def _run(contents: Mapping[str, Any], method: str, run: Mapping[str, Any]) -> Iterator[str]:
    """The photos that were scored, with which model, how long it took, where, and with which versions."""
    machine = run["machine"]
    of_method = contents if not method else {"photos": [_alone(row, method) for row in contents["photos"]]}
    yield photos_scored(of_method)
    yield run.get("model_digest", "-")[:12]
    seconds = run.get("seconds")
    yield "-" if seconds is None else f"{seconds / 60:.1f}"
    yield f"{machine['processor']}, {machine['cores']} cores"
    yield ", ".join(f"{key} {machine[key]}" for key in ("softseg", "torch", "numpy", "scipy"))


def _alone(row: Mapping[str, Any], method: str) -> Mapping[str, Any]:
    """A photo as if there were no other method."""
    return {FAILURE: row.get("failures", {}).get(method)}


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _shares(columns: Sequence[Mapping[str, float | None]]) -> Iterator[str]:
    for shares in columns:
        yield from (_number(shares[key]) for key in ("precision", "recall", "f_measure"))


Make = Callable[[Files], tuple[list[str], Rows]]
TABLES: Mapping[str, tuple[Sequence[str], Make]] = {  # name -> the files that it needs, and what makes it
    "verdicts": ((), _verdicts),
    "alpha": (("alpha",), _alpha),
    "alpha-photos": (("alpha",), _alpha_photos),
    "alpha-worst": (("alpha",), _worst("alpha", "MSE, ours, 12 layers")),
    "regions": (("regions",), _regions),
    "regions-by-layers": (("regions",), _regions_by_layers),
    "regions-worst": (("regions",), _worst("regions", "best covering, ours")),
    "auto": (("regions",), _auto),
    "boundaries": (("boundaries",), _boundaries),
    "boundaries-compared": (("boundaries",), _boundaries_compared),
    "features": (("features_bsds500", "features_msrc"), _features),
    "synthetic": (("synthetic",), _synthetic),
    "machines": ((), _machines),
}
CAPTIONS: Mapping[str, Callable[[Files], str]] = {"boundaries": _taken, "boundaries-compared": _taken}
