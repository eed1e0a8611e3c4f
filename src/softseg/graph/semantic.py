"""The semantic affinity: touching superpixels attract or repel each other by what they mean."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.special import erf

from softseg.graph.superpixels import between_pixels, representative_pixels, superpixel_means
from softseg.images import check_labels, check_map

STEEPNESS = 20.0  # paper
THRESHOLD = 0.15  # released: the feature distance at which attraction turns into repulsion


def semantic_affinity(features: np.ndarray, labels: np.ndarray) -> sp.csr_array:
    """Attraction or repulsion of touching superpixels by the distance of their mean semantic features.

    ``W(i_s, i_t) = erf(20 (0.15 - ||f_s - f_t||))`` for superpixels s, t with 8-adjacent pixels, where ``i_s`` is the
    pixel at the rounded centroid of s and ``f_s`` its mean feature.

    Parameters
    ----------
    features : (h, w, D) float array, usually D = 3 in [0, 1] from `softseg.features.project`.
    labels : (h, w) integer superpixel labels 0..m-1, each present.

    Returns
    -------
    (N, N) symmetric CSR array of float64, values in [-1, 1], zero diagonal.

    Raises
    ------
    InputError : the arrays do not belong together, are not finite, or a label is missing.

    Notes
    -----
    Source: Aksoy et al. 2018, Sec. 3.3; the threshold is the released implementation's (0.15). Negative entries make
    the Laplacian indefinite.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.repeat([[0, 0, 1, 1]], 2, axis=0)
    >>> W = semantic_affinity(labels[..., None].astype(float), labels)
    >>> round(float(W.sum()) / 2, 6)
    -1.0
    """
    labels = check_labels(labels)
    features = check_map(features, labels.shape, "features")
    s, t = touching_pairs(labels).T
    means = superpixel_means(features, labels)
    distance = np.linalg.norm(means[s] - means[t], axis=1)
    values = erf(STEEPNESS * (THRESHOLD - distance))
    return between_pixels(s, t, values, representative_pixels(labels), labels.size)


def touching_pairs(labels: np.ndarray) -> np.ndarray:
    """(P, 2) label pairs s < t that have 8-adjacent pixels, sorted."""
    count = int(labels.max()) + 1
    keys = []
    for here, there in (
        (labels[:, :-1], labels[:, 1:]),
        (labels[:-1], labels[1:]),
        (labels[:-1, :-1], labels[1:, 1:]),
        (labels[:-1, 1:], labels[1:, :-1]),
    ):
        border = np.nonzero(here != there)
        s, t = here[border], there[border]
        keys.append(np.minimum(s, t) * count + np.maximum(s, t))
    key = np.sort(np.concatenate(keys))  # several times as fast as the hashing of np.unique
    first = np.diff(key, prepend=-1) > 0
    return np.column_stack(np.divmod(key[first], count))
