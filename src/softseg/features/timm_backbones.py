"""Backbones that timm opens: vision transformers, convolutional networks and what is between."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from softseg.errors import ModelError
from softseg.features.backbones import IMAGENET, Backbone, coarsest, pads, three_numbers
from softseg.features.repositories import require

# What a folder's own arguments must not decide: where weights come from, and what is built around the network.
_RESERVED = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "features_only")


def load_timm(folder: Path, settings: Mapping[str, Any], device: torch.device) -> Backbone:
    """Open the model in `folder`, whose config.json holds `settings`. See `backbones.load_backbone`.

    Raises
    ------
    ModelError : timm is missing, does not know the architecture, or that one does not give maps of its stages.
    """
    timm = require("timm", "a feature model of timm")
    architecture = settings["architecture"]
    if not timm.is_model(architecture):
        raise ModelError(
            f"timm {timm.__version__} does not know the architecture {architecture!r} of {folder}; update it"
        )
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ModelError(f"{folder} has no model.safetensors, the file that is expected of a model of timm")
    described = settings.get("pretrained_cfg", settings)
    arguments = {key: value for key, value in (settings.get("model_args") or {}).items() if key not in _RESERVED}
    source = {"file": str(weights), "source": "", "url": "", "hf_hub_id": None, "custom_load": False}
    chosen = {"num_classes": settings["num_classes"]} if "num_classes" in settings else {}
    overlay = {**described, **chosen, **source}
    network = _create(timm, architecture, pretrained=True, pretrained_cfg_overlay=overlay, **{**arguments, **chosen})
    if not hasattr(network, "forward_intermediates"):
        raise ModelError(f"timm's {architecture} does not give maps of its stages; choose another model")
    step = int(network.feature_info[-1]["reduction"])
    network.float().eval().requires_grad_(False).to(device)
    fixed = hasattr(network, "set_input_size") and not getattr(network, "dynamic_img_size", False)
    at_size = lru_cache(maxsize=1)(partial(_at_size, network)) if fixed else lambda size: network

    def maps(pixels: torch.Tensor) -> list[torch.Tensor]:
        sized = at_size(tuple(pixels.shape[-2:]))
        stages = sized.forward_intermediates(pixels, indices=2, norm=True, output_fmt="NCHW", intermediates_only=True)
        return coarsest([stage[0] for stage in stages])

    config = folder / "config.json"
    mean, deviation = (described.get(key, default) for key, default in zip(("mean", "std"), IMAGENET, strict=True))
    return Backbone(maps, step, pads(network), three_numbers(mean, config), three_numbers(deviation, config))


def _at_size(network: Any, size: tuple[int, int]) -> Any:
    """A copy for images of that size, its windows unchanged: to resize the original would change its weights."""
    copied = copy.deepcopy(network)
    options: dict[str, Any] = {"img_size": size}
    if "window_size" in inspect.signature(copied.set_input_size).parameters:
        windows = (getattr(module, "window_size", None) for module in network.modules())
        options["window_size"] = next((window for window in windows if isinstance(window, tuple)), None)
    copied.set_input_size(**options)
    return copied


def _create(timm: Any, architecture: str, **arguments: Any) -> Any:
    """The network; where it knows how to, for images of any size."""
    try:
        return timm.create_model(architecture, **{"dynamic_img_size": True, **arguments})
    except TypeError as error:
        if "dynamic_img_size" not in str(error):
            raise
        return timm.create_model(architecture, **arguments)
