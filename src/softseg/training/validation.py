"""The score of a network on photos that it does not learn from, and pictures of its features."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn

from softseg.features.figure import draw_figure
from softseg.training.datasets import LabelledPhotos, UnlabelledError
from softseg.training.networks import features_of
from softseg.training.recipes import Recipe
from softseg.training.score import pair_auc

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def validate(
    fabric: Fabric, network: nn.Module, sets: Mapping[str, LabelledPhotos], recipe: Recipe, board: Any, step: int
) -> dict[str, float]:
    """Mean pair AUC of every set as "auc/NAME", over the photos that have one; the processes share the photos.

    A set in which no photo has a score, for want of labels or of a second region, is left out.

    Parameters
    ----------
    board : a TensorBoard writer that gets the first few photos of each set in the form of Fig. 2; None: no pictures.
    """
    network.eval()
    scores = {}
    for name, photos in sets.items():
        total, scored = 0.0, 0
        count = min(recipe.validation_photos or len(photos.names), len(photos.names))
        for i in range(fabric.global_rank, count, fabric.world_size):
            try:
                sample = photos.load(i)
            except UnlabelledError:
                continue
            image = sample.image / 255.0
            features = features_of(network, torch.from_numpy(image).to(fabric.device)).cpu().numpy()
            score = pair_auc(features, sample.labels)
            if not math.isnan(score):  # a photo of one region has no score
                total, scored = total + score, scored + 1
            if board is not None and i < recipe.panels:
                picture = np.asarray(draw_figure(image, features))
                board.add_image(f"{name}/{sample.name}", picture, step, dataformats="HWC")
        sums = torch.tensor([total, scored], dtype=torch.float64, device=fabric.device)
        total, scored = cast(torch.Tensor, fabric.all_reduce(sums, reduce_op="sum")).tolist()
        if scored:
            scores[f"auc/{name}"] = total / scored
    return scores
