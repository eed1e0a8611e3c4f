"""Tables, verdicts and the order of photos from hand-made files; and those that are committed."""

from __future__ import annotations

import doctest
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.quality.suite import data, files, ranking, tables
from benchmarks.quality.suite.files import as_text, read_json
from benchmarks.quality.suite.progress import TimeLeft
from benchmarks.quality.suite.ranking import ranked
from benchmarks.quality.suite.tables import TABLES, fill, table
from benchmarks.quality.suite.verdicts import verdicts
from softseg.errors import InputError

ROOT = Path(__file__).parents[2]


def test_the_committed_tables_are_those_of_the_committed_files() -> None:
    """If this fails: python -m benchmarks.quality --tables"""
    text = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
    assert fill(text, read_json(ROOT / "benchmarks" / "quality")) == text
    assert {name for name in TABLES if f"<!-- table: {name} -->" in text} == set(TABLES)


@pytest.mark.parametrize("module", [data, files, ranking, tables])
def test_examples_in_docstrings(module: ModuleType) -> None:
    """Those of the package are found by pytest itself."""
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def alpha(**mse: float) -> dict[str, Any]:
    errors = {"sad": 1.0, "gradient": 2.0, "connectivity": 3.0}
    score = {method: {"12": {"layers": 12, "whole": {"mse": value, **errors}}} for method, value in mse.items()}
    return {"mean": score, "photos": [{"name": "a", "methods": score}, {"name": "b", "failure": "damaged"}]}


def regions(ods: float, ois: float) -> dict[str, Any]:
    best = {"covering": {"ods": ods, "layers": 7, "ois": ois}}
    return {
        "summary": {"layers": best, "layers_connected": best},
        "people": None,
        "chosen": {"layers": CHOSEN, "layers_connected": CHOSEN},
        "photos": [{"name": n, "best": {"layers": {"covering": {"value": v, "layers": 3}}}} for n, v in PHOTOS],
    }


CHOSEN = {"mean_layers": 6.5, "covering": 0.5, "gain_over_ods": -0.01, "regret_to_ois": 0.06}
PHOTOS = [("a", 0.5), ("b", 0.9), ("c", 0.1)]


def boundaries(*ratios: float | None) -> dict[str, Any]:
    rows = [
        {"layers": 3 + k, "ratio": ratio, "place": "within" if ratio else "above"} for k, ratio in enumerate(ratios)
    ]
    return {"tolerances": [{"pixels": 1, "comparison": rows}, {"pixels": 2, "comparison": rows}], "photos": [{}]} | {
        "settings": {"every": 2}
    }


def words(files: dict[str, Any], start: str) -> list[tuple[str, str]]:
    return [(v.verdict, v.measured) for v in verdicts(files) if v.statement.startswith(start)]


def test_verdicts_on_alphas() -> None:
    files = {"alpha": alpha(softseg=0.01, spectral_matting=0.02, feature_clusters=0.01)}
    good, bad, auto = (*words(files, "alpha"), *words(files, "auto: mean"))
    assert good == ("**met**, but for photos that failed", "0.0100 / 0.0200 = 0.50")
    assert bad == ("**not met**", "0.0100 / 0.0100 = 1.00")
    assert auto[0] == "not measured"
    files = {"alpha": alpha(softseg=0.011, spectral_matting=0.02)}
    assert [word for word, _ in words(files, "alpha")] == ["**not met**", "not measured"]


def test_the_regret_of_the_automatic_number() -> None:
    contents = alpha(softseg=0.02)
    contents["mean"]["softseg"] |= {"auto": {"whole": {"mse": 0.03}}, "5": {"whole": {"mse": 0.04}}}
    assert words({"alpha": contents}, "auto: mean") == [("reported", "0.0300 / 0.0200 (at 12 layers) = 1.50")]


@pytest.mark.parametrize(("ods", "ois", "met"), [(0.6, 0.66, [True, True]), (0.599, 0.7, [False, True])])
def test_verdicts_on_regions(ods: float, ois: float, met: list[bool]) -> None:
    found = words({"regions": regions(ods, ois)}, "regions")
    assert [word == "**met**" for word, _ in found[:2]] == met
    assert [word for word, _ in found[2:]] == ["reported", "reported"]  # connected parts do not decide
    assert found[0][1] == f"{ods:.3f} at 7 layers"


def test_the_smallest_ratio_of_recalls_counts() -> None:
    assert words({"boundaries": boundaries(1.4, None, 1.3)}, "boundaries")[0] == (
        "**met**",
        "1.30 (3 layers: 1.40, 4 layers: above, 5 layers: 1.30)",
    )
    assert words({"boundaries": boundaries(2.0, 1.2)}, "boundaries")[0][0] == "**not met**"
    below = boundaries(2.0, None)
    for row in below["tolerances"][0]["comparison"]:
        row["place"] = "below"  # one number of layers that cannot be compared leaves the statement open
    assert words({"boundaries": below}, "boundaries")[0][0] == "**not met**"
    word, why = words({"boundaries": boundaries(None)}, "boundaries")[0]
    assert (word, why) == ("not measured", "no point of equal precision (3 layers: above)")


