"""Superpixels: small connected regions of one colour, the vertices of the long-range affinities."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from softseg.images import check_image

# Differs from the paper in: 1. Its compactness is near zero. scikit-image's SLIC then leaves so many fragments to be
# merged that a third of the regions remain, of mixed colours, with centroids outside; 10 keeps them true to colour.
# Grain makes fragments too: then a larger compactness is tried.
_COMPACTNESS = (10.0, 20.0, 40.0, 80.0, 160.0)
_ENOUGH = 0.7  # of the regions asked for
_SMALLEST = 0.25  # of the mean area; smaller fragments join a neighbour


def superpixels(image: np.ndarray, count: int = 2500) -> np.ndarray:
    """Split a photo into about `count` connected regions of similar colour by SLIC.

    Parameters
    ----------
    image : (h, w, 3) float array in [0, 1].
    count : the number of regions aimed at; a small photo gets fewer, at least 9 pixels each.

    Returns
    -------
    (h, w) int64 labels 0..m-1, each region 4-connected and not empty.

    Raises
    ------
    ImageError : the array is not a finite (h, w, 3) image in [0, 1].

    Notes
    -----
    Source: Achanta et al. 2012 (SLIC), as implemented by scikit-image.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((20, 20, 3))
    >>> image[:, 10:] = 1
    >>> labels = superpixels(image, 4)
    >>> bool(np.intersect1d(labels[:, :10], labels[:, 10:]).size == 0)
    True
    """
    from skimage.segmentation import slic

    image = check_image(image)
    h, w, _ = image.shape
    count = max(1, min(count, h * w // 9))
    for compactness in _COMPACTNESS:
        labels = slic(image, count, compactness, min_size_factor=_SMALLEST, enforce_connectivity=True, start_label=0)
        if labels.max() + 1 >= _ENOUGH * count:
            break
    return np.unique(labels, return_inverse=True)[1].reshape(h, w).astype(np.int64)


def superpixel_means(channels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(m, D) mean of each channel of an (h, w, D) map over each superpixel."""
    flat = labels.ravel()
    area = np.bincount(flat)
    planes = channels.reshape(flat.size, -1)
    return np.column_stack([np.bincount(flat, planes[:, d]) / area for d in range(planes.shape[1])])


def representative_pixels(labels: np.ndarray) -> np.ndarray:
    """(m,) row-major index of the pixel at each superpixel's rounded centroid.

    Centroids that fall half-way between two pixels are decided by rounding errors in the original. To represent every
    superpixel by the same pixel as the original does, the mean is accumulated as it is there: coordinates counted
    from one, divided by the area before they are added, column by column.
    """
    h, w = labels.shape
    flat = labels.T.ravel()
    area = np.bincount(flat)[flat]
    y = np.bincount(flat, np.tile(np.arange(1, h + 1), w) / area)
    x = np.bincount(flat, np.repeat(np.arange(1, w + 1), h) / area)
    return np.asarray((np.floor(y + 0.5) - 1) * w + np.floor(x + 0.5) - 1, dtype=np.int64)


def between_pixels(s: np.ndarray, t: np.ndarray, values: np.ndarray, pixel: np.ndarray, size: int) -> sp.csr_array:
    """Symmetric (size, size) matrix with `values` between superpixels s and t, represented by `pixel` of each."""
    # Two crescents can have one centroid: the affinity of a pixel with itself would say nothing and is left out.
    keep = (values != 0) & (pixel[s] != pixel[t])
    low, high = np.minimum(pixel[s], pixel[t])[keep], np.maximum(pixel[s], pixel[t])[keep]
    # Two pixels can stand for several pairs of superpixels: the mean affinity stays in range, a sum does not.
    pair, which = np.unique(low * size + high, return_inverse=True)
    mean = np.bincount(which, values[keep], minlength=len(pair)) / np.bincount(which, minlength=len(pair))
    upper = sp.csr_array(sp.coo_array((mean, np.divmod(pair, size)), shape=(size, size)))
    return sp.csr_array(upper + upper.T)
