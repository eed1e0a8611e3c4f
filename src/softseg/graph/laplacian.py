"""The graph Laplacian of the three affinities together."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from softseg.errors import InputError


def laplacian(
    matting: sp.csr_array,
    semantic: sp.csr_array,
    color: sp.csr_array,
    semantic_weight: float = 0.01,
    color_weight: float = 0.01,
) -> sp.csr_array:
    """Unnormalised Laplacian of the combined affinity.

    ``L = diag(W 1) - W`` with ``W = matting + semantic_weight * semantic + color_weight * color``.

    Parameters
    ----------
    matting, semantic, color : (N, N) symmetric sparse affinities.
    semantic_weight, color_weight : sigma_S and sigma_C of the paper, 0.01 each.

    Returns
    -------
    (N, N) symmetric CSR array of float64 with ``L 1 = 0``. It is *not* positive semidefinite: semantic affinities are
    negative between unlike regions.

    Raises
    ------
    InputError : the affinities are not square and of one size.

    Notes
    -----
    Source: Aksoy et al. 2018, Eq. (1) and Sec. 3.4.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> W = sp.csr_array([[0.0, 1.0], [1.0, 0.0]])
    >>> laplacian(W, 0 * W, 0 * W).toarray().tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    shapes = {tuple(a.shape) for a in (matting, semantic, color)}
    if len(shapes) != 1 or len({n for shape in shapes for n in shape}) != 1:
        raise InputError(
            f"The affinities have the shapes {matting.shape}, {semantic.shape} and {color.shape}; "
            "all three must be (N, N) for the same N pixels: build them from one photo."
        )
    affinity = sp.csr_array(matting) + semantic_weight * sp.csr_array(semantic) + color_weight * sp.csr_array(color)
    off_diagonal = sp.csr_array(affinity - sp.diags_array(affinity.diagonal()))
    degree = off_diagonal @ np.ones(affinity.shape[0])
    return sp.csr_array(sp.diags_array(degree) - off_diagonal)
