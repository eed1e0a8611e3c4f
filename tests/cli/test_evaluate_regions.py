"""`softseg evaluate regions` and `boundaries`: tables, files, what is kept and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from softseg.cli.labelled import numbers
from tests.evaluation.data import halves, write_bsds, write_msrc
from tests.evaluation.quarters import QuickParts, install

Run = Callable[..., Any]
FEW = {"regions": ["--layers", "2,4", "--clusters", "2-4"], "boundaries": ["--layers", "2,4", "--clusters", "2,4"]}
verbs = pytest.mark.parametrize("verb", sorted(FEW))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> QuickParts:
    return install(monkeypatch)


@pytest.fixture
def bsds(tmp_path: Path) -> Path:
    for name in "abc":
        write_bsds(tmp_path / "bsds", name, halves(), halves(90))
    return tmp_path / "bsds"


def test_regions(softseg: Run, bsds: Path, tmp_path: Path, quick: QuickParts) -> None:
    output = tmp_path / "scores.json"
    run = softseg("evaluate", "regions", bsds, "-o", output, *FEW["regions"], "--features", "hub", "--device", "cpu")
    assert (run.exit_code, run.exception) == (0, None)
    title, head, *rows, automatic = run.stdout.splitlines()
    assert title == "regions, 3 photos, model hub"
    assert head.split() == [
        *["covering", "ODS", "layers", "OIS", "Rand", "ODS", "layers", "OIS", "information", "ODS", "layers", "OIS"]
    ]
    ways = ["layers", "layers_connected", "feature_clusters", "feature_clusters_connected"]
    assert [row.split()[0] for row in rows] == [*ways, "people"]
    contents = json.loads(output.read_text(encoding="utf-8"))
    best = contents["summary"]["layers"]["covering"]
    assert rows[0].split()[1:4] == [f"{best['ods']:.3f}", str(best["layers"]), f"{best['ois']:.3f}"]
    assert contents["people"]["covering"] == pytest.approx(7 / 12, abs=0.2)
    assert (contents["model"], contents["split"], contents["layers"]["layers"]) == ("hub", "all", [2, 4])
    assert contents["layers"]["feature_clusters"] == [2, 3, 4]
    chosen = contents["chosen"]["layers"]
    assert chosen["mean_layers"] == contents["photos"][0]["chosen"]["layers"]
    assert automatic == (
        f"automatic number of layers, {chosen['mean_layers']:.1f} on average: covering {chosen['covering']:.3f}, "
        f"{chosen['gain_over_ods']:+.3f} against ODS, {chosen['regret_to_ois']:.3f} less than OIS"
    )
    assert contents["settings"]["finished"] is False
    assert {"processor", "torch", "softseg"} <= set(contents["machine"])
    assert contents["data"] == f"{tmp_path.name}/bsds"
    assert [photo["name"] for photo in contents["photos"]] == list("abc")
    assert {call["features"] for call in quick.calls} == {"hub"}
    assert [line.split(":")[0] for line in run.stderr.splitlines()] == [f"{i + 1}/3 {n}" for i, n in enumerate("abc")]


def test_regions_without_clusters_finished(softseg: Run, bsds: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores.json"
    arguments = ["--layers", "2", "--no-clusters", "--finished", "--split", "val", "--seed", "3", "--quiet"]
    run = softseg("evaluate", "regions", bsds, "-o", output, *arguments)
    assert (run.exit_code, run.stderr) == (0, "")
    assert "feature_clusters" not in run.stdout
    contents = json.loads(output.read_text(encoding="utf-8"))
    assert [photo["name"] for photo in contents["photos"]] == ["a"]
    assert (contents["settings"]["finished"], contents["settings"]["seed"], contents["split"]) == (True, 3, "val")


def test_boundaries(softseg: Run, bsds: Path, tmp_path: Path) -> None:
    output = tmp_path / "counts.json"
    run = softseg("evaluate", "boundaries", bsds, "-o", output, *FEW["boundaries"], "--device", "cpu")
    assert (run.exit_code, run.exception) == (0, None)
    title, curves, comparison = run.stdout.strip().split("\n\n")
    assert title == "boundaries, 3 photos, model embedded"
    head, *rows = curves.splitlines()
    assert head.split()[:5] == ["layers", "precision", "1", "px", "recall"]
    assert [row.split()[:2] for row in rows] == [
        *(["layers", k] for k in "24"),
        *(["feature_clusters", k] for k in "24"),
        ["people", "-"],
    ]
    assert rows[0].split()[2:5] == ["1.000", "0.500", "0.667"]
    assert rows[-1].split()[2:4] == ["0.000", "0.000"]
    sentence, head, *rows = comparison.splitlines()
    assert sentence == "recall of layers / recall of feature_clusters at the same precision"
    assert [row.split() for row in rows] == [["2", "1.000", "1.000", "1.000"], ["4", "1.000", "1.000", "1.000"]]
    contents = json.loads(output.read_text(encoding="utf-8"))
    assert [entry["pixels"] for entry in contents["tolerances"]] == [1, 2, 4]
    assert contents["tolerances"][0]["ways"]["layers"][0] == {"precision": 1, "recall": 0.5, "f_measure": 0.6667}
    assert contents["layers"] == {"layers": [2, 4], "feature_clusters": [2, 4]}
    assert contents["photos"][0]["ways"]["layers"][0][0] == {"matched": 40, "ours": 40, "recalled": 40, "people": 80}


def test_boundaries_where_precision_is_never_the_same(softseg: Run, bsds: Path) -> None:
    run = softseg("evaluate", "boundaries", bsds, "--layers", "2", "--clusters", "4", "--quiet")
    assert run.exit_code == 0
    *_, row, explanation = run.stdout.strip().splitlines()
    assert row.split() == ["2", "above", "above", "above"]
    assert explanation.startswith("above, below: more or less precise")


@verbs
def test_label_maps_beside_photos_have_no_people(verb: str, softseg: Run, tmp_path: Path) -> None:
    write_msrc(tmp_path / "msrc", "one", halves())
    run = softseg("evaluate", verb, tmp_path / "msrc", *FEW[verb], "--quiet")
    assert (run.exit_code, run.stderr) == (0, "")
    rows = [row for row in run.stdout.splitlines() if row.startswith("people")]
    assert all(set(row.split()[1:]) == {"-"} for row in rows)


@verbs
def test_a_damaged_photo_is_named_and_the_file_is_written(verb: str, softseg: Run, bsds: Path, tmp_path: Path) -> None:
    (bsds / "b.jpg").write_bytes(b"not a photo")
    run = softseg("evaluate", verb, bsds, "-o", tmp_path / "scores.json", *FEW[verb])
    assert run.exit_code == 1
    assert "b.jpg is not an image of a known kind" in run.stderr
    assert "2/3 b: failed" in run.stderr
    assert f"{verb}, 2 photos" in run.stdout
    assert "failure" in json.loads((tmp_path / "scores.json").read_text())["photos"][1]


@verbs
def test_an_unexpected_failure_shows_its_traceback_on_request(
    verb: str, softseg: Run, bsds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("by nothing")

    for module in ("region_score", "boundary_score"):
        monkeypatch.setattr(f"softseg.evaluation.{module}.decompose", fail)
    plain, debug = (softseg("evaluate", verb, bsds, *FEW[verb], *more) for more in ([], ["--debug"]))
    assert plain.exit_code == debug.exit_code == 1
    assert "unexpected ZeroDivisionError: by nothing" in plain.stderr
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr
    assert plain.stdout == ""


@verbs
def test_an_existing_file_is_kept(verb: str, softseg: Run, bsds: Path, tmp_path: Path, quick: QuickParts) -> None:
    output = tmp_path / "scores.json"
    output.write_text("mine")
    run = softseg("evaluate", verb, bsds, "-o", output, *FEW[verb])
    assert run.exit_code == 1
    assert "scores.json exists already: nothing was written" in run.stderr
    assert output.read_text() == "mine"
    assert not quick.calls
    assert softseg("evaluate", verb, bsds, "-o", output, *FEW[verb], "--overwrite").exit_code == 0
    assert json.loads(output.read_text())["photos_scored"] == 3


@verbs
def test_broken_off_and_taken_up(
    verb: str, softseg: Run, bsds: Path, tmp_path: Path, quick: QuickParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt_after_two(*arguments: Any, **options: Any) -> Any:
        if len(quick.calls) == 2:
            raise KeyboardInterrupt
        return quick(*arguments, **options)

    for module in ("region_score", "boundary_score"):
        monkeypatch.setattr(f"softseg.evaluation.{module}.decompose", interrupt_after_two)
    arguments = ["evaluate", verb, bsds, "-o", tmp_path / "scores.json", *FEW[verb]]
    run = softseg(*arguments, "--kept", tmp_path / "kept")
    assert run.exit_code == 130
    assert "interrupted: results are kept" in run.stderr
    assert not (tmp_path / "scores.json").exists()
    for module in ("region_score", "boundary_score"):
        monkeypatch.setattr(f"softseg.evaluation.{module}.decompose", quick)
    assert softseg(*arguments, "--kept", tmp_path / "kept").exit_code == 0
    assert len(quick.calls) == 3
    assert len(json.loads((tmp_path / "scores.json").read_text())["photos"]) == 3


@verbs
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--layers", "1"],
        ["--layers", "2;3"],
        ["--layers", "5-3"],
        ["--layers", ""],
        ["--clusters", "1"],
        ["--jobs", "0"],
        ["--split", "test"],
        ["--features"],
    ],
)
def test_wrong_usage(verb: str, arguments: list[str], softseg: Run, bsds: Path, quick: QuickParts) -> None:
    folder = [bsds] if arguments else []
    assert softseg("evaluate", verb, *folder, *arguments).exit_code == 2
    assert not quick.calls


@verbs
def test_no_data(verb: str, softseg: Run, tmp_path: Path) -> None:
    run = softseg("evaluate", verb, tmp_path / "data")
    assert run.exit_code == 1
    assert "is not a folder" in run.stderr


def test_numbers() -> None:
    assert numbers("2-40", "--layers") == list(range(2, 41))
    assert numbers("8, 3,3-5", "--layers") == [3, 4, 5, 8]
    for text in ("1", "1-3", "3-", "-3", "a", "2,", "4-2", "2-3-4", "2-5000"):
        with pytest.raises(typer.BadParameter):
            numbers(text, "--layers")
