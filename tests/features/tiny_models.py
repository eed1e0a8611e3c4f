"""Small models with random weights, saved as those of the hub are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
VIT = {**SIZES, "intermediate_size": 64, "image_size": 64, "patch_size": 16}
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}


def transformers() -> Any:
    return pytest.importorskip("transformers", reason="transformers is not installed: pip install 'softseg[hub]'")


def timm() -> Any:
    """timm, unless it or the torchvision that it imports is missing, built for another torch, or warns of it."""
    try:
        import timm
    except Exception as error:  # warnings are errors here, each of its own type
        pytest.skip(f"timm does not start: {error}")
    return timm


def save_tiny(kind: str, folder: Path, **changes: Any) -> Path:
    """A model of `kind` in `folder`; `changes` replace its settings."""
    t = transformers()
    dino = {**SIZES, "image_size": 56, "patch_size": 14}
    swin = {"image_size": 64, "embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 4], "window_size": 2}
    model, config, settings = {
        "dinov2": (t.Dinov2Model, t.Dinov2Config, dino),
        "dinov2-with-registers": (t.Dinov2WithRegistersModel, t.Dinov2WithRegistersConfig, dino),
        "vit": (t.ViTModel, t.ViTConfig, VIT),
        "vit-classifier": (t.ViTForImageClassification, t.ViTConfig, VIT),
        "mae": (t.ViTMAEModel, t.ViTMAEConfig, VIT),
        "swin": (t.SwinModel, t.SwinConfig, swin),
        "convnext": (t.ConvNextModel, t.ConvNextConfig, STAGES),
        "resnet": (t.ResNetModel, t.ResNetConfig, {**STAGES, "embedding_size": 8}),
        "bert": (t.BertModel, t.BertConfig, {**SIZES, "intermediate_size": 64, "vocab_size": 50}),
    }[kind]
    torch.manual_seed(0)
    log = t.utils.logging
    log.set_verbosity_error()
    log.disable_progress_bar()
    model(config(**{**settings, **changes})).eval().save_pretrained(folder)
    if kind != "bert":
        normalization = {"do_normalize": True, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}
        (folder / "preprocessor_config.json").write_text(json.dumps(normalization))
    return folder


def save_tiny_timm(architecture: str, folder: Path, **arguments: Any) -> Path:
    """A model of timm in `folder`, as timm's own `save_for_hf` writes it."""
    from safetensors.torch import save_file

    library = timm()
    torch.manual_seed(0)
    model = library.create_model(architecture, num_classes=5, **arguments)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, folder / "model.safetensors")
    described = {"num_classes": 5, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}
    described |= {key: model.pretrained_cfg[key] for key in ("first_conv", "classifier", "input_size")}
    settings = {"architecture": architecture, "num_classes": 5, "model_args": arguments, "pretrained_cfg": described}
    (folder / "config.json").write_text(json.dumps(settings))
    return folder
