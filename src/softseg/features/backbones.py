"""Networks of others as backbones: a folder with settings and safetensors, opened by transformers or by timm."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from softseg.errors import ModelError
from softseg.features.repositories import require

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # where a folder does not say; most models use it
_STRIDE = 32  # of hierarchical networks in transformers, whose settings do not state it
_MOST_PREFIXES = 64  # class and register tokens before those of the patches
_UNUSED = ("pooler", "mask_token", "classifier", "head", "logit_scale", "projection")  # no part of patch features


@dataclass(frozen=True)
class Backbone:
    """A frozen network and what must be known to feed it."""

    maps: Callable[[torch.Tensor], list[torch.Tensor]]  # (1, 3, y, x) normalised to maps (C, ., .), the coarsest last
    step: int  # pixels per cell of the coarsest map
    corners: bool  # cells lie at multiples of the step, as after padded convolutions, not in the middle of patches
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


def is_backbone(folder: Path) -> bool:
    """Whether `folder` has the form in which transformers and timm save models: a config.json."""
    return (folder / "config.json").is_file()


def load_backbone(folder: Path, device: torch.device) -> Backbone:
    """Open the model in `folder`; code that lies there is never run.

    Raises
    ------
    ModelError : damaged or incomplete, no safetensors, not a model of images or of patches, or the library is missing.
    """
    settings = read_settings(folder / "config.json")
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{folder} holds no weights in the safetensors format, the only one that is read, because reading it "
            "cannot run code; save the model again with save_pretrained"
        )
    with blamed(folder, "cannot be loaded"):
        if "architecture" in settings:
            from softseg.features.timm_backbones import load_timm

            backbone = load_timm(folder, settings, device)
        else:
            backbone = _load_transformers(folder, device)

    def maps(pixels: torch.Tensor) -> list[torch.Tensor]:
        with blamed(folder, f"fails on a photo of {pixels.shape[-1]} x {pixels.shape[-2]} pixels"):
            return backbone.maps(pixels)

    return replace(backbone, maps=maps)


@contextmanager
def blamed(folder: Path, failure: str) -> Iterator[None]:
    """Say which model it was: the libraries raise whatever its settings, weights or code break."""
    try:
        yield
    except (ModelError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:400] or type(error).__name__
        raise ModelError(
            f"the model in {folder} {failure}: {reason}; choose another model, or save it again"
        ) from error


def read_settings(path: Path) -> dict[str, Any]:
    """What config.json, or another file of settings, holds; ModelError where it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}; save or fetch the model again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} does not hold the settings of a model; save or fetch the model again")
    return content


