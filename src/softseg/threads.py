"""How many threads small dense linear algebra takes."""

from __future__ import annotations

from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[object]:
    """NumPy and SciPy compute on one thread inside of this context; PyTorch and compiled kernels are not concerned.

    Factors of a few hundred rows gain nothing from a second thread, and where another process has the second
    processor, OpenBLAS waits for it actively: they then take twenty times as long.
    """
    limit: AbstractContextManager[object] = ThreadpoolController().limit(limits=1, user_api="blas")
    return limit