def test_the_covering_of_the_automatic_number() -> None:
    files = {"regions": regions(0.5, 0.6)}
    assert words(files, "auto: covering") == [
        ("reported", "-0.010 against ODS, -0.060 against OIS (mean of 6.5 layers)")
    ]
    assert table("auto", files).splitlines()[2] == "| ours | 6.5 | 0.500 | -0.010 | 0.060 |"


def test_curves_with_fewer_numbers_of_clusters() -> None:
    contents = {
        "layers": {"layers": [2, 3, 7, 40], "feature_clusters": [3]},
        "curves": {"layers": {"covering": [0.1, 0.2, 0.3, 0.4]}, "feature_clusters": {"covering": [0.5]}},
    }
    head, _, *rows = table("regions-by-layers", {"regions": contents}).splitlines()
    assert head == "| covering with so many layers | 2 | 3 | 40 |"
    assert rows == ["| ours | 0.100 | 0.200 | 0.400 |", "| clusters of features | - | 0.500 | - |"]


@pytest.mark.parametrize(
    ("every", "caption"), [(1, ""), (2, "Of every 2nd photo by name, 1 photos:"), (13, "Of every 13th")]
)
def test_which_photos_the_boundaries_are_of(every: int, caption: str) -> None:
    contents = boundaries(1.4) | {"settings": {"every": every}}
    first, *_ = table("boundaries-compared", {"boundaries": contents}).splitlines()
    assert first.startswith(caption or "| our layers")


def test_every_second_photo_by_name() -> None:
    assert data.some(["d", "a", "c", "b", "e"], every=2) == [1, 2, 4]
    assert data.some(["d", "a", "c", "b", "e"], limit=2, every=2) == [1, 4]
    assert data.some(["b", "a"]) == [0, 1]


def test_where_each_method_ran() -> None:
    machine = {"processor": "P", "cores": 2, "softseg": "1", "torch": "2", "numpy": "3", "scipy": "4"}
    runs = {"softseg": {"model_digest": "5" * 64, "seconds": 90.0}, "spectral_matting": {"model_digest": "6" * 64}}
    contents = {
        "runs": {method: {"machine": machine, **run} for method, run in runs.items()},
        "photos": [{"name": "a"}, {"name": "b", "failure": "x", "failures": {"spectral_matting": "x"}}],
    }
    ours, theirs = [row.split(" | ")[1:4] for row in table("machines", {"alpha": contents}).splitlines()[2:]]
    assert ours == ["2", "5" * 12, "1.5"]
    assert theirs == ["1 of 2", "6" * 12, "-"]


def test_nothing_measured() -> None:
    assert {verdict.verdict for verdict in verdicts({})} == {"not measured"}
    for name, (needed, _) in TABLES.items():
        assert ("Not measured yet" in table(name, {})) == bool(needed)


def test_a_table_of_alphas() -> None:
    files = {"alpha": alpha(softseg=0.01, feature_clusters=0.02)}
    *_, ours, clusters = table("alpha", files).splitlines()
    assert ours == "| ours | 12 | 1.0 | 0.0100 | 2.00 | 3.0 | - | - | - | - |"
    assert clusters.startswith("| clusters of features | 12 |")
    assert table("alpha-photos", files).splitlines()[2:] == ["| a | 0.0100 | 0.0200 |", "| b | - | - |"]


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    text = "a\n<!-- table: regions-worst -->\nx\ny\n<!-- end -->\nb\n<!-- table: alpha -->\n<!-- end -->\nc\n"
    once = fill(text, {"regions": regions(0.5, 0.6)})
    assert fill(once, {"regions": regions(0.5, 0.6)}) == once
    lines = once.splitlines()
    assert [lines[0], lines[-1]] == ["a", "c"]
    assert lines[4:7] == ["| 1 | c | 0.1000 | 3 |", "| 2 | a | 0.5000 | 3 |", "| 3 | b | 0.9000 | 3 |"]
    assert not {"x", "y"} & set(lines)
    with pytest.raises(InputError, match="there is no table 'best'"):
        fill("<!-- table: best -->\n<!-- end -->", {})


def test_photos_from_the_best_to_the_worst() -> None:
    assert [photo.name for photo in ranked("regions", regions(0.5, 0.6))] == ["b", "a", "c"]  # more is better
    contents = alpha(softseg=0.2)
    contents["photos"].append({"name": "c", "methods": alpha(softseg=0.1)["mean"]})
    assert [(photo.number, photo.name) for photo in ranked("alpha", contents)] == [(2, "c"), (0, "a")]  # less is


def test_files_have_a_line_for_each_photo() -> None:
    contents = {"seed": 0, "photos": [{"name": "a", "score": 0.123456789}, {"name": "b", "scores": [1, None]}]}
    text = as_text(contents)
    assert json.loads(text) == {"seed": 0, "photos": [{"name": "a", "score": 0.123457}, contents["photos"][1]]}
    assert sum('"name"' in line for line in text.splitlines()) == 2
    with pytest.raises(ValueError, match="JSON"):
        as_text({"photos": [{"score": float("nan")}]})


def test_the_time_left_is_that_of_photos_that_take_time() -> None:
    times = iter([0.0, 0.1, 60.1, 160.1, 320.1])
    left = TimeLeft(5, lambda: next(times))
    assert left.after_one_more() == ""  # had been kept
    assert left.after_one_more() == ", about 3 min left"
    assert left.after_one_more() == ", about 3 min left"
    assert left.after_one_more() == ", about 107 s left"
