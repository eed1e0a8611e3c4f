"""From D feature channels to the three of the graph: clip, filter, principal components, scale (supplement, Fig. 2)."""

from __future__ import annotations

import numpy as np
import torch

from softseg.devices import resolve_device, to_tensor
from softseg.errors import InputError
from softseg.features.guided_filter import check_channels, filter_planes
from softseg.images import check_image
from softseg.settings import FeatureSettings

_PIXELS_AT_ONCE = 65_536
# A component whose range is below these shares of the first one's, or of the largest feature, is rounding.
_RELATIVE_NOISE = 1e-4
_ABSOLUTE_NOISE = 1e-5


def project(
    features: np.ndarray,
    image: np.ndarray,
    dimensions: int = 3,
    settings: FeatureSettings | None = None,
    device: str = "cpu",
) -> np.ndarray:
    """The principal components of this photo's own feature vectors, each scaled to [0, 1].

    1. clip to [-5, 5]; 2. guided filter of every channel; 3. the eigenvectors of the D x D covariance of the N vectors
    with the largest eigenvalues, each with its largest entry positive; 4. each coordinate shifted and scaled to [0, 1].

    Parameters
    ----------
    features : (h, w, D) array of finite numbers, of about unit variance.
    image : (h, w, 3) float array in [0, 1].
    dimensions : how many components; the paper uses 3.
    settings : clip, radius and regularisation; None: the defaults.
    device : "cpu", "cuda" or "auto".

    Returns
    -------
    (h, w, dimensions) float32 array in [0, 1]. A component without variation (constant features, D below `dimensions`)
    is 0.5.

    Raises
    ------
    InputError : the features are not finite numbers of the photo's size.

    Notes
    -----
    Source: supplement, Sec. 1.1 and Fig. 2.

    Examples
    --------
    >>> import numpy as np
    >>> ramp = np.linspace(-1, 1, 20).reshape(4, 5, 1)
    >>> projected = project(ramp, (ramp + 1) / 2 * np.ones(3))
    >>> projected.shape, float(projected[..., 0].min()), float(projected[..., 0].max()), float(projected[0, 0, 2])
    ((4, 5, 3), 0.0, 1.0, 0.5)
    """
    settings = settings or FeatureSettings()
    if dimensions < 1:
        raise InputError(f"dimensions is {dimensions}; ask for at least 1")
    guide = check_image(image)
    values = check_channels(features, guide.shape[:2])
    where = resolve_device(device)
    planes = to_tensor(values, where).permute(2, 0, 1).clamp(-settings.clip, settings.clip)
    planes = filter_planes(to_tensor(guide, where), planes, settings.radius, settings.regularization)
    components = principal_components(planes.flatten(1), dimensions)
    return np.ascontiguousarray(components.T.reshape(*guide.shape[:2], dimensions).cpu().numpy())


def principal_components(vectors: torch.Tensor, dimensions: int) -> torch.Tensor:
    """(dimensions, N) principal components of the columns of `vectors` (D, N), each in [0, 1]; 0.5 where none is."""
    directions = principal_directions(vectors, dimensions)
    coordinates = directions.T.to(vectors.dtype) @ (vectors - vectors.mean(1, keepdim=True))
    scaled = to_unit_range(coordinates, float(vectors.abs().max()))
    missing = scaled.new_full((dimensions - scaled.shape[0], scaled.shape[1]), 0.5)
    return torch.cat([scaled, missing])


def principal_directions(vectors: torch.Tensor, count: int) -> torch.Tensor:
    """(D, min(count, D)) float64 unit directions of largest variance of the columns of `vectors` (D, N), largest first.

    An eigenvector's sign is free; it is fixed so that the entry of largest magnitude is positive.
    """
    mean = vectors.mean(1, dtype=torch.float64, keepdim=True)
    covariance = mean.new_zeros(len(vectors), len(vectors))
    for part in torch.split(vectors, _PIXELS_AT_ONCE, dim=1):
        centered = part.double() - mean
        covariance += centered @ centered.T
    directions = torch.linalg.eigh(covariance / vectors.shape[1]).eigenvectors.flip(1)[:, :count]
    largest = directions.abs().argmax(0, keepdim=True)
    oriented: torch.Tensor = directions * torch.where(directions.gather(0, largest) < 0, -1.0, 1.0)
    return oriented


def to_unit_range(coordinates: torch.Tensor, magnitude: float) -> torch.Tensor:
    """Each row of (d, N) shifted and scaled to [0, 1]; rows that hold only rounding become 0.5.

    `magnitude` is that of the largest feature.
    """
    low, high = coordinates.amin(1, keepdim=True), coordinates.amax(1, keepdim=True)
    span = high - low
    constant = span <= max(_RELATIVE_NOISE * float(span.max()), _ABSOLUTE_NOISE * magnitude)
    scaled = ((coordinates - low) / span.where(~constant, 1.0)).clamp(0, 1)
    return torch.where(constant, 0.5, scaled)
