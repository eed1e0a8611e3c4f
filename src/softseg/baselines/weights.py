"""The weights of the comparison networks that have a name, beside those of the features and in the same cache."""

from __future__ import annotations

from functools import partial

from softseg.features import downloads, models
from softseg.features.models import Weights

_PYTORCH = "https://download.pytorch.org/models"


def known_weights() -> list[Weights]:
    """Those that `softseg models fetch` fetches for the comparison; of each network the first one is the default.

    Notes
    -----
    PSPNet is not among them: no weights of it in the form of segmentation-models-pytorch are published by anyone who
    keeps them. What is put into the folder `models/pspnet` of the cache is found, however.

    Examples
    --------
    >>> [weights.name for weights in known_weights()]
    ['mask-rcnn', 'mask-rcnn-v2', 'mask2former', 'mask2former-small']
    """
    coco = "Mask R-CNN, ResNet-50 and FPN, trained on COCO, of torchvision"
    mask2former = [
        _weights(
            name,
            f"Mask2Former, Swin-{size}, trained on COCO panoptic",
            f"facebook/mask2former-swin-{size}-coco-panoptic",
            megabytes,
            "see its page",
        )
        for name, size, megabytes in (
            ("mask2former", "tiny", 190),
            ("mask2former-small", "small", 276),
        )
    ]
    return [
        _weights("mask-rcnn", coco, f"{_PYTORCH}/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth", 178, "BSD-3-Clause"),
        _weights(
            "mask-rcnn-v2",
            f"{coco}, second version",
            f"{_PYTORCH}/maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
            186,
            "BSD-3-Clause",
        ),
        *mask2former,
    ]


def named_weights(name: str) -> Weights | None:
    """The weights of that name; None if there are none."""
    return next((weights for weights in known_weights() if weights.name == name), None)


def _weights(name: str, description: str, source: str, megabytes: int, terms: str) -> Weights:
    return Weights(
        name=name,
        description=f"for softseg compare: {description}",
        terms=terms,
        locate=partial(downloads.fetched, models.target(name)),
        remedy=f"run: softseg models fetch {name}",
        repair=f"run: softseg models fetch {name} --force",
        source=source,
        megabytes=megabytes,
    )
