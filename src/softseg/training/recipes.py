"""Every number of a training run: three named recipes, and changes to them from files and from the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from softseg.errors import InputError

Optimizer = Literal["sgd", "adamw"]
Schedule = Literal["poly", "cosine"]
Stored = Literal["float16", "float32"]


@dataclass(frozen=True)
class Recipe:
    """A training run; the defaults are the seed's (supplement, Sec. 1), and "off" for what it does not have.

    One step sees `batch` photos for each device. The gradient of a step is the mean over its photos and their draws.
    """

    network: str = "seed"
    initial: str = ""  # .safetensors file whose weights the network starts from; empty: its own
    steps: int = 60_000
    batch: int = 1  # photos
    seed: int = 0
    # The loss: in each of the draws so many pixels of so many instances.
    draws: int = 10
    instances: int = 3
    most_instances: int = 0  # where above `instances`, each draw takes a random number of them in between
    pixels: int = 1000
    negatives: float = 0.0  # where above 0: mean over positive pairs, plus so many times that over negative ones
    # The optimiser: rates of the pretrained base and of what starts from random weights.
    optimizer: Optimizer = "sgd"
    base_rate: float = 5e-4  # 0: the base is frozen
    head_rate: float = 5e-3
    momentum: float = 0.9  # of SGD
    weight_decay: float = 5e-4
    decay_vectors: bool = True  # whether biases and normalisations decay too
    schedule: Schedule = "poly"
    power: float = 0.9  # of the polynomial decay
    warmup: int = 0  # steps over which the rate rises linearly
    # Differs from the seed in: 1. The norm of the gradient is bounded (0: it is not). With the loss as printed, a sum
    # over pairs, the seed's rates let the very first step from random weights diverge (measured).
    clip_norm: float = 10.0
    average: float = 0.0  # decay of the running mean of the weights, which is validated and exported; 0: no mean
    # What is varied: see softseg.training.augmentation.
    crop: int = 0
    longest: int = 0  # side to which the longest one of every photo is brought before it is scaled; 0: as it is
    scale_least: float = 1.0
    scale_most: float = 1.0
    flip: bool = False
    jitter: float = 0.0
    gray: float = 0.0
    # Beside the way: none of these changes the weights.
    log_every: int = 10  # steps
    checkpoint_every: int = 1000
    validate_every: int = 1000
    validation_photos: int = 0  # at most so many of each validation set; 0: all
    panels: int = 4  # validation photos shown in TensorBoard
    workers: int = 0  # processes that read photos; 0: the training process itself
    stored: Stored = "float32"  # of the exported weights

    def __post_init__(self) -> None:
        """Refuse what no run can honour, before it starts."""
        for name, hint in get_type_hints(Recipe).items():
            if (choices := get_args(hint)) and getattr(self, name) not in choices:
                raise InputError(f"{name} is {getattr(self, name)!r}; choose one of: {', '.join(choices)}")
        positive = ["steps", "batch", "draws", "instances", "pixels", "log_every", "checkpoint_every", "validate_every"]
        for name in positive:
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; choose at least 1")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, (int, float)) and not 0 <= value < float("inf"):
                raise InputError(f"{field.name} is {value}; choose a finite number from 0")
        if not 0 < self.scale_least <= self.scale_most:
            raise InputError(
                f"scales from {self.scale_least} to {self.scale_most}; choose 0 < scale_least <= scale_most"
            )
        if self.average >= 1 or self.gray > 1 or self.jitter > 1:
            raise InputError("average must be below 1, gray and jitter at most 1; lower them")

    def rate(self, step: int) -> float:
        """The factor of both learning rates at `step`, counted from 0."""
        import math

        if step < self.warmup:
            return (step + 1) / self.warmup
        done = (step - self.warmup) / max(self.steps - self.warmup, 1)
        if self.schedule == "poly":
            return float((1 - done) ** self.power)
        return 0.5 * (1 + math.cos(math.pi * done))

    def as_json(self) -> str:
        """The recipe as text that `load_recipe` reads."""
        return json.dumps(asdict(self), indent=2) + "\n"


RECIPES: Mapping[str, Recipe] = {
    "seed": Recipe(),
    # measured: docs/features.md
    "embedded": Recipe(
        network="embedded",
        steps=1200,
        batch=4,
        draws=4,
        instances=3,
        most_instances=6,
        pixels=100,
        negatives=3.0,
        optimizer="adamw",
        base_rate=2e-4,
        head_rate=2e-3,
        weight_decay=1e-2,
        decay_vectors=False,
        schedule="cosine",
        warmup=100,
        clip_norm=1.0,
        average=0.998,
        longest=545,
        scale_least=0.77,
        scale_most=1.3,
        flip=True,
        jitter=0.3,
        gray=0.1,
        checkpoint_every=200,
        validate_every=250,
        validation_photos=30,
        stored="float16",
    ),
    # measured: docs/features.md
    "boundaries": Recipe(
        network="boundaries",
        steps=1000,
        batch=3,
        optimizer="adamw",
        base_rate=2.5e-4,
        head_rate=1e-3,
        weight_decay=1e-2,
        decay_vectors=False,
        schedule="cosine",
        warmup=40,
        clip_norm=1.0,
        average=0.99,
        crop=257,
        longest=481,
        scale_least=0.75,
        scale_most=1.33,
        flip=True,
        jitter=0.3,
        gray=0.1,
        checkpoint_every=200,
        validate_every=500,
        validation_photos=30,
        stored="float16",
    ),
}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises
    ------
    InputError : there is none.
    """
    if name not in RECIPES:
        raise InputError(f"there is no recipe {name!r}; choose one of: {', '.join(RECIPES)}")
    return RECIPES[name]


def load_recipe(path: Path, recipe: Recipe) -> Recipe:
    """`recipe` with the fields that a .json or .toml file names replaced.

    Raises
    ------
    InputError : the file cannot be read, or names a field that does not exist or a value of another type.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = _toml(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no readable recipe ({error}); expected a .json or .toml file of fields") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} holds a {type(values).__name__}, expected fields of a recipe with their values")
    return change(recipe, values)


def parse_changes(words: list[str]) -> dict[str, Any]:
    """{"steps": 100} from ["steps=100"].

    Examples
    --------
    >>> parse_changes(["steps=100", "schedule=poly", "flip=true"])
    {'steps': 100, 'schedule': 'poly', 'flip': True}
    """
    changes: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise InputError(f"{word!r} has no '=', expected NAME=VALUE such as steps=1000")
        try:
            changes[name] = json.loads(text)
        except ValueError:
            changes[name] = text
    return changes


def change(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """`recipe` with those fields replaced.

    Raises
    ------
    InputError : a field does not exist, or a value is of another type.

    Examples
    --------
    >>> change(Recipe(), {"steps": 100, "flip": True}).steps
    100
    """
    known = {field.name: type(field.default) for field in fields(Recipe)}
    checked: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in known:
            raise InputError(f"a recipe has no field {name!r}; the fields are: {', '.join(known)}")
        kind = known[name]
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise InputError(f"{name} is {value!r}, expected {kind.__name__}, such as {getattr(recipe, name)!r}")
        checked[name] = value
    return replace(recipe, **checked)


def _toml(text: str) -> Any:
    try:
        import tomllib
    except ImportError:  # Python 3.10
        raise InputError("reading .toml needs Python 3.11 or newer; write the recipe as .json") from None
    return tomllib.loads(text)
