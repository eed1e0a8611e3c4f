"""The score of a network on photos that it does not learn from, and pictures of its features."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn

from softseg.features.figure import draw_figure
from softseg.training.boundaries import boundary_auc
from softseg.training.datasets import LabelledPhotos, UnlabelledError
from softseg.training.networks import features_of, find_network
from softseg.training.recipes import Recipe
from softseg.training.score import pair_auc

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def validate(
    fabric: Fabric, network: nn.Module, sets: Mapping[str, LabelledPhotos], recipe: Recipe, board: Any, step: int
) -> dict[str, float]:
    """Mean AUC of every set as "auc/NAME", over the photos that have one; the processes share the photos.

    Of features that of pairs (`pair_auc`), of boundaries that of cells (`boundary_auc`).

    A set in which no photo has a score, for want of labels or of a second region, is left out.

    Parameters
    ----------
    board : a TensorBoard writer that gets the first few photos of each set, in the form of Fig. 2 or as the map of
        boundaries; None: no pictures.
    """
    network.eval()
    boundaries = find_network(recipe.network).boundaries
    scores = {}
    for name, photos in sets.items():
        total, scored = 0.0, 0
        count = min(recipe.validation_photos or len(photos.names), len(photos.names))
        for i in range(fabric.global_rank, count, fabric.world_size):
            try:
                sample = photos.load(i)
            except UnlabelledError:
                continue
            image = torch.from_numpy(sample.image / 255.0).to(fabric.device)
            if boundaries:
                found = cast(torch.Tensor, cast(Any, network).extract(image)).cpu().numpy()
                score = boundary_auc(found, sample.labels)
            else:
                found = features_of(network, image).cpu().numpy()
                score = pair_auc(found, sample.labels)
            if not math.isnan(score):  # a photo of one region has no score
                total, scored = total + score, scored + 1
            if board is not None and i < recipe.panels:
                picture = found[..., None] if boundaries else np.asarray(draw_figure(sample.image / 255.0, found))
                board.add_image(f"{name}/{sample.name}", picture, step, dataformats="HWC")
        sums = torch.tensor([total, scored], dtype=torch.float64, device=fabric.device)
        total, scored = cast(torch.Tensor, fabric.all_reduce(sums, reduce_op="sum")).tolist()
        if scored:
            scores[f"auc/{name}"] = total / scored
    return scores
