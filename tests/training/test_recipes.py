"""Recipes: the seed's numbers, changes, refusals."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from softseg.errors import InputError
from softseg.training.recipes import RECIPES, Recipe, change, find_recipe, load_recipe, parse_changes


def test_the_seed_s_numbers() -> None:
    seed = find_recipe("seed")
    assert (seed.optimizer, seed.momentum, seed.weight_decay) == ("sgd", 0.9, 5e-4)
    assert (seed.base_rate, seed.head_rate, seed.schedule, seed.power) == (5e-4, 5e-3, "poly", 0.9)
    assert (seed.steps, seed.batch, seed.draws, seed.instances, seed.pixels) == (60_000, 1, 10, 3, 1000)
    assert not seed.negatives and seed == Recipe()


def test_polynomial_decay() -> None:
    recipe = Recipe(steps=100)
    assert recipe.rate(0) == 1
    assert recipe.rate(50) == pytest.approx(0.5**0.9)
    assert 0 < recipe.rate(99) < 0.02


def test_cosine_with_warm_up() -> None:
    recipe = Recipe(steps=110, schedule="cosine", warmup=10)
    assert [recipe.rate(step) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert recipe.rate(10) == 1 and recipe.rate(60) == pytest.approx(0.5)
    assert recipe.rate(109) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.99)))


def test_changes_of_the_right_type() -> None:
    words = ["steps=7", "base_rate=0", "flip=true", "optimizer=adamw", "initial=weights.safetensors", "jitter=1e-1"]
    changed = change(Recipe(), parse_changes(words))
    assert (changed.steps, changed.base_rate, changed.flip, changed.optimizer) == (7, 0.0, True, "adamw")
    assert (changed.initial, changed.jitter) == ("weights.safetensors", 0.1)
    assert isinstance(changed.base_rate, float)


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        ("steps", "no '='"),
        ("stepz=3", "no field 'stepz'; the fields are: network, "),
        ("steps=many", "steps is 'many', expected int"),
        ("steps=1.5", "expected int"),
        ("steps=0", "at least 1"),
        ("flip=1", "expected bool"),
        ("optimizer=adam", "choose one of: sgd, adamw"),
        ("head_rate=-1", "finite number from 0"),
        ("head_rate=NaN", "finite number from 0"),
        ("scale_least=3", "scale_least <= scale_most"),
        ("average=1", "below 1"),
    ],
)
def test_impossible_changes_are_refused(words: str, refusal: str) -> None:
    with pytest.raises(InputError, match=refusal):
        change(Recipe(), parse_changes([words]))


@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_changes_from_a_file(suffix: str, tmp_path: Path) -> None:
    if suffix == ".toml" and sys.version_info < (3, 11):
        pytest.skip("no TOML reader in this Python")
    path = tmp_path / f"recipe{suffix}"
    path.write_text({".json": '{"steps": 5, "flip": true}', ".toml": "steps = 5\nflip = true\n"}[suffix])
    assert load_recipe(path, Recipe()) == replace(Recipe(), steps=5, flip=True)


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "{"), ("a.json", "[1]"), ("a.json", '{"x": 1}'), ("b.json", None)]
)
def test_files_that_are_no_recipe(name: str, text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError):
        load_recipe(tmp_path / name, Recipe())


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_being_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(RECIPES[name].as_json())
    assert load_recipe(tmp_path / "recipe.json", Recipe(steps=1)) == RECIPES[name]


def test_unknown_recipes_are_refused() -> None:
    with pytest.raises(InputError, match="choose one of: seed, embedded"):
        find_recipe("sead")


def test_every_field_is_a_plain_value() -> None:
    values: list[Any] = [getattr(Recipe(), name) for name in Recipe.__dataclass_fields__]
    assert {type(value) for value in values} == {str, int, float, bool}
