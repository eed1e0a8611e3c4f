"""Mask2Former (Cheng et al. 2022), as transformers has it: things and surroundings, every pixel in one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from softseg.baselines.label_map import LabelMap
from softseg.errors import ModelError
from softseg.features.backbones import blamed, is_backbone, quiet, read_settings, without_foreign_kernels
from softseg.features.repositories import require

PURPOSE = "Mask2Former"
NOTHING = "nothing"
_THRESHOLD = 0.5  # of the score, the library's
_COCO = 133  # classes of COCO panoptic: 80 of things, then 53 of surroundings, such as sky
_THINGS = 80


def load_mask2former(path: Path, device: torch.device) -> Any:
    """A function from photos to label maps: the panoptic segmentation that transformers makes of the network's masks.

    Parameters
    ----------
    path : folder with config.json, preprocessor_config.json and safetensors, as transformers saves it; nothing else is
        read, and no code in it is run.

    Returns
    -------
    A function from (h, w, 3) float in [0, 1] to a `LabelMap`; label 0 for pixels in no segment.

    Raises
    ------
    ModelError : transformers or torchvision is missing, the folder is incomplete or damaged, or not a Mask2Former.
    """
    transformers = require("transformers", PURPOSE, "baselines")
    require("torchvision", PURPOSE, "baselines")  # which the library's image processors are made of
    _check(path)
    with blamed(path, "cannot be loaded"), quiet(transformers):
        network, processor = _load(transformers, path)
    network.float().eval().requires_grad_(False).to(device)
    names: dict[int, str] = network.config.id2label
    fused = set(range(_THINGS, _COCO)) if len(names) == _COCO else set()  # all sky is one, not so all persons

    def segmenter(image: torch.Tensor) -> LabelMap:
        h, w, _ = image.shape
        with torch.inference_mode(), blamed(path, f"fails on a photo of {w} x {h} pixels"):
            pixels = (image * 255).round().to(torch.uint8).permute(2, 0, 1)
            shown = processor(images=pixels, return_tensors="pt", input_data_format="channels_first").to(device)
            found = processor.post_process_panoptic_segmentation(
                network(pixel_values=shown["pixel_values"]),
                threshold=_THRESHOLD,
                label_ids_to_fuse=fused,
                target_sizes=[(h, w)],
            )[0]
        segments = {int(segment["id"]): names[int(segment["label_id"])] for segment in found["segments_info"]}
        return as_label_map(found["segmentation"].cpu().numpy(), segments)

    return segmenter


def as_label_map(segmentation: np.ndarray, segments: dict[int, str]) -> LabelMap:
    """Labels 1, 2, ... for the segments in the order of their numbers, and 0 for any other number: nothing.

    Examples
    --------
    >>> found = as_label_map(np.array([[-1, 4], [0, 2]]), {4: "sky", 2: "dog"})
    >>> found.labels.tolist(), found.names
    ([[0, 2], [0, 1]], ('nothing', 'dog', 'sky'))
    """
    labels = np.zeros(segmentation.shape, dtype=np.int64)
    for label, number in enumerate(sorted(segments), start=1):
        labels[segmentation == number] = label
    return LabelMap(labels, (NOTHING, *(segments[number] for number in sorted(segments))), nothing=0)


def _check(path: Path) -> None:
    if not is_backbone(path):
        raise ModelError(
            f"{path} is no folder with a config.json; a Mask2Former is a folder that save_pretrained wrote"
        )
    kind = read_settings(path / "config.json").get("model_type")
    if kind != "mask2former":
        raise ModelError(f"{path} holds a model of the type {kind!r}, not 'mask2former'; choose another folder")
    if not any(path.glob("*.safetensors")):
        raise ModelError(
            f"{path} holds no weights in the safetensors format, the only one that is read, because reading it cannot "
            "run code; save the model again with save_pretrained"
        )
    if not (path / "preprocessor_config.json").is_file():
        raise ModelError(f"{path} has no preprocessor_config.json, which says how photos are shown; save it there")


def _load(transformers: Any, path: Path) -> tuple[Any, Any]:
    """Network and image processor, from the files in `path` alone."""
    local = {"local_files_only": True, "trust_remote_code": False}
    config = without_foreign_kernels(transformers.Mask2FormerConfig.from_pretrained(str(path), **local))
    if getattr(config, "use_pretrained_backbone", False):
        config.use_pretrained_backbone = False  # its weights are here, with all the others
    network, info = transformers.Mask2FormerForUniversalSegmentation.from_pretrained(
        str(path), config=config, use_safetensors=True, output_loading_info=True, **local
    )
    # Left-over tensors are fine: published weights hold tables that newer versions of the library compute.
    wrong = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ModelError(
            f"the weights in {path} do not fit its config.json: {', '.join(wrong[:3])}{more} missing or of another "
            "shape; save or fetch the model again"
        )
    processor = transformers.Mask2FormerImageProcessor.from_pretrained(str(path), **local)
    return network, processor
