"""Comparison networks with random weights, saved as the published ones are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

MISSING = "is not installed: pip install 'softseg[baselines]'"


def torchvision() -> Any:
    return pytest.importorskip("torchvision", reason=f"torchvision {MISSING}")


def save_pspnet(folder: Path, classes: int = 5, encoder: str = "resnet18", **settings: Any) -> Path:
    """A PSPNet in `folder`, in the files that the library's `save_pretrained` writes."""
    library = pytest.importorskip("segmentation_models_pytorch", reason=f"segmentation-models-pytorch {MISSING}")
    torch.manual_seed(0)
    network = library.PSPNet(encoder, encoder_weights=None, classes=classes, psp_out_channels=64).eval()
    with torch.no_grad():  # as they come, the values of one class are above those of all others nearly everywhere
        network.segmentation_head[0].weight.mul_(20)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), folder / "model.safetensors")
    described = {"_model_class": "PSPNet", "encoder_name": encoder, "classes": classes, "psp_out_channels": 64}
    (folder / "config.json").write_text(json.dumps(described | {"encoder_weights": "imagenet"} | settings))
    return folder


def mask_rcnn_state(classes: int = 3, *, second: bool = False) -> dict[str, torch.Tensor]:
    """Of torchvision's own network; with weights that find things of class 1 everywhere, each filling its box."""
    from torchvision.models import detection

    torchvision()
    torch.manual_seed(0)
    build = detection.maskrcnn_resnet50_fpn_v2 if second else detection.maskrcnn_resnet50_fpn
    network = build(weights=None, weights_backbone=None, num_classes=classes)
    with torch.no_grad():
        network.roi_heads.box_predictor.cls_score.bias[1] = 9
        network.roi_heads.mask_predictor.mask_fcn_logits.bias[1] = 9
        network.roi_heads.box_predictor.bbox_pred.weight.zero_()
    return {key: value for key, value in network.state_dict().items() if second or not key.endswith("tracked")}


def save_mask2former(folder: Path, classes: int = 4, **settings: Any) -> Path:
    """A Mask2Former with a small Swin transformer in `folder`, as transformers saves it."""
    t = pytest.importorskip("transformers", reason=f"transformers {MISSING}")
    torchvision()
    swin = t.SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 2, 4],
        window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    sizes = {"feature_size": 32, "mask_feature_size": 32, "hidden_dim": 32, "encoder_feedforward_dim": 32}
    layers = {"encoder_layers": 1, "decoder_layers": 2, "num_attention_heads": 2, "dim_feedforward": 32}
    names = {number: f"thing {number}" for number in range(classes)}
    config = t.Mask2FormerConfig(backbone_config=swin, **{**sizes, **layers, "num_queries": 3, **settings})
    config.id2label = names
    config.label2id = {name: number for number, name in names.items()}
    torch.manual_seed(2)
    log = t.utils.logging
    log.set_verbosity_error()
    log.disable_progress_bar()
    network = t.Mask2FormerForUniversalSegmentation(config).eval()
    with torch.no_grad():
        network.class_predictor.weight.mul_(40)  # queries that are sure of their class
        network.class_predictor.bias.zero_()
        network.class_predictor.bias[-1] = -50  # and that are something,
        for name, weight in network.named_parameters():
            if name.endswith("mask_embedder.2.0.weight"):
                weight.mul_(30)  # each somewhere else
    network.save_pretrained(folder)
    size = {"shortest_edge": 64, "longest_edge": 128}
    t.Mask2FormerImageProcessor(size=size, size_divisor=32, ignore_index=255).save_pretrained(folder)
    return folder
