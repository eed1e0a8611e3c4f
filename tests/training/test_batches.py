"""What a step sees depends on the seed and the step alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from softseg.training.batches import Batches, batches_from
from softseg.training.recipes import Recipe
from softseg.training.shapes import Shapes

RECIPE = Recipe(network="tiny", batch=2, draws=3, instances=2, most_instances=3, pixels=10, scale_least=0.8, flip=True)


def test_every_photo_once_in_each_pass() -> None:
    batches = Batches(Shapes(7), RECIPE)
    passes = [[batches.photo(number) for number in range(start, start + 7)] for start in (0, 7, 14)]
    assert all(sorted(order) == list(range(7)) for order in passes)
    assert passes[0] != passes[1] != passes[2]


def test_a_step_is_the_same_from_wherever_a_run_begins() -> None:
    batches = Batches(Shapes(5), RECIPE)
    whole = list(batches_from(batches, 0, 6, workers=0))
    for first, workers in ((4, 0), (3, 1)):
        rest = list(batches_from(Batches(Shapes(5), RECIPE), first, 6, workers=workers))
        assert len(rest) == 6 - first
        for one, two in zip(whole[first:], rest, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one.images, two.images, strict=True))
            for a, b in zip(one.draws, two.draws, strict=True):
                assert a.photo == b.photo and torch.equal(a.pixels, b.pixels) and torch.equal(a.labels, b.labels)


def test_another_seed_gives_other_batches() -> None:
    one, two = (Batches(Shapes(5), replace(RECIPE, seed=seed))[0] for seed in (0, 1))
    assert not all(torch.equal(a.pixels, b.pixels) for a, b in zip(one.draws, two.draws, strict=True))


def test_draws_have_the_labels_of_their_pixels() -> None:
    batch = Batches(Shapes(3), replace(RECIPE, scale_least=1.0, flip=False))[0]
    assert [draw.photo for draw in batch.draws] == [0, 0, 0, 1, 1, 1]
    sizes = {len(draw.pixels) for draw in batch.draws}
    assert sizes <= {20, 30} and len(sizes) == 2
    batches = Batches(Shapes(3), RECIPE)
    for draw in batch.draws:
        truth = Shapes(3).load(batches.photo(draw.photo)).labels.ravel()
        np.testing.assert_array_equal(truth[draw.pixels], draw.labels)


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_photos(world: int) -> None:
    alone = Batches(Shapes(9), replace(RECIPE, batch=2 * world))[1]
    shared = [Batches(Shapes(9), RECIPE, rank, world)[1] for rank in range(world)]
    images = [image for batch in shared for image in batch.images]
    assert all(torch.equal(a, b) for a, b in zip(alone.images, images, strict=True))
