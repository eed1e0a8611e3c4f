"""Starting the base from trained weights: torchvision's ResNet-101, for ImageNet or from its DeepLab."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from softseg.errors import ModelError
from softseg.features.seed_network import MEAN_BGR, SeedNetwork

# How torchvision normalises photos, RGB in [0, 1].
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_EPSILONS = (1e-5, 1e-3)  # of the normalisations: theirs, ours
_BRANCHES = {"branch2a": "1", "branch2b": "2", "branch2c": "3"}
_NORM = ("weight", "bias", "running_mean", "running_var")
_UNUSED = ("fc.", "classifier.", "aux_classifier.")
_MARK = "layer1.0.conv1.weight"
_NAMED_AT_MOST = 8

DIFFERENCES = (
    "the first block of stage 3 strides in its first 1 x 1 convolution, torchvision's in the 3 x 3 one",
    "stages 4 and 5 keep the resolution by dilation; ImageNet weights were trained with strides, torchvision's DeepLab "
    "does not dilate the first block of a stage as far",
    "borders of even sides are padded at their end (TensorFlow), in torchvision at both ends",
    "the epsilon of the normalisations is 0.001 instead of 0.00001: compensated in the running variances, unless these "
    "are below the difference; with the statistics of each image it stays",
)


def load_base_weights(network: SeedNetwork, path: str | Path) -> tuple[str, ...]:
    """Set the base of `network` to torchvision's `resnet101` or to the backbone of its `deeplabv3_resnet101`.

    The first convolution is converted from RGB, scaled to about [-2, 2], to BGR from 0 to 255, its mean included; taps
    and per-pixel layers stay as they are.

    Parameters
    ----------
    path : the state dictionary, as .safetensors or as PyTorch writes it (.pth; loaded as tensors only, no code is run).

    Returns
    -------
    What cannot be matched, one sentence each, and what of the file was not used: the weights are a start for training,
    not the same function.

    Raises
    ------
    ModelError : the file is damaged, holds something else than tensors, or a tensor is missing or of another shape;
        the network is then as it was.

    Examples
    --------
    >>> load_base_weights(SeedNetwork(), "nothing.pth")
    Traceback (most recent call last):
    softseg.errors.ModelError: there is no file nothing.pth; give a state dictionary of torchvision's resnet101
    """
    path = Path(path)
    state = _read(path)
    prefix = next((key.removesuffix(_MARK) for key in state if key.endswith(_MARK)), None)
    if prefix is None:
        raise ModelError(f"{path} has no tensor {_MARK}: it is not a ResNet; give torchvision's resnet101")
    names = {key: prefix + name for key, name in torchvision_names(network).items()}
    own = network.state_dict()
    _check(state, {names[key]: tuple(own[key].shape) for key in names}, path)
    converted = _convert({key: state[name].double() for key, name in names.items()})
    with torch.no_grad():
        for key, value in converted.items():
            own[key].copy_(value)
    used = set(names.values())
    unused = [key for key in state if key not in used and not key.endswith("num_batches_tracked")]
    surplus = [key for key in unused if not key.removeprefix("module.").startswith(_UNUSED)]
    return DIFFERENCES + tuple(f"{key} of the file was not used" for key in surplus)


def torchvision_names(network: SeedNetwork) -> dict[str, str]:
    """torchvision's name for each entry of the state of the network's base.

    Examples
    --------
    >>> torchvision_names(SeedNetwork())["base.stages.3.3b1.branch2a.convolution.weight"]
    'layer2.1.conv1.weight'
    """
    names = {"base.conv1.convolution.weight": "conv1.weight"}
    names |= {f"base.conv1.norm.{part}": f"bn1.{part}" for part in _NORM}
    for stage, blocks in network.base.stages.items():
        for index, (block, module) in enumerate(blocks.named_children()):
            here, there = f"base.stages.{stage}.{block}", f"layer{int(stage) - 1}.{index}"
            branches = {own: (f"conv{number}", f"bn{number}") for own, number in _BRANCHES.items()}
            if module.branch1 is not None:
                branches["branch1"] = ("downsample.0", "downsample.1")
            for own, (convolution, norm) in branches.items():
                names[f"{here}.{own}.convolution.weight"] = f"{there}.{convolution}.weight"
                names |= {f"{here}.{own}.norm.{part}": f"{there}.{norm}.{part}" for part in _NORM}
    return names


def _read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of the file by their names."""
    if not path.is_file():
        raise ModelError(f"there is no file {path}; give a state dictionary of torchvision's resnet101")
    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different type for each way a file can be damaged
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{path} cannot be read as tensors: {reason}; fetch it again") from error
    for key in ("model", "state_dict"):  # how training scripts wrap it
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise ModelError(f"{path} holds a {type(content).__name__}, not a dictionary of tensors; fetch it again")
    return {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}


def _check(state: Mapping[str, torch.Tensor], expected: Mapping[str, tuple[int, ...]], path: Path) -> None:
    wrong = []
    for name, shape in expected.items():
        if name not in state:
            wrong.append(f"missing {name}")
        elif tuple(state[name].shape) != shape:
            wrong.append(f"{name} has shape {tuple(state[name].shape)} instead of {shape}")
        elif not state[name].is_floating_point() or not state[name].isfinite().all():
            wrong.append(f"{name} does not hold finite floats")
    if wrong:
        more = f"; and {len(wrong) - _NAMED_AT_MOST} more" if len(wrong) > _NAMED_AT_MOST else ""
        raise ModelError(
            f"{path} is not torchvision's ResNet-101: {'; '.join(wrong[:_NAMED_AT_MOST])}{more}; "
            "give a state dictionary of resnet101 or deeplabv3_resnet101"
        )


def _convert(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The float64 weights for input in BGR from 0 to 255 minus our mean, and for our epsilon.

    With x = (p / 255 - m) / s and y = p - 255 m', a kernel gives w * x = (w / 255 s) * y + sum of w (m' - m) / s; the
    normalisation after it takes the constant into its mean. (At the border, where padding is 0 in both, it is not.)
    """
    deviation, mean = (torch.tensor(values[::-1], dtype=torch.float64) for values in (_DEVIATION, _MEAN))
    kernel = state["base.conv1.convolution.weight"].flip(1)
    offset = (torch.tensor(MEAN_BGR, dtype=torch.float64) / 255 - mean) / deviation
    converted = dict(state)
    converted["base.conv1.convolution.weight"] = kernel / (255 * deviation[:, None, None])
    converted["base.conv1.norm.running_mean"] = state["base.conv1.norm.running_mean"] - kernel.sum((2, 3)) @ offset
    theirs, ours = _EPSILONS
    for key, value in state.items():
        if key.endswith("running_var"):
            converted[key] = (value + theirs - ours).clamp_min(0)
    return converted
