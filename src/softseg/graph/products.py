"""Products of a sparse matrix with several vectors at once."""

from __future__ import annotations

import warnings

import scipy.sparse as sp
import torch


def to_torch(csr: sp.csr_array) -> torch.Tensor:
    """The same matrix for PyTorch, whose product with several columns runs on all threads; SciPy's on one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse (CSR tensor support is in beta|invariant checks)", UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(csr.indptr),
            torch.from_numpy(csr.indices),
            torch.from_numpy(csr.data),
            csr.shape,
            check_invariants=False,
        )
