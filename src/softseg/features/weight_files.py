"""A file of trained or imported weights as a feature model."""

from __future__ import annotations

from pathlib import Path

import torch

from softseg.features.embedded import weights as embedded
from softseg.features.formats import network_of
from softseg.features.hub import Extractor
from softseg.features.models import PREFIXES, Model


def names_weights(name: str | Path) -> bool:
    """Whether `name` is that of a file of weights, by its ending; whether it is there is said when it is opened.

    Examples
    --------
    >>> names_weights("run/model.safetensors"), names_weights("features.npy")
    (True, False)
    """
    path = Path(name)
    return path.suffix.lower() == ".safetensors" and not str(name).startswith(PREFIXES) and not path.is_dir()


def weights_model(name: str) -> Model:
    """The model with the weights in a file that `softseg train` or `softseg models import` wrote.

    Raises
    ------
    ModelError : no such file, damaged, or weights of something else.
    """
    path = Path(name)
    network = network_of(path)
    return Model(
        name=name,
        description=f"{network} network with the weights in {path}",
        kind="network",
        terms="its own",
        locate=lambda: path,
        load=embedded.load if network == "embedded" else load_seed,
        digest=None,
        remedy="copy it again, or train or import it again",
    )


def load_seed(path: Path, device: torch.device) -> Extractor:
    """The seed's network with the weights of `path`, as a function from photos (h, w, 3) to features (128, h, w).

    Raises
    ------
    ModelError : the file is damaged or holds something else.
    """
    from softseg.features.checkpoints import load_seed_network
    from softseg.features.tiling import seed_features

    network = load_seed_network(path).to(device)
    return lambda image: seed_features(network, image.permute(2, 0, 1)[None].float())[0]
