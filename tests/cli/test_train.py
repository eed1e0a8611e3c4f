"""`softseg train`: the words of the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from softseg.training.shapes import Shapes

Run = Callable[..., Any]
QUICK = ["network=tiny", "steps=3", "draws=1", "pixels=20", "log_every=1", "panels=0"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for i in range(3):
        image, labels, name = Shapes(3).load(i)
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        Image.fromarray(image).save(folder / "image.png")
        Image.fromarray((labels + 1).astype(np.uint8)).save(folder / "labels.png")
    return tmp_path / "data"


def words(data: Path, output: Path, *more: str) -> list[str]:
    changes = [word for change in QUICK for word in ("--set", change)]
    return ["train", "--data", f"folder:{data}", "-o", str(output), "--device", "cpu", *changes, *more]


def test_a_run_from_the_command_line(softseg: Run, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    run = softseg(*words(data, output, "--validation", f"msrc-val:{data}", "--validation", f"folder:{data}"))
    assert (run.exit_code, run.exception) == (0, None)
    assert run.stdout == f"{output}: 3 steps done, weights in {output / 'model.safetensors'}\n"
    lines = run.stderr.splitlines()
    assert lines[0] == f"{output}: 3 photos to learn from, 1 of msrc-val to score on, 3 of folder to score on"
    assert len(lines) == 5 and lines[1].startswith("step 1/3: loss ") and lines[1].endswith(" left")
    assert "auc/msrc-val" in lines[4] and "auc/folder" in lines[4] and lines[4].endswith("0:00:00 left")
    assert json.loads((output / "recipe.json").read_text())["steps"] == 3


def test_the_file_comes_before_the_single_changes(softseg: Run, data: Path, tmp_path: Path) -> None:
    config = tmp_path / "recipe.json"
    config.write_text(json.dumps({"steps": 50, "seed": 9}))
    run = softseg(*words(data, tmp_path / "run", "--config", str(config), "--quiet"))
    assert (run.exit_code, run.stdout, run.stderr) == (0, "", "")
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert (recipe["steps"], recipe["seed"]) == (3, 9)


def test_resuming(softseg: Run, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    assert softseg(*words(data, output)).exit_code == 0
    again = softseg(*words(data, output))
    assert again.exit_code == 1 and "--resume" in again.stderr
    assert softseg(*words(data, output, "--resume")).exit_code == 0


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--recipe", "other"], "there is no recipe 'other'; choose one of: seed, embedded"),
        (["--set", "steps=none"], "steps is 'none', expected int"),
        (["--set", "step=3"], "a recipe has no field 'step'"),
        (["--set", "steps"], "'steps' has no '='"),
        (["--data", "nonsense:x"], "'nonsense:x' names no data set"),
        (["--validation", "folder"], "'folder' names no data set"),
    ],
)
def test_words_that_no_run_understands_are_wrong_usage(
    more: list[str], sentence: str, softseg: Run, data: Path, tmp_path: Path
) -> None:
    run = softseg(*words(data, tmp_path / "run", *more))
    said = " ".join(run.stderr.replace("│", " ").split())  # the box in which it is printed breaks lines
    assert run.exit_code == 2 and sentence in said and f"Invalid value for {more[0]}" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--config", "missing.toml"], "missing.toml is no readable recipe"),
        (["--data", "folder:missing"], "missing is not a folder"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    more: list[str], sentence: str, softseg: Run, data: Path, tmp_path: Path
) -> None:
    run = softseg(*words(data, tmp_path / "run", *more))
    assert run.exit_code == 1 and sentence in run.stderr and len(run.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there(softseg: Run, data: Path, tmp_path: Path) -> None:
    run = softseg(*words(data, tmp_path / "run", "--device", "cuda"))
    assert run.exit_code == 1 and "finds no CUDA GPU; use 'cpu' or 'auto'" in run.stderr


def test_a_photo_without_labels_is_noted(softseg: Run, data: Path, tmp_path: Path) -> None:
    blank = data / "shapes-1" / "labels.png"
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(blank)
    run = softseg(*words(data, tmp_path / "run"))
    assert run.exit_code == 0
    noted = [line for line in run.stderr.splitlines() if f"/3: {blank} has no label" in line]
    assert len(noted) == 1 and not noted[0].endswith(" left")


def test_wrong_usage(softseg: Run, tmp_path: Path) -> None:
    assert softseg("train", "-o", tmp_path).exit_code == 2
    assert softseg("train", "--data", "folder:x").exit_code == 2
    assert softseg("train", "--data", "folder:x", "-o", tmp_path, "--devices", "0").exit_code == 2


def test_the_help_names_every_kind_of_data_and_every_recipe() -> None:
    """They are written out in the help, so that it does not have to load what trains."""
    import importlib
    import inspect

    from softseg.training import open as sources
    from softseg.training.recipes import RECIPES

    train = importlib.import_module("softseg.cli.train")
    assert ", ".join(sources.KINDS) == train.KINDS
    assert set(RECIPES) == {"seed", "embedded", "boundaries"}
    assert 'metavar="seed|embedded|boundaries"' in inspect.getsource(train)