def _load_transformers(folder: Path, device: torch.device) -> Backbone:
    transformers = require("transformers", "a feature model of the hub")
    local = {"local_files_only": True, "trust_remote_code": False}
    with quiet(transformers):
        config = without_foreign_kernels(transformers.AutoConfig.from_pretrained(str(folder), **local))
        model, info = transformers.AutoModel.from_pretrained(
            str(folder), config=config, use_safetensors=True, output_loading_info=True, **local
        )
    # Of a model of pictures and texts only the part for pictures is needed.
    network = getattr(model, "vision_model", model)
    parameters = inspect.signature(network.forward).parameters
    if "pixel_values" not in parameters:
        raise ModelError(f"the model in {folder} ({type(model).__name__}) does not take images; choose a vision model")
    missing = [key for key in info["missing_keys"] if "text" not in key and not any(part in key for part in _UNUSED)]
    _refuse_missing(missing, folder)
    # The library would leave the normalisation to its image processors, some of which need torchvision.
    mean, deviation = _normalization(folder)
    config = network.config
    patch = getattr(config, "patch_size", None)
    plain = patch is not None and getattr(config, "depths", None) is None
    step = _one_number(patch, folder) if plain else _STRIDE
    options: dict[str, Any] = {} if plain else {"output_hidden_states": True}
    if "interpolate_pos_encoding" in parameters:
        options["interpolate_pos_encoding"] = True
    network.float().eval().requires_grad_(False).to(device)

    def maps(pixels: torch.Tensor) -> list[torch.Tensor]:
        output = network(pixel_values=pixels, return_dict=True, **options)
        states = getattr(output, "reshaped_hidden_states", None) or getattr(output, "hidden_states", None) or ()
        stages = [state[0] for state in states if state.ndim == 4]
        last = output.last_hidden_state
        if last.ndim == 4:
            stages = stages or [last[0]]
        elif not stages:
            stages = [_patches(last[0], (pixels.shape[-2] // step, pixels.shape[-1] // step), folder)]
        return coarsest(stages)

    return Backbone(maps, step, pads(network), mean, deviation)


def without_foreign_kernels(config: Any) -> Any:
    """Leave the implementation of attention to the library, in `config` and in those of the model's parts.

    Settings may name a repository of the hub there, OWNER/NAME, whose code the library would fetch and run.
    """
    for name, value in list(vars(config).items()):
        if name.endswith(("attn_implementation_internal", "experts_implementation_internal")):
            setattr(config, name, None)
        elif hasattr(value, "to_diff_dict"):  # the settings of a part
            without_foreign_kernels(value)
    return config


def _normalization(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of preprocessor_config.json, for pixels in [0, 1]; without that file those of ImageNet."""
    path = folder / "preprocessor_config.json"
    settings = read_settings(path) if path.is_file() else {}
    if settings.get("do_normalize") is False:
        return (0.0,) * 3, (1.0,) * 3
    return three_numbers(settings.get("image_mean", IMAGENET[0]), path), three_numbers(
        settings.get("image_std", IMAGENET[1]), path
    )


def three_numbers(values: Any, path: Path) -> tuple[float, ...]:
    numbers = tuple(values) if isinstance(values, Sequence) and not isinstance(values, str) else (values,) * 3
    if len(numbers) != 3 or not all(isinstance(value, int | float) and math.isfinite(value) for value in numbers):
        raise ModelError(f"{path} normalises the colours by {values!r}; expected three numbers")
    return tuple(float(value) for value in numbers)


def _one_number(patch: Any, folder: Path) -> int:
    sizes = set(patch) if isinstance(patch, Iterable) else {patch}
    if len(sizes) != 1 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ModelError(f"the model in {folder} has patches of {patch}; only square ones are supported")
    return int(sizes.pop())


def _patches(tokens: torch.Tensor, grid: tuple[int, int], folder: Path) -> torch.Tensor:
    """(C, y, x) of the tokens (T, C) that belong to patches: the last ones, after class and register tokens."""
    count = grid[0] * grid[1]
    if not count <= len(tokens) <= count + _MOST_PREFIXES:
        raise ModelError(
            f"the model in {folder} gives {len(tokens)} vectors for {grid[0]} x {grid[1]} patches; choose a model that "
            "gives one for each patch"
        )
    return tokens[len(tokens) - count :].T.reshape(-1, *grid)


def coarsest(stages: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The last map, and before it the last one of another size: finer, less of what things are."""
    last = stages[-1]
    finer = [stage for stage in stages if stage.shape[1:] != last.shape[1:]]
    return [*finer[-1:], last]


def pads(network: nn.Module) -> bool:
    """Whether the first convolution that strides overlaps its neighbours, hence is centred on multiples of its stride.

    Otherwise it cuts the image into patches.
    """
    strided = (m for m in network.modules() if isinstance(m, nn.Conv2d) and max(m.stride) > 1)
    first = next(strided, None)
    return first is not None and first.kernel_size != first.stride


def _refuse_missing(missing: Sequence[str], folder: Path) -> None:
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ModelError(
            f"the weights in {folder} do not fit its config.json: {', '.join(sorted(missing)[:3])}{more} are missing; "
            "save or fetch the model again"
        )


@contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """Without the library's own notes and bars: what matters of them is raised here."""
    log = transformers.utils.logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()
