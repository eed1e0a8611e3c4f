"""COCO as labelled photos: COCO-Stuff with its things taken apart by instance, and COCO panoptic."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from softseg.errors import InputError, ModelError
from softseg.training.augmentation import VOID
from softseg.training.datasets import Sample, read_png, sample

# In the maps of COCO-Stuff: classes below the first of stuff are things.
_FIRST_STUFF, _STUFF_VOID = 91, 255
_FIRST_INSTANCE = 1000  # labels of instances start here, above the 182 labels of COCO-Stuff


class CocoStuff:
    """COCO-Stuff: a map of 182 labels for each photo, in which every thing is an instance of its own.

    Pixels of things that no instance's mask covers are void: whose they are is not known.

    ROOT/SPLIT/NAME.jpg, ROOT/stuffthingmaps/SPLIT/NAME.png, ROOT/annotations/instances_SPLIT.json; needs pycocotools.
    """

    def __init__(self, root: Path, split: str = "train2017") -> None:
        content = _read_json(root / "annotations" / f"instances_{split}.json", ("images", "annotations"))
        self._photos, self._maps = root / split, root / "stuffthingmaps" / split
        self._things: dict[int, list[dict[str, Any]]] = {}
        for annotation in content["annotations"]:
            self._things.setdefault(annotation["image_id"], []).append(annotation)
        files = {Path(image["file_name"]).stem: image for image in content["images"]}
        self.names = sorted(files)
        self._images = [files[name] for name in self.names]

    def load(self, i: int, rng: np.random.Generator | None = None) -> Sample:
        """Photo `i`."""
        path = self._maps / f"{self.names[i]}.png"
        classes = read_png(path)
        labels = np.where((classes < _FIRST_STUFF) | (classes == _STUFF_VOID), VOID, classes.astype(np.int32))
        things = self._things.get(self._images[i]["id"], [])
        # The larger first: where two masks overlap, the smaller one, as a rule the nearer, remains.
        for number, thing in enumerate(sorted(things, key=lambda thing: -thing["area"])):
            inside = _mask(thing["segmentation"], labels.shape, path) & (classes == thing["category_id"] - 1)
            # A crowd is many instances under one mask: it is none that could be told from others.
            labels[inside] = VOID if thing["iscrowd"] else _FIRST_INSTANCE + number
        return sample(self._photos / self._images[i]["file_name"], labels, path)


class CocoPanoptic:
    """COCO panoptic: segments of stuff and of single things as colours, id = R + 256 G + 256^2 B, 0 is void.

    ROOT/SPLIT/NAME.jpg, ROOT/annotations/panoptic_SPLIT/NAME.png, ROOT/annotations/panoptic_SPLIT.json.
    """

    def __init__(self, root: Path, split: str = "train2017") -> None:
        content = _read_json(root / "annotations" / f"panoptic_{split}.json", ("images", "annotations"))
        self._photos, self._maps = root / split, root / "annotations" / f"panoptic_{split}"
        files = {image["id"]: image["file_name"] for image in content["images"]}
        self._segments = sorted(content["annotations"], key=lambda annotation: str(annotation["file_name"]))
        self._files = [files.get(annotation["image_id"]) for annotation in self._segments]
        self.names = [Path(annotation["file_name"]).stem for annotation in self._segments]

    def load(self, i: int, rng: np.random.Generator | None = None) -> Sample:
        """Photo `i`."""
        path = self._maps / self._segments[i]["file_name"]
        colors = read_png(path)
        if colors.ndim != 3 or colors.shape[2] < 3:
            raise InputError(f"{path} has shape {colors.shape}, expected the segment ids as (h, w, 3) colours")
        if self._files[i] is None:
            raise InputError(f"{path} belongs to photo {self._segments[i]['image_id']}, which the .json does not list")
        ids = colors[..., :3].astype(np.int32) @ np.array([1, 256, 256**2], np.int32)
        segments = {segment["id"]: segment for segment in self._segments[i]["segments_info"]}
        labels = np.full(ids.shape, VOID, np.int32)
        present, where = np.unique(ids, return_inverse=True)
        numbers = [_panoptic_label(int(number), segments, path) for number in present]
        labels = np.array(numbers, np.int32)[where].reshape(ids.shape)
        return sample(self._photos / str(self._files[i]), labels, path)


def _panoptic_label(number: int, segments: Mapping[int, Any], path: Path) -> int:
    if number == 0:
        return VOID
    if number not in segments:
        raise InputError(f"{path} has a segment {number} that the .json does not list; use the .json of these maps")
    return VOID if segments[number].get("iscrowd") else number


def _mask(segmentation: Any, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """(h, w) bool from polygons, or from run lengths, compressed or not."""
    try:
        from pycocotools import mask as masks
    except ImportError:
        raise ModelError("the masks of COCO-Stuff need pycocotools; run: pip install 'softseg[train]'") from None
    h, w = shape
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools 2.0.11 lags behind NumPy
            runs = masks.frPyObjects(segmentation, h, w) if not _is_compressed(segmentation) else segmentation
            merged = masks.merge(runs) if isinstance(runs, list) else runs
            decoded = np.asarray(masks.decode(merged))
    except Exception as error:  # its own errors are of several types, none of them named
        raise InputError(f"a mask for {path} cannot be read ({error}); download the .json again") from error
    if decoded.shape != (h, w):
        raise InputError(f"{path} is {w} x {h}, but a mask for it {decoded.shape[1]} x {decoded.shape[0]}")
    return decoded.astype(bool)


def _is_compressed(segmentation: Any) -> bool:
    return isinstance(segmentation, dict) and not isinstance(segmentation["counts"], list)


def _read_json(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no readable .json file ({error}), expected annotations of COCO") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in keys):
        raise InputError(
            f"{path} lacks {' or '.join(keys)}, expected annotations in the form of COCO; download it again"
        )
    return content
