"""Reading the tensors of a file without running code in it, and putting all of them into a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import nn

from softseg.errors import ModelError

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
_WRAPPERS = ("state_dict", "model", "model_state_dict")  # under which training scripts put the weights
_COUNTER = "num_batches_tracked"  # counts the steps of training: some layers have it, prediction needs none
_NAMED = 4


def weight_file(path: Path) -> Path:
    """`path` itself, or the one file of weights in that folder.

    Raises
    ------
    ModelError : there is none, or several.
    """
    if not path.is_dir():
        return path
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    safe = [file for file in found if file.suffix.lower() == ".safetensors"]
    chosen = safe or found
    if len(chosen) != 1:
        raise ModelError(
            f"{path} holds {_words([file.name for file in chosen]) or 'no weights'}; expected one file that ends in "
            f"{' or '.join(SUFFIXES)}: name the file"
        )
    return chosen[0]


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors in `path` by their names, on the CPU.

    safetensors, or what `torch.save` wrote (read as tensors only, so that no code in it runs).

    Raises
    ------
    ModelError : no such file, damaged, or something else than tensors.
    """
    if not path.is_file():
        raise ModelError(f"there is no file {path}; expected weights, {' or '.join(SUFFIXES)}")
    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # another type for each way in which a file can be damaged
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{path} cannot be read as tensors: {reason}; copy or fetch it again, or save it as safetensors"
        ) from error
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    tensors = dict(content) if isinstance(content, Mapping) else {}
    if not tensors or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise ModelError(f"{path} does not hold a dictionary of tensors; save the state_dict() of the network")
    prefix = "module." if all(str(key).startswith("module.") for key in tensors) else ""  # of data-parallel training
    return {str(key).removeprefix(prefix): value for key, value in tensors.items()}


def fill(network: nn.Module, tensors: Mapping[str, torch.Tensor], path: Path, kind: str) -> None:
    """Set every parameter and every running statistic of `network`; nothing may be missing, left over or misshapen.

    Raises
    ------
    ModelError : naming what is; `kind` says what was expected, for example "torchvision's Mask R-CNN".
    """
    own = {key: value for key, value in network.state_dict().items() if not key.endswith(_COUNTER)}
    given = {key: value for key, value in tensors.items() if not key.endswith(_COUNTER)}
    shapes = [
        f"{key} has shape {tuple(given[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own
        if key in given and given[key].shape != own[key].shape
    ]
    wrong = [
        f"{_words(names)} {verb}"
        for names, verb in (
            ([key for key in own if key not in given], "missing"),
            ([key for key in given if key not in own], "unexpected"),
        )
        if names
    ]
    wrong += [_words(shapes)] if shapes else []
    if wrong:
        raise ModelError(f"{path} does not hold the weights of {kind}: {'; '.join(wrong)}; choose another file")
    broken = [key for key, value in given.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise ModelError(f"{path} is damaged: {_words(broken)} hold values that are not finite; fetch it again")
    network.load_state_dict(given, strict=False)  # but for the counters everything is there, as was just seen


def _words(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more
