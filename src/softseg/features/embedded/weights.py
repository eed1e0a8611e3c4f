"""The weights of the embedded network: where they are, what they must be, and how they are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from softseg.errors import ModelError
from softseg.features.embedded.network import EmbeddedNetwork

DIGEST = "87a19fdb279850087e16abe7f88ceb73f83aeb8832b9734deb5373097e8a3b23"  # SHA-256
REPAIR = "pip install --force-reinstall softseg"


def weights_path() -> Path | None:
    """The file inside this package; None where it was left out."""
    path = Path(__file__).with_name("weights.safetensors")
    return path if path.is_file() else None


def load(path: Path, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """The trained network, as a function from a photo (h, w, 3) in [0, 1] to its features (D, h, w).

    Raises
    ------
    ModelError : the file is not safetensors, or holds other weights than this network has.
    """
    network = load_network(path).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    extractor: Callable[[torch.Tensor], torch.Tensor] = network.extract
    return extractor


def load_network(path: Path) -> EmbeddedNetwork:
    """The network with the weights of `path`, in float32, ready for inference; errors as `load`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = {name: value.float() for name, value in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot read the network weights in {path}: {error}; {_repair(path)}") from error
    with torch.device("meta"):  # no time is spent on random weights that are replaced at once
        network = EmbeddedNetwork()
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    wrong = [name for name in expected.keys() | state.keys() if expected.get(name) != _shape_of(state.get(name))]
    if wrong:
        raise ModelError(f"{path} does not fit the embedded network: {', '.join(sorted(wrong)[:5])}; {_repair(path)}")
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def _repair(path: Path) -> str:
    """What to do about a bad file: the one of this package, or one of a training."""
    return REPAIR if path == weights_path() else "copy it again, or train it again"


def _shape_of(value: torch.Tensor | None) -> tuple[int, ...] | None:
    """None for a tensor that is not there."""
    return None if value is None else tuple(value.shape)
