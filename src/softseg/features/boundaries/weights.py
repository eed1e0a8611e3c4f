"""The weights of the boundary network, and the map that it makes of a photo."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
import torch

from softseg.checks import check_image
from softseg.devices import resolve_device, to_tensor
from softseg.errors import ModelError
from softseg.features import store
from softseg.features.boundaries.network import BoundaryNetwork

DIGEST = "1e152209e0ae229ead82baa502fe5219ccb1bc1b08eb3c2430c71f95345488a3"  # SHA-256
REPAIR = "pip install --force-reinstall softseg"


def weights_path() -> Path:
    """The file inside this package."""
    return Path(__file__).with_name("weights.safetensors")


def boundary_map(image: np.ndarray, device: str = "cpu", path: Path | None = None) -> np.ndarray:
    """Where people would draw a boundary.

    Parameters
    ----------
    image : (h, w, 3) float array in [0, 1], of any size.
    device : "auto", "cpu" or "cuda".
    path : of other weights, as `softseg train --recipe boundaries` writes them; None: those of this package.

    Returns
    -------
    (y, x) float32 array in [0, 1]: the share of people who would draw a boundary near each cell of a grid that is
    spread evenly over the photo, its corners on the photo's corners; y and x are at most 121.

    Raises
    ------
    ModelError : the weights are missing or damaged.
    ImageError, DeviceError : the image is none; the device is not there.

    Examples
    --------
    >>> photo = np.full((241, 321, 3), 0.2)
    >>> boundary_map(photo).shape
    (89, 121)
    """
    where, file = resolve_device(device), path or weights_path()
    network = load_network(file, store.sha256_of(file) if file.is_file() else "", str(where))
    shares = network.extract(to_tensor(check_image(image), where))
    return np.asarray(shares.float().cpu().numpy())


@lru_cache(maxsize=2)
def load_network(path: Path, digest: str, device: str = "cpu") -> BoundaryNetwork:
    """The network with the weights of `path`, whose SHA-256 is `digest`, in float32, ready for inference.

    Raises
    ------
    ModelError : the file is missing, no safetensors file, or holds other weights than this network has.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path == weights_path() and digest != DIGEST:
        raise ModelError(f"the network weights in {path} are damaged: SHA-256 {digest}, not {DIGEST}; {_repair(path)}")
    try:
        state = {name: value.float() for name, value in load_file(path).items()}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot read the network weights in {path}: {error}; {_repair(path)}") from error
    with torch.device("meta"):  # no time is spent on random weights that are replaced at once
        network = BoundaryNetwork()
    expected = {name: value.shape for name, value in network.state_dict().items()}
    found = {name: value.shape for name, value in state.items()}
    wrong = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
    if wrong:
        raise ModelError(f"{path} does not fit the boundary network: {', '.join(sorted(wrong)[:5])}; {_repair(path)}")
    network.load_state_dict(state, assign=True)
    network = network.eval().requires_grad_(False)
    return cast(BoundaryNetwork, network.to(device, memory_format=torch.channels_last))  # type: ignore[call-overload]


def _repair(path: Path) -> str:
    return REPAIR if path == weights_path() else "copy it again, or train it again"
