"""Fast guided upsampling: coarse maps to the size of the photo, as local linear functions of its colours."""

from __future__ import annotations

import torch
from torch.nn import functional

# Measured on 8 photos of BSDS 500, maps of EfficientNet-Lite2 at strides 16 and 32, "same region?" for pixels at most
# 12 apart, after the projection: area under the ROC curve 0.838; bilinear 0.817; bilinear with the photo's detail
# added 0.827; a regularisation of 0.001 0.840, but then less for pixels far apart on the raw features.
_RADIUS = 1  # cells
_REGULARIZATION = 0.01  # squared colour units, as for the guided filter
_CHANNELS_AT_ONCE = 16


def guided_upsample(
    image: torch.Tensor, planes: torch.Tensor, radius: int = _RADIUS, regularization: float = _REGULARIZATION
) -> torch.Tensor:
    """Bring maps of cells to pixels: the guided filter fitted at the size of the map, applied at that of the photo.

    With J the mean colour of each cell, every window ``w_k`` of ``2 radius + 1`` cells a side has
    ``a_k = (cov(J) + regularization Id)^-1 cov(J, p)`` and ``b_k = mean(p) - a_k^T mean(J)``; the result at pixel i is
    ``q_i = up(mean a)_i^T I_i + up(mean b)_i``, the means over windows around the cell, ``up`` bilinear interpolation.

    Parameters
    ----------
    image : (h, w, 3) float tensor in [0, 1].
    planes : (D, y, x) float32 tensor; the cells divide the photo into y rows and x columns of equal size.
    radius : half the window in cells.
    regularization : above 0, in squared colour units; smaller differences than its root have no influence.

    Returns
    -------
    (D, h, w) float32 tensor. Linear in `planes`, so channels may be recombined before as well as after.

    Notes
    -----
    Source: He and Sun, Fast Guided Filter, 2015; He, Sun and Tang 2013, Eqs. (14)-(16).

    Examples
    --------
    >>> import torch
    >>> guided_upsample(torch.rand(12, 16, 3), torch.ones(5, 3, 4)).shape
    torch.Size([5, 12, 16])
    """
    h, w, _ = image.shape
    center = image.mean((0, 1)).float()  # fewer digits are lost in the covariances
    guide = image.permute(2, 0, 1).float() - center[:, None, None]
    cells = functional.interpolate(guide[None], tuple(planes.shape[-2:]), mode="area")[0]  # (3, y, x) mean colours
    slopes, offsets = _model(cells, planes, radius, regularization)
    result = torch.empty(len(planes), h, w, dtype=torch.float32, device=planes.device)
    for start in range(0, len(planes), _CHANNELS_AT_ONCE):
        part = slice(start, start + _CHANNELS_AT_ONCE)
        result[part] = _bilinear(offsets[part], (h, w))
        for color in range(3):
            result[part] += _bilinear(slopes[part, color], (h, w)) * guide[color]  # Eq. (16)
    return result


def _bilinear(planes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return functional.interpolate(planes[None], size, mode="bilinear", align_corners=False)[0]


def _model(
    guide: torch.Tensor, planes: torch.Tensor, radius: int, regularization: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(D, 3, y, x) means of a_k and (D, y, x) means of b_k over the windows around each cell."""

    def mean(x: torch.Tensor) -> torch.Tensor:
        """Over the window, as far as it is inside the map, of (..., y, x)."""
        flat = x.reshape(1, -1, *x.shape[-2:])
        return functional.avg_pool2d(flat, 2 * radius + 1, 1, radius, count_include_pad=False).reshape(x.shape)

    level = planes.mean((1, 2), keepdim=True)
    planes = planes - level
    colors, values = mean(guide), mean(planes)
    covariance = mean(guide[:, None] * guide) - colors[:, None] * colors  # (3, 3, y, x)
    joint = mean(planes[:, None] * guide) - values[:, None] * colors  # (D, 3, y, x)
    matrix = covariance.permute(2, 3, 0, 1) + regularization * torch.eye(3, device=guide.device)
    slopes = torch.linalg.solve(matrix, joint.permute(2, 3, 1, 0)).permute(3, 2, 0, 1)  # Eq. (14)
    offsets = values - (slopes * colors).sum(1)  # Eq. (15)
    return mean(slopes), mean(offsets) + level
