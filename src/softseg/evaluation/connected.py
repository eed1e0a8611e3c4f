"""The connected parts of regions, as people draw them: two zebras are one layer, but two regions."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from softseg.errors import InputError


def connected_parts(labels: np.ndarray, smallest: float = 0.001) -> np.ndarray:
    """Make every connected part of every region a region of its own, and give small ones away.

    Parameters
    ----------
    labels : (h, w) whole numbers from 0, equal numbers are one region. Pixels are connected by their sides.
    smallest : parts of less than this share of the pixels go, pixel by pixel, to the nearest part that is not so small;
        0 keeps all. If all parts are smaller, the largest one takes everything.

    Returns
    -------
    (h, w) int64 numbers from 0, none missing.

    Raises
    ------
    InputError : `labels` are not such a map.

    Examples
    --------
    >>> import numpy as np
    >>> connected_parts(np.array([[0, 1, 0, 0]])).tolist()
    [[0, 1, 2, 2]]
    >>> connected_parts(np.array([[0, 0, 1, 0, 0, 0, 0]]), smallest=0.2).tolist()
    [[0, 0, 0, 1, 1, 1, 1]]
    """
    from skimage.measure import label

    if labels.ndim != 2 or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise InputError(f"labels are {labels.dtype} of shape {labels.shape}, expected (h, w) whole numbers from 0")
    found = label(labels, connectivity=1, background=-1)  # type: ignore[no-untyped-call]
    parts = np.asarray(found, dtype=np.int64)
    sizes = np.bincount(parts.ravel())
    stays = sizes >= min(smallest * labels.size, sizes.max())
    if not stays[1:].all():
        nearest = distance_transform_edt(~stays[parts], return_distances=False, return_indices=True)
        parts = parts[tuple(nearest)]
    return np.unique(parts, return_inverse=True)[1].reshape(labels.shape)
