"""How many threads small dense linear algebra takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController

_lock = Lock()
_inside = 0  # how many are in the context now, in all threads of this process
_limit: Any = None  # of the first of them; the last one takes it back


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """NumPy and SciPy compute on one thread inside of this context, and so does PyTorch where it shares their library.

    Factors of a few hundred rows gain nothing from a second thread, and where another process has the second
    processor, OpenBLAS waits for it actively: they then take twenty times as long. The limit holds for the whole
    process, until the last of those who are in the context has left it.
    """
    global _inside, _limit
    with _lock:
        if _inside == 0:
            _limit = ThreadpoolController().limit(limits=1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limit.restore_original_limits()
