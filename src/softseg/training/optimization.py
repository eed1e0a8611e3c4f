"""The optimiser of a recipe, and the running mean of the weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from softseg.errors import InputError
from softseg.training.recipes import Recipe


def make_optimizer(network: Any, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD or AdamW over base and head, each with its own "rate"; what is in neither is frozen.

    Raises
    ------
    InputError : both rates are 0.
    """
    groups: list[dict[str, Any]] = []
    network.requires_grad_(False)
    parts = ((network.base_parameters(), recipe.base_rate), (network.head_parameters(), recipe.head_rate))
    for parameters, rate in parts:
        chosen = [parameter.requires_grad_() for parameter in parameters] if rate else []
        for decayed in (True, False):
            group = [p for p in chosen if (p.ndim > 1 or recipe.decay_vectors) == decayed]
            if group:
                decay = recipe.weight_decay if decayed else 0.0
                groups.append({"params": group, "rate": rate, "lr": rate, "weight_decay": decay})
    if not groups:
        raise InputError("base_rate and head_rate are both 0: nothing would be trained; set one of them")
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=recipe.momentum)
    return torch.optim.AdamW(groups)


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Every group's own rate, times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group["rate"]


class RunningMean:
    """m <- a m + (1 - a) w after every step, with a = min(decay, step / (step + 10)): short at first, when w moves far.

    Parameters
    ----------
    decay : 0 keeps no mean: `network` is then the network itself.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._source, self._decay = network, decay
        self.network = copy.deepcopy(network).requires_grad_(False) if decay else network

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step`; counters and statistics of normalisations are copied."""
        if not self._decay:
            return
        weight = 1 - min(self._decay, step / (step + 10))
        for mean, value in zip(self.network.parameters(), self._source.parameters(), strict=True):
            mean.data.lerp_(value.data, weight)
        for mean_of, value_of in zip(self.network.buffers(), self._source.buffers(), strict=True):
            mean_of.copy_(value_of)
