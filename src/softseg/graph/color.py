"""The non-local colour affinity: what an occluder splits holds together by its colour."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree
from scipy.special import erf

from softseg.graph.superpixels import between_pixels, representative_pixels, superpixel_means
from softseg.images import check_image, check_labels

STEEPNESS = 50.0  # paper
THRESHOLD = 0.05  # paper: the colour distance at which the affinity is one half
RADIUS = 0.2  # paper: of the image's height and width


def color_affinity(image: np.ndarray, labels: np.ndarray) -> sp.csr_array:
    """Attraction of superpixels of similar colour that need not touch: what an occluder splits holds together.

    ``W(i_s, i_t) = (erf(50 (0.05 - ||c_s - c_t||)) + 1) / 2`` for superpixels whose representative pixels are at most
    0.2 apart in coordinates divided by height and width; ``c_s`` is the mean colour.

    Parameters
    ----------
    image : (h, w, 3) float array in [0, 1].
    labels : (h, w) integer superpixel labels 0..m-1, each present.

    Returns
    -------
    (N, N) symmetric CSR array of float64, values in [0, 1], zero diagonal; exact zeros are not stored.

    Raises
    ------
    InputError : the arrays do not belong together, are not finite, or a label is missing.

    Notes
    -----
    Source: Aksoy et al. 2018, Sec. 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> W = color_affinity(np.zeros((1, 20, 3)), np.arange(20)[None] // 2)
    >>> round(float(W[1, 3]), 3), float(W[1, 19])
    (1.0, 0.0)
    """
    labels = check_labels(labels)
    image = check_image(image, shape=labels.shape)
    h, w = labels.shape
    pixel = representative_pixels(labels)
    y, x = np.divmod(pixel, w)
    # Counted from one as in the original: which pairs at exactly the radius are in is decided by the last bit.
    s, t = cKDTree(np.column_stack([(y + 1) / h, (x + 1) / w])).query_pairs(RADIUS, output_type="ndarray").T
    channels = superpixel_means(image, labels).T
    distance = np.sqrt(sum((channel[s] - channel[t]) ** 2 for channel in channels))
    return between_pixels(s, t, (erf(STEEPNESS * (THRESHOLD - distance)) + 1) / 2, pixel, labels.size)
