"""Segmentation networks of others behind one interface: a photo in, a label map and the names of its labels out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

from softseg.baselines.label_map import LabelMap
from softseg.baselines.mask2former import load_mask2former
from softseg.baselines.mask_rcnn import load_mask_rcnn
from softseg.baselines.pspnet import load_pspnet
from softseg.baselines.weights import known_weights, named_weights
from softseg.checks import check_image
from softseg.devices import resolve_device, to_tensor
from softseg.errors import InputError, ModelError
from softseg.features import models, store
from softseg.features.registry import check_weights, find_model, weights_of

NetworkName = Literal["pspnet", "mask_rcnn", "mask2former"]
Segmenter = Callable[[torch.Tensor], LabelMap]  # (h, w, 3) float in [0, 1] to its label map


@dataclass(frozen=True)
class Network:
    """An architecture, and how it is called."""

    title: str
    weights: str  # the name of those that are used where none are chosen
    load: Callable[[Path, torch.device], Segmenter]


NETWORKS: dict[str, Network] = {
    "pspnet": Network("PSPNet", "pspnet", load_pspnet),
    "mask_rcnn": Network("Mask R-CNN", "mask-rcnn", load_mask_rcnn),
    "mask2former": Network("Mask2Former", "mask2former", load_mask2former),
}


def label_map(
    image: np.ndarray, network: NetworkName = "mask2former", weights: str | Path | None = None, device: str = "auto"
) -> LabelMap:
    """What a segmentation network makes of a photo.

    Parameters
    ----------
    image : (h, w, 3) float array in [0, 1], sRGB as stored.
    network : "pspnet" (a class for every pixel), "mask_rcnn" (things one by one, the rest is background), or
        "mask2former" (panoptic: both).
    weights : a file or a folder; a name that `softseg models` lists for this network, or hub:OWNER/NAME, once fetched;
        None: the network's default, which must have been fetched. Nothing is fetched here.
    device : "auto", "cpu" or "cuda".

    Returns
    -------
    LabelMap : (h, w) labels and the names of the labels.

    Raises
    ------
    ImageError, InputError : not an image, or no such network.
    ModelError : the weights are missing, damaged or of another network, or the library is: pip install
        'softseg[baselines]'. The text says which command fetches them.
    DeviceError : the device is not there.

    Examples
    --------
    >>> label_map(np.zeros((32, 32, 3)), "mask_rcnn", weights="no.pth")
    Traceback (most recent call last):
    softseg.errors.ModelError: there are no weights 'no.pth' for Mask R-CNN: no such file or folder, ...
    """
    pixels = check_image(image)
    where = resolve_device(device)
    segmenter = load_segmenter(network, weights, device)
    return segmenter(to_tensor(pixels, where))


def load_segmenter(network: str, weights: str | Path | None = None, device: str = "auto") -> Segmenter:
    """The network ready for use; it stays in memory. Parameters and errors as in `label_map`."""
    where = resolve_device(device)
    path = locate_weights(network, weights)
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    return _load(network, path, tuple(store.sha256_of(file) for file in files), where)


@lru_cache(maxsize=len(NETWORKS))
def _load(network: str, path: Path, digests: tuple[str, ...], device: torch.device) -> Segmenter:
    """`digests` stand for what the files hold: when they change, the network is loaded again."""
    return NETWORKS[network].load(path, device)


def locate_weights(network: str, weights: str | Path | None = None) -> Path:
    """The file or folder with the weights.

    Raises
    ------
    InputError : no such network.
    ModelError : they are not there, or damaged.
    """
    if network not in NETWORKS:
        raise InputError(f"there is no network {network!r}; choose one of: {', '.join(get_args(NetworkName))}")
    name = str(weights) if weights is not None else NETWORKS[network].weights
    known = named_weights(name) or (find_model(name) if name.startswith(models.PREFIXES) else None)
    if known is not None:
        path = weights_of(known)
        check_weights(known)
        return path
    path = models.target(name) if weights is None else Path(name)
    if not path.exists():
        raise ModelError(_missing(network, name) if weights is not None else _nothing_published(network, path))
    return path


def absence(network: str) -> str | None:
    """What to do about the network's default weights where they are not installed; None where they are."""
    known = named_weights(NETWORKS[network].weights)
    there = known.locate() is not None if known else models.target(NETWORKS[network].weights).exists()
    if there:
        return None
    try:
        locate_weights(network)
    except ModelError as error:
        return str(error)
    return None


def _missing(network: str, name: str) -> str:
    names = [weights.name for weights in known_weights() if weights.name.startswith(NETWORKS[network].weights)]
    also = f", nor one of: {', '.join(names)}" if names else ""
    return (
        f"there are no weights {name!r} for {NETWORKS[network].title}: no such file or folder{also}, nor "
        "hub:OWNER/NAME; check the path"
    )


def _nothing_published(network: str, path: Path) -> str:
    return (
        f"{NETWORKS[network].title} has no published weights to fetch by name; name a file or a folder with its "
        f"weights, put such a folder at {path}, or run: softseg models fetch hub:OWNER/NAME, and name that"
    )
