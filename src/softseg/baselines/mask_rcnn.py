"""Mask R-CNN (He et al. 2017), as torchvision has it: things found one by one, each with its mask."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from softseg.baselines.class_names import BACKGROUND, numbered
from softseg.baselines.label_map import LabelMap
from softseg.baselines.tensors import fill, read_tensors, weight_file
from softseg.errors import ModelError
from softseg.features.repositories import require

PURPOSE = "Mask R-CNN"
THRESHOLD = 0.5  # of the score: things that are surer than not
_MASK = 0.5  # of a mask's probability, as in the paper
_SIDES = (800, 1333)  # the photo's shorter side, and the most for the longer one: torchvision's, and the paper's
_CLASSES = "roi_heads.box_predictor.cls_score.weight"
_SECOND = "roi_heads.box_head.0.0.weight"  # only in torchvision's second version, "v2"


def load_mask_rcnn(path: Path, device: torch.device, *, sides: tuple[int, int] = _SIDES) -> Any:
    """A function from photos to label maps: `paint` of what torchvision's Mask R-CNN with ResNet-50 and FPN finds.

    Parameters
    ----------
    path : state dictionary of `maskrcnn_resnet50_fpn` or `maskrcnn_resnet50_fpn_v2`, which of them is seen from its
        tensors; or a folder with it. 91 classes are taken for COCO's.
    sides : what the shorter side of the photo is scaled to, and the most that its longer side may then have.

    Returns
    -------
    A function from (h, w, 3) float in [0, 1] to a `LabelMap`.

    Raises
    ------
    ModelError : torchvision is missing, or the file is damaged or holds something else.
    """
    require("torchvision", PURPOSE, "baselines")
    file = weight_file(path)
    tensors = read_tensors(file)
    if _CLASSES not in tensors:
        raise ModelError(f"{file} does not hold the weights of torchvision's Mask R-CNN: {_CLASSES} is missing")
    classes = len(tensors[_CLASSES])
    second = _SECOND in tensors
    network = _build(classes, second=second, sides=sides)
    fill(network, tensors, file, f"torchvision's Mask R-CNN with ResNet-50{', version 2' if second else ''}")
    network.eval().requires_grad_(False).to(device)
    names = _names(classes)

    def segmenter(image: torch.Tensor) -> LabelMap:
        with torch.inference_mode():
            found = network([image.permute(2, 0, 1).float()])[0]
        return paint({key: value.cpu().numpy() for key, value in found.items()}, names, tuple(image.shape[:2]))

    return segmenter


def paint(found: Mapping[str, np.ndarray], names: tuple[str, ...], shape: tuple[int, ...]) -> LabelMap:
    """One label per thing, the surest in front; label 0 for pixels in no mask.

    Parameters
    ----------
    found : of n things, "scores" (n,) and "masks" (n, 1, h, w) in [0, 1] and "labels" (n,), places in `names`.
        Those whose score is not above 0.5 do not count.

    Examples
    --------
    >>> masks = np.array([[[[1.0, 1.0, 0.0]]], [[[0.0, 1.0, 1.0]]]])
    >>> found = {"scores": np.array([0.6, 0.9]), "masks": masks, "labels": np.array([1, 2])}
    >>> painted = paint(found, ("background", "cat", "dog"), (1, 3))
    >>> painted.labels.tolist(), painted.names
    ([[2, 1, 1]], ('background', 'dog', 'cat'))
    """
    kept = [place for place in np.argsort(-found["scores"], kind="stable") if found["scores"][place] > THRESHOLD]
    labels = np.zeros(shape, dtype=np.int64)
    for label, place in reversed(list(enumerate(kept, start=1))):  # the surest last, over the others
        labels[found["masks"][place, 0] > _MASK] = label
    return LabelMap(labels, (BACKGROUND, *(names[int(found["labels"][place])] for place in kept)), nothing=0)


def _build(classes: int, *, second: bool, sides: tuple[int, int]) -> Any:
    """The network without weights; torchvision must not fetch any."""
    from torchvision.models import detection
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.ops import FrozenBatchNorm2d

    size = {"min_size": sides[0], "max_size": sides[1]}
    if second:
        return detection.maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=classes, **size)
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d)
    for module in backbone.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = 0.0  # as torchvision sets it for these weights, which were trained without it
    return detection.MaskRCNN(backbone, num_classes=classes, **size)


def _names(classes: int) -> tuple[str, ...]:
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights as Published

    known = Published.COCO_V1.meta["categories"]
    return tuple(known if len(known) == classes else numbered(classes))
