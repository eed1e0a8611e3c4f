"""What a step of training sees: a pure function of the seed and the step, so that a run resumes where it was cut."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from softseg.errors import SoftsegError
from softseg.training.augmentation import Augmentation, augment
from softseg.training.boundaries import boundary_target
from softseg.training.datasets import LabelledPhotos, Sample, UnlabelledError
from softseg.training.networks import find_network
from softseg.training.recipes import Recipe
from softseg.training.sampling import instances_of, sample_pixels

# How processes that read ahead begin. Not as forks of this one, which has several threads: a fork may find their locks
# held.
_START = "forkserver" if sys.platform == "linux" else "spawn"


class Draw(NamedTuple):
    """The pixels of one draw.

    photo : index into the batch.
    pixels : (n,) int64 indices into the raveled photo.
    labels : (n,) int64, the instance of each.
    """

    photo: int
    pixels: torch.Tensor
    labels: torch.Tensor


class Batch(NamedTuple):
    """What one step sees.

    images : b times (3, h, w) uint8, of any sizes.
    draws : b * recipe.draws; a view without any label has none.
    notes : a sentence for each photo of which no pixel has a label.
    targets : for a network of boundaries, of each image where they are (`boundary_target`); it has no draws.
    """

    images: list[torch.Tensor]
    draws: list[Draw]
    notes: tuple[str, ...] = ()
    targets: tuple[torch.Tensor, ...] = ()


class Batches(torch.utils.data.Dataset[Batch]):
    """The batch of every step.

    Photos come in passes over the data, each in its own order. Every random choice about the n-th photo of a run (its
    annotator, view, pixels) is drawn from a generator seeded by (seed, n) alone: nothing has to be saved to resume.

    Parameters
    ----------
    rank, world : of this process among all that train together; each sees its own photos.
    """

    def __init__(self, photos: LabelledPhotos, recipe: Recipe, rank: int = 0, world: int = 1) -> None:
        self._photos, self._recipe = photos, recipe
        self._rank, self._world = rank, world
        network = find_network(recipe.network)
        self._boundaries = network.boundaries
        self._augmentation = Augmentation(
            (recipe.scale_least, recipe.scale_most),
            recipe.flip,
            recipe.jitter,
            recipe.gray,
            recipe.crop,
            recipe.longest,
            network.fitting,
        )

    def __getitem__(self, step: int) -> Batch:
        """The batch of `step`, counted from 0."""
        first = (step * self._world + self._rank) * self._recipe.batch
        images: list[torch.Tensor] = []
        draws: list[Draw] = []
        targets: list[torch.Tensor] = []
        notes: list[str] = []
        for photo in range(self._recipe.batch):
            rng = np.random.default_rng([self._recipe.seed, 1, first + photo])
            sample = self._load(first + photo, rng, notes)
            image, labels = augment(sample.image, sample.labels, self._augmentation, rng)
            images.append(torch.from_numpy(image).permute(2, 0, 1))
            if self._boundaries:
                targets.append(torch.from_numpy(boundary_target(labels)))
            else:
                draws += [Draw(photo, *pixels) for pixels in self._draws(labels, rng)]
        return Batch(images, draws, tuple(notes), tuple(targets))

    def photo(self, number: int) -> int:
        """Which photo is the `number`-th of the run."""
        count = len(self._photos.names)
        order = np.random.default_rng([self._recipe.seed, 0, number // count]).permutation(count)
        return int(order[number % count])

    def _load(self, number: int, rng: np.random.Generator, notes: list[str]) -> Sample:
        try:
            return self._photos.load(self.photo(number), rng)
        except UnlabelledError as error:  # one such photo among many must not end a long run: it gives no draws
            notes.append(str(error))
            return error.sample

    def _draws(self, labels: np.ndarray, rng: np.random.Generator) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        recipe = self._recipe
        if instances_of(labels).size == 0:
            return
        for _ in range(recipe.draws):
            instances = int(rng.integers(recipe.instances, max(recipe.instances, recipe.most_instances) + 1))
            pixels = sample_pixels(labels, rng, instances, recipe.pixels)
            yield torch.from_numpy(pixels), torch.from_numpy(labels.ravel()[pixels].astype(np.int64))


def batches_from(batches: Batches, first: int, end: int, workers: int, *, pinned: bool = False) -> Iterator[Batch]:
    """The batches of the steps first .. end - 1, read ahead by `workers` processes (0: in this one, when needed).

    Each of these processes gets its own copy of the data set, by pickle.
    """
    loader = torch.utils.data.DataLoader(
        _Sent(batches),
        batch_size=None,
        sampler=cast(Any, range(first, end)),
        num_workers=workers,
        collate_fn=cast(Any, _as_it_is),
        pin_memory=pinned,
        multiprocessing_context=_START if workers else None,
    )
    for batch in loader:
        if isinstance(batch, SoftsegError):
            raise batch
        yield Batch(batch[0], [Draw(*draw) for draw in batch[1]], *batch[2:])


class _Sent(torch.utils.data.Dataset[Batch | SoftsegError]):
    """The batches, or what is wrong with one: raised in a process of the loader, it would arrive as a traceback."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __getitem__(self, step: int) -> Batch | SoftsegError:
        try:
            return self._batches[step]
        except SoftsegError as error:
            return error


def _as_it_is(batch: Batch) -> Batch:
    return batch
