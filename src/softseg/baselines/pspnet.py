"""PSPNet (Zhao et al. 2017), as segmentation-models-pytorch has it: a class for every pixel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from softseg.baselines.class_names import BACKGROUND, semantic_classes
from softseg.baselines.label_map import LabelMap
from softseg.baselines.tensors import fill, read_tensors, weight_file
from softseg.errors import ModelError
from softseg.features.backbones import IMAGENET, blamed, read_settings
from softseg.features.repositories import require

PURPOSE = "PSPNet"
_KIND = "PSPNet of segmentation-models-pytorch"
_SHORTER, _LONGER = 512, 2048  # the photo is scaled so that its shorter side is 512, the longer one at most 2048
_STEP = 32  # sides are multiples of it, for every encoder
_HEAD = "segmentation_head.0.weight"  # (classes, channels, 3, 3)
_RESNETS: dict[tuple[tuple[int, ...], bool], str] = {  # blocks in each stage, and whether they have three convolutions
    ((2, 2, 2, 2), False): "resnet18",
    ((3, 4, 6, 3), False): "resnet34",
    ((3, 4, 6, 3), True): "resnet50",
    ((3, 4, 23, 3), True): "resnet101",
    ((3, 8, 36, 3), True): "resnet152",
}
_ARGUMENTS = ("encoder_name", "encoder_depth", "psp_out_channels", "decoder_use_norm", "in_channels", "upsampling")
_AT_ONCE = 8  # classes that are enlarged together, for the sake of memory


def load_pspnet(path: Path, device: torch.device, *, shorter: int = _SHORTER) -> Any:
    """A function from photos to label maps: the class of the largest value, enlarged to the photo's pixels.

    Parameters
    ----------
    path : folder as `save_pretrained` writes it (config.json and weights), or a state dictionary with a ResNet as the
        encoder, which one is seen from its tensors. Class names: `id2label` in config.json; otherwise ADE20K for 150
        classes, PASCAL VOC for 21, and numbers for others.
    shorter : what the shorter side of the photo is scaled to.

    Returns
    -------
    A function from (h, w, 3) float in [0, 1] to a `LabelMap`.

    Raises
    ------
    ModelError : segmentation-models-pytorch is missing, or the file is damaged or holds something else.
    """
    library = require("segmentation_models_pytorch", PURPOSE, "baselines")
    file = weight_file(path)
    tensors = read_tensors(file)
    if _HEAD not in tensors:
        raise ModelError(f"{file} does not hold the weights of {_KIND}: {_HEAD} is missing; choose another file")
    classes = len(tensors[_HEAD])
    described = file.with_name("config.json")
    settings = read_settings(described) if described.is_file() else None
    arguments = _arguments(tensors, file) if settings is None else _described(settings, classes, described)
    with blamed(path, "cannot be built"):
        network = library.PSPNet(encoder_weights=None, classes=classes, **arguments)
    fill(network, tensors, file, f"{_KIND}, encoder {arguments.get('encoder_name', 'resnet34')}")
    network.float().eval().requires_grad_(False).to(device)
    names = _names(settings or {}, classes)
    nothing = 0 if names[0] == BACKGROUND else None

    def segmenter(image: torch.Tensor) -> LabelMap:
        with torch.inference_mode(), blamed(path, f"fails on a photo of {image.shape[1]} x {image.shape[0]} pixels"):
            values = network(_shown(image, shorter))[0]
            return LabelMap(largest(values, tuple(image.shape[:2])).cpu().numpy(), names, nothing)

    return segmenter


def largest(values: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """(h, w) index of the largest of `values` (C, y, x), interpolated bilinearly to `shape`; the first of equals.

    A few classes at a time: 150 classes of a photo of 12 megapixels would take 7 GB.

    Examples
    --------
    >>> largest(torch.tensor([[[0.0, 1.0]], [[1.0, 0.0]]]), (1, 4)).tolist()
    [[1, 1, 0, 0]]
    """
    best = values.new_full(shape, -torch.inf)
    place = torch.zeros(shape, dtype=torch.int64, device=values.device)
    for first in range(0, len(values), _AT_ONCE):
        part = values[None, first : first + _AT_ONCE]
        enlarged = functional.interpolate(part, shape, mode="bilinear", align_corners=False)[0]
        value, index = enlarged.max(0)
        better = value > best
        best = torch.where(better, value, best)
        place = torch.where(better, index + first, place)
    return place


def _shown(image: torch.Tensor, shorter: int) -> torch.Tensor:
    """(1, 3, y, x) normalised as for ImageNet, which the library's encoders were trained with."""
    sides = image.shape[:2]
    factor = min(shorter / min(sides), _LONGER / max(sides))
    size = [max(1, round(side * factor / _STEP)) * _STEP for side in sides]
    planes = image.permute(2, 0, 1)[None].float()
    photo = functional.interpolate(planes, size, mode="bilinear", antialias=True, align_corners=False)
    mean, deviation = (photo.new_tensor(values)[:, None, None] for values in IMAGENET)
    return (photo - mean) / deviation


def _described(settings: Mapping[str, Any], classes: int, path: Path) -> dict[str, Any]:
    """The arguments of the network in config.json."""
    kind = settings.get("_model_class", "PSPNet")
    if kind != "PSPNet":
        raise ModelError(f"{path} describes a {kind}, not a PSPNet; choose another folder")
    if settings.get("classes", classes) != classes:
        raise ModelError(f"{path} says {settings['classes']} classes, but the weights have {classes}; save both again")
    return {key: settings[key] for key in _ARGUMENTS if key in settings}


def _arguments(tensors: Mapping[str, torch.Tensor], file: Path) -> dict[str, Any]:
    """The same, from the tensors alone: the ResNet with as many blocks."""
    stages = tuple(
        len({key.split(".")[2] for key in tensors if key.startswith(f"encoder.layer{stage}.")}) for stage in range(1, 5)
    )
    encoder = _RESNETS.get((stages, "encoder.layer1.0.conv3.weight" in tensors))
    if encoder is None:
        raise ModelError(
            f"{file} does not hold a PSPNet of which the encoder is a ResNet, and there is no config.json beside it "
            "that says which it is; name a folder that save_pretrained wrote"
        )
    return {"encoder_name": encoder, "psp_out_channels": int(tensors[_HEAD].shape[1])}


def _names(settings: Mapping[str, Any], classes: int) -> tuple[str, ...]:
    given = settings.get("id2label")
    if isinstance(given, Mapping) and all(str(number) in given for number in range(classes)):
        return tuple(str(given[str(number)]) for number in range(classes))
    return semantic_classes(classes)
